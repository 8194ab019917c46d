import { expect } from '@jest/globals';

import { needs } from '../support/needs.js';
import { archive, Cell, entry } from '../support/tar.js';

const { describe, test } = needs('root');

describe('an absolute name', () => {
  test('is inside the root', async () => {
    using cell = new Cell();
    await cell.apply(
      archive(entry({ name: '/etc/passwd', body: 'of the image' }), entry({ name: '//var///x/', type: '5' })),
    );
    expect(cell.read('etc/passwd')).toBe('of the image');
  });

  test('of a host file does not reach it', async () => {
    using cell = new Cell();
    await cell.apply(archive(entry({ name: cell.secret, body: 'evil' })));
    expect(cell.intact()).toBe(true);
    expect(cell.read(cell.secret)).toBe('evil');
  });
});
