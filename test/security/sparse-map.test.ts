import { statSync } from 'node:fs';

import { expect } from '@jest/globals';

import { needs } from '../support/needs.js';
import { archive, Cell, entry, pax } from '../support/tar.js';

const { describe, test } = needs('root');

const gnu1 = {
  'GNU.sparse.major': '1',
  'GNU.sparse.minor': '0',
  'GNU.sparse.name': 'file',
  'GNU.sparse.realsize': '1000',
};
const map = (text: string, data = ''): string => text.padEnd(512, '\0') + data;

describe('a sparse map that lies', () => {
  for (const [what, body] of Object.entries({
    'pieces that overlap': map('2\n0\n10\n5\n10\n', 'x'.repeat(20)),
    'pieces out of order': map('2\n100\n10\n0\n10\n', 'x'.repeat(20)),
    'a piece beyond the end': map('1\n995\n10\n', 'x'.repeat(10)),
    'a piece that wraps around': map('1\n9223372036854775807\n10\n', 'x'.repeat(10)),
    'less data than pieces': map('1\n0\n10\n', 'x'),
    'more data than pieces': map('1\n0\n10\n', 'x'.repeat(20)),
    'more pieces than map': map('1000000\n0\n10\n'),
    'too many pieces': map('99999999999\n'),
    'no number': map('one\n'),
    'a negative number': map('1\n-1\n10\n', 'x'.repeat(10)),
    'a number without end': '1'.repeat(1024),
    'no map at all': '',
  })) {
    test(`with ${what} is refused`, async () => {
      using cell = new Cell();
      await expect(cell.apply(archive(pax(gnu1), entry({ name: 'GNUSparseFile.1/file', body })))).rejects.toMatchObject(
        { code: 'CTR_PARSE' },
      );
    });
  }

  test('a hole of many terabytes takes no space', async () => {
    using cell = new Cell();
    const records = { ...gnu1, 'GNU.sparse.realsize': String(2 ** 43) };
    await cell.apply(archive(pax(records), entry({ name: 'x', body: map('1\n0\n4\n', 'data') })));
    const { size, blocks } = statSync(cell.path('file'));
    expect([size, blocks < 64]).toEqual([2 ** 43, true]);
  });

  test("in GNU's old form it is held to the same", async () => {
    using cell = new Cell();
    const patch = { 386: '00000000000\0' + '00000000144\0', 483: '00000000012\0' };
    const bytes = archive(entry({ name: 'file', type: 'S', magic: 'ustar  \0', patch, body: 'x'.repeat(100) }));
    await expect(cell.apply(bytes)).rejects.toMatchObject({ code: 'CTR_PARSE' });
  });
});
