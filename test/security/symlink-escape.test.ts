import { lstatSync, readlinkSync } from 'node:fs';

import { expect } from '@jest/globals';

import { needs } from '../support/needs.js';
import { archive, Cell, entry } from '../support/tar.js';

const { describe, test } = needs('root');

describe('a layer cannot write through a symlink that leaves the root', () => {
  test('an absolute symlink leads to the same place inside', async () => {
    using cell = new Cell();
    await cell.apply(
      archive(
        entry({ name: 'out', type: '2', link: cell.outside }),
        entry({ name: `${cell.outside}/`, type: '5', mode: '0000755' }),
        entry({ name: 'out/secret', body: 'evil' }),
      ),
    );
    expect(cell.intact()).toBe(true);
    expect(cell.read(cell.secret)).toBe('evil');
    expect(readlinkSync(cell.path('out'))).toBe(cell.outside);
  });

  test('a symlink that climbs over the root is refused when something goes through it', async () => {
    using cell = new Cell();
    const bytes = archive(
      entry({ name: 'out', type: '2', link: '../outside' }),
      entry({ name: 'out/secret', body: 'evil' }),
    );
    await expect(cell.apply(bytes)).rejects.toMatchObject({
      code: 'CTR_PARSE',
      message: 'images.pull: layer: out/secret: it leads out of the root through a symlink',
    });
    expect(cell.intact()).toBe(true);
  });

  test('nor does a chain of harmless ones', async () => {
    using cell = new Cell();
    const bytes = archive(
      entry({ name: 'a/b/', type: '5', mode: '0000755' }),
      entry({ name: 'a/b/up', type: '2', link: '..' }),
      entry({ name: 'a/upper', type: '2', link: 'b/up/..' }),
      entry({ name: 'top', type: '2', link: 'a/upper/..' }),
      entry({ name: 'top/outside/secret', body: 'evil' }),
    );
    await expect(cell.apply(bytes)).rejects.toMatchObject({ code: 'CTR_PARSE' });
    expect(cell.intact()).toBe(true);
  });

  test('as a mere symlink it is kept as it is: where it leads is decided in the container', async () => {
    using cell = new Cell();
    await cell.apply(archive(entry({ name: 'mtab', type: '2', link: '../../../proc/mounts' })));
    expect(readlinkSync(cell.path('mtab'))).toBe('../../../proc/mounts');
  });

  test('a file over a symlink replaces the symlink', async () => {
    using cell = new Cell();
    await cell.apply(
      archive(entry({ name: 'file', type: '2', link: cell.secret }), entry({ name: 'file', body: 'evil' })),
    );
    expect(cell.intact()).toBe(true);
    expect(lstatSync(cell.path('file')).isFile()).toBe(true);
  });

  test('a directory over a symlink replaces the symlink, also when it leads to a directory', async () => {
    using cell = new Cell();
    await cell.apply(
      archive(
        entry({ name: 'dir', type: '2', link: cell.outside }),
        entry({ name: 'dir/', type: '5', mode: '0000777' }),
        entry({ name: 'dir/secret', body: 'evil' }),
      ),
    );
    expect(cell.intact()).toBe(true);
    expect(lstatSync(cell.path('dir')).isDirectory()).toBe(true);
  });

  test('a loop of symlinks ends', async () => {
    using cell = new Cell();
    const bytes = archive(
      entry({ name: 'a', type: '2', link: 'b' }),
      entry({ name: 'b', type: '2', link: 'a' }),
      entry({ name: 'a/x' }),
    );
    await expect(cell.apply(bytes)).rejects.toMatchObject({ code: 'CTR_PARSE' });
  });

  test('a parent that is a symlink inside is followed, as Docker does', async () => {
    using cell = new Cell();
    await cell.apply(
      archive(
        entry({ name: 'usr/lib/', type: '5', mode: '0000755' }),
        entry({ name: 'lib', type: '2', link: 'usr/lib' }),
        entry({ name: 'lib64', type: '2', link: '/lib' }),
        entry({ name: 'lib/one', body: '1' }),
        entry({ name: 'lib64/two', body: '2' }),
      ),
    );
    expect(cell.read('usr/lib/one') + cell.read('usr/lib/two')).toBe('12');
    expect(lstatSync(cell.path('lib')).isSymbolicLink()).toBe(true);
  });
});
