import type { Invocation } from '../command.js';
import { print, withEngine } from '../session.js';

/** `image mount`. Nothing is left when it ends, however it ends: there is no `umount`. */
export async function mountImage({ globals, args: [ref = ''] }: Invocation<Record<never, never>>): Promise<number> {
  return withEngine(globals, async ({ engine, signal }) => {
    await using mounted = await (await engine.images.get(ref, { signal })).mount({ signal });
    print(mounted.path);
    // A signal's listener alone does not keep a process alive.
    const alive = setInterval(() => {}, 2 ** 30);
    await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve(), { once: true }));
    clearInterval(alive);
    return 0;
  });
}
