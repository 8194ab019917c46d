import { expect } from '@jest/globals';

import { needs } from '../support/needs.js';
import { archive, Cell, entry, pax, treeOf } from '../support/tar.js';

const { describe, test } = needs('root', 'tar');

// overlayfs trusts these in its layers: a redirect shows another directory in place of this one, metacopy takes content from elsewhere.
describe('attributes of overlayfs in a layer', () => {
  test('are left out, and counted', async () => {
    using cell = new Cell();
    const smuggled = { redirect: '/etc', metacopy: '', opaque: 'y', origin: 'x', 'overlay.whiteout': 'y' };
    const records = Object.keys(smuggled).flatMap(key => [
      [`SCHILY.xattr.trusted.overlay.${key}`, 'y'],
      [`SCHILY.xattr.user.overlay.${key}`, 'y'],
    ]);
    const applied = await cell.apply(
      archive(
        pax(Object.fromEntries(records) as Record<string, string>),
        entry({ name: 'dir/', type: '5', mode: '0000755' }),
      ),
    );
    expect(applied.skippedXattrs).toBe(10);
    expect(JSON.stringify(await treeOf(cell.root))).not.toContain('overlay');
  });
});
