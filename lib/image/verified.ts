import { IntegrityError } from '../errors.js';
import type { Descriptor } from '../oci/descriptor.js';
import { algorithmOf, digester } from '../oci/digest.js';

/**
 * Passes bytes on and fails before the end when they are not what their descriptor says: a disk may change what was good
 * when it was stored.
 *
 * @throws {@link IntegrityError}
 */
export async function* verified(
  content: AsyncIterable<Uint8Array>,
  { digest, size }: Pick<Descriptor, 'digest' | 'size'>,
  origin: { readonly call: string; readonly what: string; readonly remedy?: string },
): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = digester(algorithmOf(digest));
  let bytes = 0;
  let last: Uint8Array | undefined;
  for await (const chunk of content) {
    bytes += chunk.length;
    if (bytes > size) break;
    // One chunk behind: who counts bytes must not see the last ones of a blob that is wrong.
    if (last !== undefined) yield last;
    hash.update(chunk);
    last = chunk;
  }
  if (bytes !== size) {
    const actual = bytes > size ? `more than ${size} bytes` : `${bytes} bytes`;
    throw new IntegrityError({ ...origin, expected: `${size} bytes`, actual });
  }
  const actual = hash.digest();
  if (actual !== digest) throw new IntegrityError({ ...origin, expected: digest, actual });
  if (last !== undefined) yield last;
}
