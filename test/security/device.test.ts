import { lstatSync } from 'node:fs';

import { expect } from '@jest/globals';

import { needs } from '../support/needs.js';
import { archive, Cell, entry } from '../support/tar.js';

const { describe, test } = needs('root');

describe('device nodes', () => {
  test('are made as they are in the layer: whether they can be used is decided by the container', async () => {
    using cell = new Cell();
    await cell.apply(archive(entry({ name: 'dev/null', type: '3', mode: '0000666', device: ['0000001', '0000003'] })));
    const stat = lstatSync(cell.path('dev/null'));
    expect([stat.isCharacterDevice(), stat.rdev, stat.mode & 0o7777]).toEqual([true, 0x103, 0o666]);
  });

  // The kernel takes 12 and 20 bits and would silently make another device of what is larger.
  for (const device of [
    ['0010000', '0000000'],
    ['0000000', '4000000'],
    ['7777777', '7777777'],
  ] as const) {
    test(`number ${device.join(':')} is refused`, async () => {
      using cell = new Cell();
      await expect(cell.apply(archive(entry({ name: 'dev', type: '4', device })))).rejects.toMatchObject({
        code: 'CTR_PARSE',
        message: expect.stringContaining('a device number is out of range'),
      });
    });
  }

  test('a file that replaces a device does not write into it', async () => {
    using cell = new Cell();
    await cell.apply(
      archive(
        entry({ name: 'full', type: '3', mode: '0000666', device: ['0000001', '0000007'] }),
        entry({ name: 'full', body: 'a file' }),
      ),
    );
    expect(cell.read('full')).toBe('a file');
  });

  test('a file that replaces a fifo does not wait for a reader', async () => {
    using cell = new Cell();
    await cell.apply(archive(entry({ name: 'fifo', type: '6' }), entry({ name: 'fifo', body: 'a file' })));
    expect(cell.read('fifo')).toBe('a file');
  });
});
