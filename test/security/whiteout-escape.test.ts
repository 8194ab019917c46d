import { existsSync, writeFileSync } from 'node:fs';

import { expect } from '@jest/globals';

import { needs } from '../support/needs.js';
import { archive, Cell, entry } from '../support/tar.js';

const { describe, test } = needs('root');

for (const whiteouts of ['overlay', 'delete'] as const) {
  describe(`a whiteout (${whiteouts}) cannot take away what is not below the root`, () => {
    for (const name of ['.wh..', '.wh...', 'dir/.wh...', 'dir/.wh..', '.wh.']) {
      test(`${name} is refused`, async () => {
        using cell = new Cell();
        await expect(
          cell.apply(archive(entry({ name: 'dir/', type: '5' }), entry({ name })), { whiteouts }),
        ).rejects.toMatchObject({
          code: 'CTR_PARSE',
        });
        expect(existsSync(cell.path('dir'))).toBe(true);
        expect(cell.intact()).toBe(true);
      });
    }

    test('nor through ..', async () => {
      using cell = new Cell();
      await expect(cell.apply(archive(entry({ name: '../outside/.wh.secret' })), { whiteouts })).rejects.toMatchObject({
        code: 'CTR_PARSE',
      });
      await expect(
        cell.apply(archive(entry({ name: '../outside/.wh..wh..opq' })), { whiteouts }),
      ).rejects.toMatchObject({ code: 'CTR_PARSE' });
      expect(cell.intact()).toBe(true);
    });

    for (const name of ['out/.wh.secret', 'out/.wh..wh..opq']) {
      test(`nor through a symlink: ${name}`, async () => {
        for (const link of ['../outside', '/../outside']) {
          using cell = new Cell();
          await cell
            .apply(archive(entry({ name: 'out', type: '2', link }), entry({ name })), { whiteouts })
            .catch((error: unknown) => {
              expect(error).toMatchObject({ code: expect.stringMatching(/^CTR_/) });
            });
          expect(cell.intact()).toBe(true);
        }
      });
    }
  });
}

test('a whiteout of a symlink removes the symlink, not what it leads to', async () => {
  using cell = new Cell();
  writeFileSync(cell.path('target'), 'stays');
  await cell.apply(archive(entry({ name: 'link', type: '2', link: 'target' })));
  await cell.apply(archive(entry({ name: '.wh.link' })), { whiteouts: 'delete' });
  expect(existsSync(cell.path('link'))).toBe(false);
  expect(cell.read('target')).toBe('stays');
});
