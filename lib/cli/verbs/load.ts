import type { PlatformString } from '../../types.js';
import type { Invocation } from '../command.js';
import type { loadFlags } from '../commands/image.js';
import { TransferLines } from '../progress.js';
import { print, withEngine } from '../session.js';
import { UsageError } from '../usage-error.js';

/** `load`. */
export async function load({ globals, flags }: Invocation<typeof loadFlags>): Promise<number> {
  if (flags.input === undefined && process.stdin.isTTY)
    throw new UsageError('requested load from stdin, but stdin is empty', 1);
  return withEngine(globals, async ({ engine, signal }) => {
    const loading = engine.images.load(flags.input ?? process.stdin, {
      signal,
      ...(flags.platform === undefined ? {} : { platform: flags.platform as PlatformString }),
    });
    if (!flags.quiet && process.stdout.isTTY) await new TransferLines(process.stdout, 'Loading layer').show(loading);
    for (const image of await loading) {
      const { id, tags } = await image.inspect();
      if (tags.length === 0) print(`Loaded image ID: ${id}`);
      for (const tag of tags) print(`Loaded image: ${tag}`);
    }
    return 0;
  });
}
