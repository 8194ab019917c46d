import { createInterface } from 'node:readline/promises';

import type { PruneReport } from '../../types.js';
import type { Invocation } from '../command.js';
import type { pruneFlags } from '../commands/container.js';
import type { pruneVolumesFlags } from '../commands/volume.js';
import { labelFilter, pruneFilter, volumePruneFilter } from '../filters.js';
import { print, withEngine } from '../session.js';
import { humanSize } from '../units.js';

/** `container prune`. */
export async function pruneContainers({ globals, flags }: Invocation<typeof pruneFlags>): Promise<number> {
  const filter = pruneFilter(flags.filter);
  if (!(await confirmed('This will remove all stopped containers.', flags))) return 0;
  return withEngine(globals, async ({ engine, signal }) =>
    report('Containers', [await engine.containers.prune(filter, { signal })]),
  );
}

/** `network prune`. */
export async function pruneNetworks({ globals, flags }: Invocation<typeof pruneFlags>): Promise<number> {
  const filter = labelFilter(flags.filter);
  if (!(await confirmed('This will remove all custom networks not used by at least one container.', flags))) return 0;
  return withEngine(globals, async ({ engine, signal }) => {
    const { removed } = await engine.networks.prune(filter, { signal });
    if (removed.length > 0) print(['Deleted Networks:', ...removed, ''].join('\n'));
    return 0;
  });
}

/** `volume prune`. */
export async function pruneVolumes({ globals, flags }: Invocation<typeof pruneVolumesFlags>): Promise<number> {
  const filter = volumePruneFilter(flags.filter, flags.all);
  const what = filter.all ? 'all local volumes' : 'anonymous local volumes';
  if (!(await confirmed(`This will remove ${what} not used by at least one container.`, flags))) return 0;
  return withEngine(globals, async ({ engine, signal }) =>
    report('Volumes', [await engine.volumes.prune(filter, { signal })]),
  );
}

interface Force {
  readonly force: boolean;
}

/** Asks, unless `--force` answers. Where nobody can be asked, the answer is no. */
export async function confirmed(warning: string, { force }: Force): Promise<boolean> {
  if (force) return true;
  const question = createInterface({ input: process.stdin, output: process.stdout });
  try {
    // Without an answer the input has ended, and the question stays open for ever.
    const ended = new Promise<string>(resolve => question.once('close', () => resolve('')));
    const answer = await Promise.race([
      question.question(`WARNING! ${warning}\nAre you sure you want to continue? [y/N] `),
      ended,
    ]);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    question.close();
  }
}

function report(kind: string, reports: readonly PruneReport[]): number {
  for (const { removed } of reports) list(kind, removed);
  return total(reports);
}

export function list(kind: string, removed: readonly string[]): void {
  if (removed.length > 0) print([`Deleted ${kind}:`, ...removed, ''].join('\n'));
}

export function total(reports: readonly PruneReport[]): number {
  print(
    `Total reclaimed space: ${humanSize(
      reports.reduce((sum, { reclaimedBytes }) => sum + reclaimedBytes, 0),
      4,
    )}`,
  );
  return 0;
}
