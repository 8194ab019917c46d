import type { Invocation } from '../command.js';
import { print, withEngine } from '../session.js';

const letters = { added: 'A', changed: 'C', deleted: 'D' } as const;

/** `diff`. */
export async function diff({ globals, args: [ref = ''] }: Invocation<Record<never, never>>): Promise<number> {
  return withEngine(globals, async ({ engine, signal }) => {
    const container = await engine.containers.get(ref, { signal });
    for (const { kind, path } of await container.changes({ signal })) print(`${letters[kind]} ${path}`);
    return 0;
  });
}
