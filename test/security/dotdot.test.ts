import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { expect } from '@jest/globals';

import { needs } from '../support/needs.js';
import { archive, Cell, entry, pax } from '../support/tar.js';

const { describe, test } = needs('root');

/** What each of these would be, joined to the root: something outside. */
const names = ['../evil', 'a/../../evil', './../evil', '..', '../root/../evil', 'a/b/../../../outside/evil'];

describe('a name that leaves the root by ..', () => {
  for (const name of names) {
    test(`${name} is refused, by name`, async () => {
      using cell = new Cell();
      await expect(cell.apply(archive(entry({ name, body: 'evil' })))).rejects.toMatchObject({
        code: 'CTR_PARSE',
        message: expect.stringContaining('it leaves the root'),
      });
      expect(existsSync(join(cell.home, 'evil'))).toBe(false);
      expect(cell.intact()).toBe(true);
    });
  }

  test('in a PAX header it is refused as well', async () => {
    using cell = new Cell();
    await expect(cell.apply(archive(pax({ path: '../evil' }), entry({ name: 'good' })))).rejects.toMatchObject({
      code: 'CTR_PARSE',
    });
    expect(existsSync(join(cell.home, 'evil'))).toBe(false);
  });

  test('in a GNU long name it is refused as well', async () => {
    using cell = new Cell();
    const long = entry({ name: '././@LongLink', type: 'L', body: `${'a/'.repeat(100)}${'../'.repeat(101)}evil\0` });
    await expect(cell.apply(archive(long, entry({ name: 'good' })))).rejects.toMatchObject({ code: 'CTR_PARSE' });
  });

  test('.. that stays inside is followed, as Docker does', async () => {
    using cell = new Cell();
    await cell.apply(archive(entry({ name: 'a/b/../c', body: 'inside' })));
    expect(cell.read('a/c')).toBe('inside');
  });
});
