import { Readable } from 'node:stream';

import type { PlatformString } from '../../types.js';
import type { Invocation } from '../command.js';
import type { importFlags } from '../commands/image.js';
import { print, withEngine } from '../session.js';
import { UsageError } from '../usage-error.js';

/** `import`. */
export async function importImage({
  globals,
  flags,
  args: [source = '-', ref],
}: Invocation<typeof importFlags>): Promise<number> {
  const { change, message, platform } = flags;
  return withEngine(globals, async ({ engine, signal }) => {
    const image = await engine.images.import(await open(source, signal), {
      changes: change,
      message: message ?? `Imported from ${source}`,
      signal,
      ...(ref === undefined || ref === '' ? {} : { ref }),
      ...(platform === undefined ? {} : { platform: platform as PlatformString }),
    });
    print(image.id);
    return 0;
  });
}

async function open(source: string, signal: AbortSignal): Promise<string | Readable> {
  if (source === '-') return process.stdin;
  if (!/^https?:\/\//.test(source)) return source;
  const response = await fetch(source, { signal });
  if (!response.ok || response.body === null)
    throw new UsageError(`${source}: the server answered ${response.status}`, 1);
  return Readable.fromWeb(response.body);
}
