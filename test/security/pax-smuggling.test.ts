import { existsSync, readdirSync, statSync } from 'node:fs';

import { expect } from '@jest/globals';

import { needs } from '../support/needs.js';
import { archive, Cell, entry, pax } from '../support/tar.js';

const { describe, test } = needs('root');

// Two readers that see different entries in the same bytes let one of them be shown what the other does not unpack.
describe('PAX headers that mean to be read differently', () => {
  test('CVE-2025-62518 (TARmageddon): the size of PAX decides where the next header is', async () => {
    using cell = new Cell();
    const inner = entry({ name: 'smuggled', body: 'evil' });
    await cell.apply(
      archive(pax({ size: String(inner.length) }), entry({ name: 'outer', size: '00000000000', body: inner })),
    );
    expect(readdirSync(cell.root)).toEqual(['outer']);
    expect(statSync(cell.path('outer')).size).toBe(inner.length);
  });

  test('CVE-2026-53655: the size of PAX is not that of a long name in between', async () => {
    using cell = new Cell();
    await cell.apply(
      archive(
        pax({ size: '16' }),
        entry({ name: '././@LongLink', type: 'L', body: 'longname.txt\0' }),
        entry({ name: 'file_a', size: '00000000000', body: 'AAAA_file_a_body' }),
        entry({ name: 'file_b', body: 'BBBB_file_b_body' }),
      ),
    );
    expect(readdirSync(cell.root).sort()).toEqual(['file_b', 'longname.txt']);
    expect(cell.read('longname.txt')).toBe('AAAA_file_a_body');
  });

  test('a global header changes nothing', async () => {
    using cell = new Cell();
    const global = entry({ name: 'pax_global_header', type: 'g', body: '18 path=../../evil\n' });
    await cell.apply(archive(global, entry({ name: 'good', body: 'good' })));
    expect(readdirSync(cell.root)).toEqual(['good']);
  });

  test('links and directories have no content, whatever size they state', async () => {
    using cell = new Cell();
    await cell.apply(
      archive(
        entry({ name: 'link', type: '2', link: 'x', size: '00000001000' }),
        entry({ name: 'dir/', type: '5', size: '00000001000' }),
        entry({ name: 'file', body: 'seen' }),
      ),
    );
    expect(cell.read('file')).toBe('seen');
  });

  test('CVE-2026-59871: a name of digits is a name', async () => {
    using cell = new Cell();
    await cell.apply(archive(pax({ path: '12345' }), entry({ name: 'x', body: 'digits' })));
    expect(cell.read('12345')).toBe('digits');
  });

  for (const [what, body] of Object.entries({
    'a length that is too long': '99 path=evil\n',
    'a length that is too short': '5 path=evil\n',
    'a length of zero': '0 path=evil\n',
    'a negative length': '-12 path=evil\n',
    'a huge length': '99999999999999999999 path=evil\n',
    'no length': 'path=evil\n',
    'no key': '9 =evil\n\n',
    'no end of line': '12 path=evil ',
    'a NUL in its key': '13 pa\0th=evil\n',
    'a negative owner': '10 uid=-1\n',
    'an owner that is no number': '9 uid=0x\n',
    'an owner out of range': '18 uid=4294967295\n',
    'a size that is negative': '11 size=-1\n',
    'a size out of range': '28 size=9223372036854775808\n',
    'a time that is none': '12 mtime=1e9\n',
  })) {
    test(`a record with ${what} is refused`, async () => {
      using cell = new Cell();
      const bytes = archive(entry({ name: 'PaxHeaders/x', type: 'x', body }), entry({ name: 'file' }));
      await expect(cell.apply(bytes)).rejects.toMatchObject({ code: 'CTR_PARSE' });
      expect(existsSync(cell.path('evil'))).toBe(false);
    });
  }

  test('one that is larger than 1 MiB is refused', async () => {
    using cell = new Cell();
    const bytes = archive(pax({ comment: 'x'.repeat(1 << 20) }), entry({ name: 'file' }));
    await expect(cell.apply(bytes)).rejects.toMatchObject({
      code: 'CTR_PARSE',
      message: expect.stringContaining('larger than 1 MiB'),
    });
  });

  test('one that is followed by nothing is refused', async () => {
    using cell = new Cell();
    await expect(cell.apply(archive(pax({ path: 'x' })))).rejects.toMatchObject({ code: 'CTR_PARSE' });
  });
});
