import type { Invocation } from '../command.js';
import type { checkFlags } from '../commands/system.js';
import { TransferLines } from '../progress.js';
import { print, withEngine } from '../session.js';
import { UsageError } from '../usage-error.js';
import { humanSize } from '../units.js';

/** `system check`. Exits with 1 when something is wrong and was not repaired. */
export async function check({ globals, flags }: Invocation<typeof checkFlags>): Promise<number> {
  const { format, quick, repair } = flags;
  if (format !== undefined && format !== 'json') throw new UsageError(`invalid format '${format}': it is json`, 1);
  return withEngine(globals, async ({ engine, signal }) => {
    const checking = engine.check({ quick, repair, signal });
    if (format === undefined && process.stdout.isTTY) await new TransferLines(process.stdout, 'Check').show(checking);
    const found = await checking;
    if (format === 'json') print(JSON.stringify(found));
    else {
      for (const { kind, ref, reason, outcome } of found.problems) print(`${kind} ${ref}: ${reason} (${outcome})`);
      print(
        `${found.images} images, ${found.blobs} blobs, ${found.snapshots} unpacked layers, ${humanSize(found.verifiedBytes)} verified`,
      );
      print(found.problems.length === 0 ? 'No problems found' : `${found.problems.length} problems found`);
      if (found.pullAgain.length > 0) print(`Pull or load again: ${found.pullAgain.join(', ')}`);
    }
    return found.problems.some(({ outcome }) => outcome === 'left') ? 1 : 0;
  });
}
