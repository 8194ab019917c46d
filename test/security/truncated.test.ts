import { gzipSync } from 'node:zlib';

import { expect } from '@jest/globals';

import { needs } from '../support/needs.js';
import { archive, Cell, entry, pax } from '../support/tar.js';

const { describe, test } = needs('root');

const whole = archive(
  pax({ path: 'directory/file' }),
  entry({ name: 'x', body: 'content '.repeat(1000) }),
  entry({ name: 'other', body: 'more' }),
);

describe('a layer that ends early', () => {
  for (const length of [1, 511, 513, 700, 1024, 1536, 1537, 5000, 9727, whole.length - 1024 - 511]) {
    test(`after ${length} bytes is refused`, async () => {
      using cell = new Cell();
      await expect(cell.apply(whole.subarray(0, length))).rejects.toMatchObject({ code: 'CTR_PARSE' });
    });
  }

  test('without its end mark is whole: many programs leave it out', async () => {
    using cell = new Cell();
    await expect(cell.apply(whole.subarray(0, whole.length - 1024))).resolves.toMatchObject({ entries: 2 });
    using half = new Cell();
    await expect(half.apply(whole.subarray(0, whole.length - 512))).resolves.toMatchObject({ entries: 2 });
  });

  test('an empty one is a layer with nothing in it', async () => {
    using cell = new Cell();
    await expect(cell.apply(Buffer.alloc(0))).resolves.toMatchObject({
      entries: 0,
      diffId: 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    });
  });

  const compressed = gzipSync(whole);
  for (const length of [3, 9, 10, 11, 20, 100, compressed.length - 9, compressed.length - 8, compressed.length - 1]) {
    test(`compressed, after ${length} of ${compressed.length} bytes, is refused`, async () => {
      using cell = new Cell();
      await expect(cell.apply(compressed.subarray(0, length))).rejects.toMatchObject({
        code: 'CTR_PARSE',
        message: 'images.pull: layer: the gzip stream ends early',
      });
    });
  }

  test('what is behind the gzip stream must be more gzip', async () => {
    using cell = new Cell();
    await expect(cell.apply(Buffer.concat([compressed, Buffer.from('garbage')]))).rejects.toMatchObject({
      code: 'CTR_PARSE',
      message: 'images.pull: layer: something follows the gzip stream',
    });
  });

  test('a flipped bit is found by the checksum', async () => {
    using cell = new Cell();
    const flipped = gzipSync(whole, { level: 0 });
    flipped[2000] = (flipped[2000] ?? 0) ^ 1;
    await expect(cell.apply(flipped)).rejects.toMatchObject({ code: 'CTR_PARSE' });
  });
});
