import type { Invocation } from '../command.js';
import type { systemPruneFlags } from '../commands/system.js';
import { imagePruneFilter, labelFilter, pruneFilter } from '../filters.js';
import { print, withEngine } from '../session.js';
import { pruneAndTell } from './image-prune.js';
import { confirmed, list, total } from './prune.js';

/** `system prune`. */
export async function pruneSystem({ globals, flags }: Invocation<typeof systemPruneFlags>): Promise<number> {
  const images = imagePruneFilter(flags.filter);
  const others = labelFilter(flags.filter.filter(([name]) => name === 'label'));
  const what = [
    'all stopped containers',
    'all networks not used by at least one container',
    ...(flags.volumes ? ['all anonymous volumes not used by at least one container'] : []),
    flags.all ? 'all images without at least one container associated to them' : 'all dangling images',
    'all content that nothing refers to',
  ];
  if (!(await confirmed(`This will remove:\n${what.map(line => `  - ${line}`).join('\n')}\n`, flags))) return 0;
  return withEngine(globals, async session => {
    const { engine, signal } = session;
    // Containers first: what they hold on to is free then. Of the content, what images left goes with them.
    const kinds = [
      ['Containers', await engine.containers.prune(pruneFilter(flags.filter), { signal })],
      ['Networks', await engine.networks.prune(others, { signal })],
      ...(flags.volumes ? [['Volumes', await engine.volumes.prune(others, { signal })] as const] : []),
    ] as const;
    const { report, lines } = await pruneAndTell(session, { ...images, dangling: !flags.all });
    for (const [name, { removed }] of kinds) list(name, removed);
    for (const line of lines) print(line);
    return total([...kinds.map(([, pruned]) => pruned), report]);
  });
}
