import { expect } from '@jest/globals';

import { needs } from '../support/needs.js';
import { archive, Cell, entry, pax } from '../support/tar.js';

const { describe, test } = needs('root');

describe('a malformed header', () => {
  for (const [what, bytes] of Object.entries({
    'a wrong checksum': entry({ checksum: '0000000' }),
    'a mode that is no number': entry({ mode: '00x0644' }),
    'an owner out of range': entry({ uid: Buffer.from('80000000ffffffff', 'hex') }),
    'a negative owner': entry({ uid: Buffer.from('fffffffffffffffe', 'hex') }),
    'an unknown type': entry({ type: 'Z' }),
    'a multi-volume entry': entry({ type: 'M' }),
    'no header but text': Buffer.alloc(1024, 'text '),
    'a symlink without a target': entry({ type: '2' }),
    'a symlink with a target of 4,096 bytes': Buffer.concat([
      pax({ linkpath: 'x'.repeat(4096) }),
      entry({ type: '2' }),
    ]),
    'half an end mark': Buffer.concat([Buffer.alloc(512), entry({})]),
    'a long name of 2 MiB': entry({ type: 'L', body: Buffer.alloc(2 << 20, 'a') }),
  })) {
    test(`with ${what} is refused`, async () => {
      using cell = new Cell();
      await expect(cell.apply(archive(bytes))).rejects.toMatchObject({ code: 'CTR_PARSE' });
    });
  }

  test('a sum of signed bytes, as old programs wrote it, is good', async () => {
    using cell = new Cell();
    const bytes = entry({ name: Buffer.from('f\xfcr', 'latin1') });
    const signed = bytes
      .subarray(0, 512)
      .reduce((sum, byte, at) => sum + (at >= 148 && at < 156 ? 32 : byte > 127 ? byte - 256 : byte), 0);
    bytes.write(`${signed.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    await expect(cell.apply(archive(bytes))).resolves.toMatchObject({ entries: 1 });
  });
});
