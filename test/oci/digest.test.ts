import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { algorithmOf, digester, hexOf, isDigest, parseDigest, sha256 } from '../../lib/oci/digest.js';

const EMPTY = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

describe('a digest', () => {
  test('of nothing is the well-known one', () => {
    expect(sha256('')).toBe(EMPTY);
    expect(hexOf(EMPTY)).toHaveLength(64);
    expect(algorithmOf(EMPTY)).toBe('sha256');
    expect(algorithmOf(`sha512:${'0'.repeat(128)}`)).toBe('sha512');
  });

  test.each([
    ['', /is not a digest: expected algorithm:hex/],
    ['sha256', /expected algorithm:hex/],
    [`sha256:${'a'.repeat(63)}`, /64 lower-case hexadecimal digits/],
    [`sha256:${'A'.repeat(64)}`, /lower-case/],
    [`sha512:${'a'.repeat(64)}`, /128 lower-case/],
    [`md5:${'a'.repeat(32)}`, /only sha256 and sha512 are known/],
    [`sha256:../../${'a'.repeat(58)}`, /lower-case/],
    [`${EMPTY}\n`, /lower-case/],
    [`x${'y'.repeat(100_000)}:z`, /only sha256 and sha512/],
  ])('%.80j is refused', (text, message) => {
    expect(() => parseDigest(text, { call: 'images.pull' })).toThrow(message);
    expect(isDigest(text)).toBe(false);
  });

  test.each(['sha256', 'sha512'] as const)('%s is the same however the bytes are cut', algorithm => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 50 })), pieces => {
        const [whole, cut] = [digester(algorithm), digester(algorithm)];
        whole.update(Buffer.concat(pieces));
        for (const piece of pieces) cut.update(piece);
        expect(cut.digest()).toBe(parseDigest(whole.digest()));
      }),
    );
  });
});
