import { lstatSync, readlinkSync, statSync } from 'node:fs';

import { expect } from '@jest/globals';

import { needs } from '../support/needs.js';
import { archive, Cell, entry } from '../support/tar.js';

const { describe, test } = needs('root');

describe('a hard link cannot leave the root', () => {
  for (const link of ['../outside/secret', '../..', 'a/../../outside/secret', '..']) {
    test(`${link} is refused`, async () => {
      using cell = new Cell();
      await expect(cell.apply(archive(entry({ name: 'stolen', type: '1', link })))).rejects.toMatchObject({
        code: 'CTR_PARSE',
        message: 'images.pull: layer: stolen: its hard link leaves the root',
      });
      expect(cell.intact()).toBe(true);
    });
  }

  test('an absolute target is looked for inside', async () => {
    using cell = new Cell();
    await expect(cell.apply(archive(entry({ name: 'stolen', type: '1', link: cell.secret })))).rejects.toMatchObject({
      code: 'CTR_PARSE',
      message: "images.pull: layer: stolen: its hard link's target is not in this layer",
    });
    expect(cell.intact()).toBe(true);
  });

  test('nor through a symlinked directory', async () => {
    using cell = new Cell();
    const bytes = archive(
      entry({ name: 'out', type: '2', link: '../outside' }),
      entry({ name: 'stolen', type: '1', link: 'out/secret' }),
    );
    await expect(cell.apply(bytes)).rejects.toMatchObject({ code: 'CTR_PARSE' });
    expect(cell.intact()).toBe(true);
  });

  test('a hard link to a symlink is another name of the symlink, not of what it leads to', async () => {
    using cell = new Cell();
    await cell.apply(
      archive(
        entry({ name: 'link', type: '2', link: cell.secret }),
        entry({ name: 'other', type: '1', link: 'link' }),
        entry({ name: 'other', body: 'evil' }),
      ),
    );
    expect(cell.intact()).toBe(true);
    expect(readlinkSync(cell.path('link'))).toBe(cell.secret);
    expect(lstatSync(cell.path('other')).isFile()).toBe(true);
  });

  test('to the root, or to a directory, is refused', async () => {
    for (const link of ['.', '/', 'dir']) {
      using cell = new Cell();
      const bytes = archive(
        entry({ name: 'dir/', type: '5', mode: '0000755' }),
        entry({ name: 'stolen', type: '1', link }),
      );
      await expect(cell.apply(bytes)).rejects.toMatchObject({ code: 'CTR_PARSE' });
    }
  });

  test('to itself changes nothing', async () => {
    using cell = new Cell();
    await cell.apply(
      archive(entry({ name: 'self', body: 'still here' }), entry({ name: 'self', type: '1', link: 'self' })),
    );
    expect(cell.read('self')).toBe('still here');
    expect(statSync(cell.path('self')).nlink).toBe(1);
  });

  test('a file over a hard link leaves the other name alone', async () => {
    using cell = new Cell();
    await cell.apply(
      archive(
        entry({ name: 'one', body: 'first' }),
        entry({ name: 'two', type: '1', link: 'one' }),
        entry({ name: 'two', body: 'second' }),
      ),
    );
    expect([cell.read('one'), cell.read('two')]).toEqual(['first', 'second']);
  });
});
