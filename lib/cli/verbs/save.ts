import { createWriteStream, renameSync, rmSync, statSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';

import type { PlatformString } from '../../types.js';
import type { Invocation } from '../command.js';
import type { saveFlags } from '../commands/image.js';
import { withEngine } from '../session.js';
import { UsageError } from '../usage-error.js';

/** `save`. */
export async function save({ globals, flags, args }: Invocation<typeof saveFlags>): Promise<number> {
  const { output, format = 'docker', platform } = flags;
  if (format !== 'docker' && format !== 'oci')
    throw new UsageError(`invalid format '${format}': it is docker or oci`, 1);
  if (output === undefined && process.stdout.isTTY)
    throw new UsageError('cowardly refusing to save to a terminal. Use the -o flag or redirect', 1);
  return withEngine(globals, async ({ engine, signal }) => {
    const archive = engine.images.save(args, {
      format,
      signal,
      ...(platform === undefined ? {} : { platform: platform as PlatformString }),
    });
    if (output === undefined) await pipeline(archive, process.stdout, { end: false });
    else await writeWhole(archive, output);
    return 0;
  });
}

/** A file that is there is the whole archive; a pipe or a device is written as it is. */
async function writeWhole(archive: NodeJS.ReadableStream, path: string): Promise<void> {
  const special = statSync(path, { throwIfNoEntry: false })?.isFile() === false;
  if (special) return pipeline(archive, createWriteStream(path));
  const aside = `${path}.tmp-${process.pid}`;
  try {
    await pipeline(archive, createWriteStream(aside, { mode: 0o600 }));
    renameSync(aside, path);
  } catch (error) {
    rmSync(aside, { force: true });
    throw error;
  }
}
