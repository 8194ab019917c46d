import { describe, expect, test } from '@jest/globals';

import { mediaTypes, type Descriptor, type Platform } from '../../lib/oci/descriptor.js';
import { sha256 } from '../../lib/oci/digest.js';
import type { ImageIndex } from '../../lib/oci/image-spec.js';
import {
  choosePlatform,
  compatiblePlatforms,
  formatPlatform,
  hostPlatform,
  normalizePlatform,
  parsePlatform,
} from '../../lib/oci/platform.js';
import type { PlatformString } from '../../lib/types.js';

describe('a platform has one spelling', () => {
  test.each([
    ['linux/amd64', 'linux/amd64'],
    ['linux/x86_64', 'linux/amd64'],
    ['linux/amd64/v1', 'linux/amd64'],
    ['linux/amd64/v3', 'linux/amd64/v3'],
    ['linux/aarch64', 'linux/arm64'],
    ['linux/arm64/v8', 'linux/arm64'],
    ['linux/arm64/8', 'linux/arm64'],
    ['linux/arm', 'linux/arm/v7'],
    ['linux/arm/7', 'linux/arm/v7'],
    ['linux/armhf', 'linux/arm/v7'],
    ['linux/armel', 'linux/arm/v6'],
    ['Linux/i386', 'linux/386'],
    ['linux/riscv64', 'linux/riscv64'],
    ['linux/__proto__', 'linux/__proto__'],
  ])('%s is %s', (text, spelled) => {
    expect(formatPlatform(parsePlatform(text))).toBe(spelled);
    expect(formatPlatform(parsePlatform(spelled))).toBe(spelled);
  });

  test.each(['', 'linux', 'linux/', '/amd64', 'linux/arm/v7/x', 'linux/arm/', 'lin ux/amd64', 'linux/amd64\n'])(
    '%j is refused',
    text => expect(() => parsePlatform(text)).toThrow(/is not a platform: expected os\/architecture/),
  );

  test('this process runs on one', () => {
    expect(formatPlatform(hostPlatform())).toMatch(/^linux\/(amd64|arm64|arm\/v\d|386|riscv64|ppc64|s390x)$/);
  });
});

test.each([
  ['linux/amd64', ['linux/amd64', 'linux/386']],
  ['linux/amd64/v3', ['linux/amd64/v3', 'linux/amd64/v2', 'linux/amd64', 'linux/386']],
  ['linux/arm/v7', ['linux/arm/v7', 'linux/arm/v6', 'linux/arm/v5']],
  ['linux/arm64', ['linux/arm64', 'linux/arm/v8', 'linux/arm/v7', 'linux/arm/v6', 'linux/arm/v5']],
  ['linux/s390x', ['linux/s390x']],
])('%s runs images for these, best first', (text, expected) => {
  expect(compatiblePlatforms(parsePlatform(text)).map(formatPlatform)).toEqual(expected);
});

describe('of an index', () => {
  const image = (platform?: Platform | PlatformString, more: Partial<Descriptor> = {}): Descriptor => ({
    mediaType: mediaTypes.ociManifest,
    digest: sha256(JSON.stringify([platform, more])),
    size: 2,
    ...(platform && { platform: typeof platform === 'string' ? parsed(platform) : platform }),
    ...more,
  });
  const index = (...manifests: Descriptor[]): ImageIndex => ({
    schemaVersion: 2,
    mediaType: mediaTypes.ociIndex,
    manifests,
  });

  const amd64 = image('linux/amd64');
  const arm6 = image('linux/arm/v6');
  const arm7 = image('linux/arm/v7');
  const arm64 = image({ os: 'linux', architecture: 'arm64', variant: 'v8' });

  test.each([
    ['linux/amd64', [arm7, amd64], amd64],
    ['linux/arm64', [arm7, arm64], arm64],
    ['linux/arm/v7', [arm6, arm7], arm7],
    ['linux/arm/v7', [amd64, arm6], arm6],
    ['linux/amd64', [image('linux/amd64/v3'), amd64], amd64],
    ['linux/amd64', [amd64, image('linux/amd64', { size: 3 })], amd64],
  ] as const)('%s gets the best there is', (wanted, manifests, expected) => {
    expect(choosePlatform(index(...manifests), wanted)).toBe(expected);
  });

  test('an entry that says no platform is taken only when no other fits', () => {
    const unsaid = image(undefined, { mediaType: mediaTypes.ociIndex });
    expect(choosePlatform(index(unsaid, amd64), 'linux/amd64')).toBe(amd64);
    expect(choosePlatform(index(amd64, unsaid), 'linux/s390x')).toBe(unsaid);
  });

  test('an attestation is not an image', () => {
    const attestation = image(
      { os: 'unknown', architecture: 'unknown' },
      { annotations: { 'vnd.docker.reference.type': 'attestation-manifest' } },
    );
    expect(() => choosePlatform(index(attestation), 'linux/amd64')).toThrow(/no image at all/);
  });

  test('what is not there is refused with what is', () => {
    const choose = (): unknown =>
      choosePlatform(index(amd64, arm7, arm64), 'linux/s390x', { call: 'images.pull', ref: 'alpine:3' });
    expect(choose).toThrow(
      'images.pull: no such image: alpine:3 for linux/s390x. ' +
        'It is there for linux/amd64, linux/arm/v7, linux/arm64. Pass one of these as platform',
    );
  });

  function parsed(text: string): Platform {
    return normalizePlatform(parsePlatform(text));
  }
});
