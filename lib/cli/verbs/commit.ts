import type { Invocation } from '../command.js';
import type { commitFlags } from '../commands/files.js';
import { print, withEngine } from '../session.js';

/** `commit`. */
export async function commit({ globals, flags, args }: Invocation<typeof commitFlags>): Promise<number> {
  const [ref = '', name] = args;
  const { author, message } = flags;
  return withEngine(globals, async ({ engine, signal }) => {
    const container = await engine.containers.get(ref, { signal });
    const image = await container.commit({
      signal,
      pause: flags.pause,
      changes: flags.change,
      ...(name === undefined ? {} : { ref: name }),
      ...(author === undefined ? {} : { author }),
      ...(message === undefined ? {} : { message }),
    });
    print(image.id);
    return 0;
  });
}
