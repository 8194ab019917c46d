import type { Engine } from '../../engine.js';
import { errorCode } from '../../errors.js';
import { parseReference } from '../../oci/reference.js';
import type { AbortOptions, Digest, PlatformString } from '../../types.js';
import type { Invocation } from '../command.js';
import type { pullFlags } from '../commands/image.js';
import { TransferLines } from '../progress.js';
import { print, withEngine } from '../session.js';

/** `pull`. */
export async function pull({ globals, flags, args: [ref = ''] }: Invocation<typeof pullFlags>): Promise<number> {
  return withEngine(globals, async ({ engine, signal }) => {
    const { platform, quiet } = flags;
    await fetchImage(engine, ref, {
      quiet,
      output: process.stdout,
      signal,
      ...(platform === undefined ? {} : { platform }),
    });
    print(parseReference(ref).toString());
    return 0;
  });
}

export interface FetchOptions extends AbortOptions {
  readonly quiet: boolean;
  readonly output: NodeJS.WriteStream;
  readonly platform?: string;
}

/** Pulls an image and tells of it as Docker does. */
export async function fetchImage(
  engine: Engine,
  ref: string,
  { quiet, output, platform, signal }: FetchOptions,
): Promise<void> {
  const reference = parseReference(ref, { call: 'images.pull' });
  const say = (line: string): void => void (quiet || output.write(`${line}\n`));
  const before = await idOf(engine, reference.toString());
  if (!ref.includes('@') && !/:[^/]*$/.test(ref)) say(`Using default tag: ${reference.version}`);
  const pulling = engine.images.pull(ref, {
    ...(platform === undefined ? {} : { platform: platform as PlatformString }),
    ...(signal === undefined ? {} : { signal }),
  });
  pulling.catch(() => {}); // Heard of below.
  say(`${reference.version}: Pulling from ${reference.path}`);
  const resolved = quiet ? undefined : await new TransferLines(output, 'Pull').show(pulling);
  const image = await pulling;
  if (resolved !== undefined) say(`Digest: ${resolved}`);
  say(`Status: ${before === image.id ? 'Image is up to date' : 'Downloaded newer image'} for ${reference.familiar()}`);
}

async function idOf(engine: Engine, ref: string): Promise<Digest | undefined> {
  try {
    return (await engine.images.get(ref)).id;
  } catch (error) {
    if (errorCode(error) === 'CTR_NOT_FOUND') return undefined;
    throw error;
  }
}
