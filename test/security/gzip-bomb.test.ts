import { gzipSync } from 'node:zlib';

import { expect } from '@jest/globals';

import { needs } from '../support/needs.js';
import { archive, Cell, chunks, entry } from '../support/tar.js';
import { decompress } from '../../lib/archive/compression.js';

const { describe, test } = needs('root');

/** 64 MiB of zeros in 64 KiB, ten times. */
const bomb = (): Buffer => {
  const member = gzipSync(Buffer.alloc(64 << 20), { level: 9 });
  return Buffer.concat(Array.from({ length: 10 }, () => member));
};

describe('CVE-2026-59873, CVE-2017-14992: a decompression bomb', () => {
  test('a layer stops at maxBytes, and says which limit it was', async () => {
    using cell = new Cell();
    const head = entry({ name: 'zeros', size: Buffer.from('800000000000001000000000', 'hex') });
    await expect(cell.apply(Buffer.concat([gzipSync(head), bomb()]), { maxBytes: 100 << 20 })).rejects.toMatchObject({
      code: 'CTR_LIMIT',
      limit: 100 << 20,
    });
  });

  test('also when it is all behind the end mark', async () => {
    using cell = new Cell();
    await expect(
      cell.apply(Buffer.concat([gzipSync(archive()), bomb()]), { maxBytes: 100 << 20 }),
    ).rejects.toMatchObject({
      code: 'CTR_LIMIT',
    });
  });

  test('a layer of endless entries stops at maxEntries', async () => {
    using cell = new Cell();
    const many = archive(...Array.from({ length: 101 }, (_, i) => entry({ name: `file${i}` })));
    await expect(cell.apply(many, { maxEntries: 100 })).rejects.toMatchObject({ code: 'CTR_LIMIT', limit: 100 });
  });

  test('a stream stops at a ratio', async () => {
    let bytes = 0;
    const reading = (async () => {
      for await (const chunk of decompress(chunks(bomb()), {
        maxRatio: 100,
        call: 'images.load',
        source: 'bomb.tar.gz',
      }))
        bytes += chunk.length;
    })();
    await expect(reading).rejects.toMatchObject({
      code: 'CTR_LIMIT',
      message: expect.stringContaining('images.load: bomb.tar.gz: unpacks to more than 100 times its size'),
    });
    expect(bytes).toBeLessThan(80 << 20);
  });
});
