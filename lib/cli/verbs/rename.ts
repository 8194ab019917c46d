import type { Invocation } from '../command.js';
import { withEngine } from '../session.js';
import { UsageError } from '../usage-error.js';

/** `rename`. */
export async function rename({
  globals,
  args: [ref = '', name = ''],
}: Invocation<Record<never, never>>): Promise<number> {
  const wanted = name.trim().replace(/^\//, '');
  if (ref.trim() === '' || wanted === '') throw new UsageError('neither the old nor the new name may be empty', 1);
  return withEngine(globals, async ({ engine, signal }) => {
    await (await engine.containers.get(ref, { signal })).rename(wanted, { signal });
    return 0;
  });
}
