import { expect, test } from '@jest/globals';

import { formatAddress, formatBlock, parseAddress, parseBlock } from '../../lib/network/block.js';

test.each([
  ['::', '::'],
  ['::1', '::1'],
  ['fd00:0:0:1::', 'fd00:0:0:1::'],
  ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
  ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
  ['::ffff:10.0.0.1', '::ffff:a00:1'],
])('%s is written %s', (text, written) => {
  expect(formatAddress(parseAddress(text) ?? -1n, 6)).toBe(written);
});

test.each([
  ['10.1.2.3/8', '10.0.0.0/8'],
  ['fd00:1:2:3:4::/64', 'fd00:1:2:3::/64'],
  ['::/0', '::/0'],
])('the block of %s is %s', (text, block) => {
  const parsed = parseBlock(text);
  expect(parsed && formatBlock(parsed)).toBe(block);
});

test.each([[''], ['10.0.0.0'], ['10.0.0.0/33'], ['fd00::/129'], ['fd00::%eth0/64'], ['x/8'], ['1.2.3/8']])(
  '%j is no block',
  text => {
    expect(parseBlock(text)).toBeUndefined();
  },
);
