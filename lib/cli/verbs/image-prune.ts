import type { Digest } from '../../types.js';
import type { Invocation } from '../command.js';
import type { pruneImagesFlags } from '../commands/image.js';
import { imagePruneFilter } from '../filters.js';
import { print, withEngine, type Session } from '../session.js';
import { confirmed, total } from './prune.js';
import type { ImageFilter } from '../../image/filter.js';
import type { PruneReport } from '../../types.js';

/** `image prune`. */
export async function pruneImages({ globals, flags }: Invocation<typeof pruneImagesFlags>): Promise<number> {
  const filter = imagePruneFilter(flags.filter);
  const what = flags.all ? 'images without at least one container associated to them' : 'dangling images';
  if (!(await confirmed(`This will remove all ${what}.`, flags))) return 0;
  return withEngine(globals, async session => {
    const { report, lines } = await pruneAndTell(session, { ...filter, dangling: !flags.all });
    for (const line of lines) print(line);
    return total([report]);
  });
}

/** Removes images, and what Docker says of it: names that were taken away, and ids. */
export async function pruneAndTell(
  { engine, signal }: Session,
  filter: ImageFilter,
): Promise<{ report: PruneReport; lines: string[] }> {
  const names = new Map<string, readonly string[]>();
  for (const image of await engine.images.list({}, { signal })) names.set(image.id, (await image.inspect()).tags);
  const report = await engine.images.prune(filter, { signal });
  if (report.removed.length === 0) return { report, lines: [] };
  const lines = report.removed.flatMap(id => [
    ...(names.get(id as Digest) ?? []).map(name => `untagged: ${name}`),
    `deleted: ${id}`,
  ]);
  return { report, lines: ['Deleted Images:', ...lines, ''] };
}
