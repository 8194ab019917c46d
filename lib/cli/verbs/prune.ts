import { createInterface } from 'node:readline/promises';

import type { PruneReport } from '../../types.js';
import type { Invocation } from '../command.js';
import type { pruneFlags } from '../commands/container.js';
import type { pruneImagesFlags } from '../commands/image.js';
import type { systemPruneFlags } from '../commands/system.js';
import type { pruneVolumesFlags } from '../commands/volume.js';
import { labelFilter, pruneFilter } from '../filters.js';
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

/** `image prune`. */
export async function pruneImages({ globals, flags }: Invocation<typeof pruneImagesFlags>): Promise<number> {
  const filter = labelFilter(flags.filter);
  const what = flags.all ? 'images without at least one container associated to them' : 'dangling images';
  if (!(await confirmed(`This will remove all ${what}.`, flags))) return 0;
  return withEngine(globals, async ({ engine, signal }) =>
    report('Images', [await engine.images.prune({ ...filter, dangling: !flags.all }, { signal })]),
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
  const filter = labelFilter(flags.filter);
  const what = flags.all ? 'local volumes' : 'anonymous local volumes';
  if (!(await confirmed(`This will remove ${what} not used by at least one container.`, flags))) return 0;
  return withEngine(globals, async ({ engine, signal }) =>
    report('Volumes', [await engine.volumes.prune({ ...filter, all: flags.all }, { signal })]),
  );
}

/** `system prune`. */
export async function pruneSystem({ globals, flags }: Invocation<typeof systemPruneFlags>): Promise<number> {
  const what = [
    'all stopped containers',
    'all networks not used by at least one container',
    ...(flags.volumes ? ['all anonymous volumes not used by at least one container'] : []),
    flags.all ? 'all images without at least one container associated to them' : 'all dangling images',
    'all content that nothing refers to',
  ];
  if (!(await confirmed(`This will remove:\n${what.map(line => `  - ${line}`).join('\n')}\n`, flags))) return 0;
  return withEngine(globals, async ({ engine, signal }) => {
    // Containers first: what they hold on to is free then. The engine's own prune ends with the content of the store.
    const kinds = [
      ['Containers', await engine.containers.prune({}, { signal })],
      ['Networks', await engine.networks.prune({}, { signal })],
      ...(flags.volumes ? [['Volumes', await engine.volumes.prune({}, { signal })] as const] : []),
      ['Images', await engine.images.prune({ dangling: !flags.all }, { signal })],
    ] as const;
    const rest = await engine.prune({ signal });
    for (const [name, { removed }] of kinds) list(name, removed);
    return total([...kinds.map(([, pruned]) => pruned), rest]);
  });
}

interface Force {
  readonly force: boolean;
}

/** Asks, unless `--force` answers. Where nobody can be asked, the answer is no. */
async function confirmed(warning: string, { force }: Force): Promise<boolean> {
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

function list(kind: string, removed: readonly string[]): void {
  if (removed.length > 0) print([`Deleted ${kind}:`, ...removed, ''].join('\n'));
}

function total(reports: readonly PruneReport[]): number {
  print(
    `Total reclaimed space: ${humanSize(
      reports.reduce((sum, { reclaimedBytes }) => sum + reclaimedBytes, 0),
      4,
    )}`,
  );
  return 0;
}
