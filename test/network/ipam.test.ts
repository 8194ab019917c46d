import { mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { Addresses, type Claimant } from '../../lib/network/ipam.js';

const pool = { id: 'n', name: 'web', subnet: '10.0.0.0/29', gateway: '10.0.0.1' };
let directory: string;
let addresses: Addresses;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ipam-'));
  addresses = new Addresses(directory);
});
afterEach(() => rmSync(directory, { recursive: true }));

const member = (container: string): Claimant => ({ container, name: `${container}-name` });
const claim = (container: string, wanted?: string): string => addresses.claim('c', pool, member(container), wanted).ip;

test('gives every address once, but for network, gateway and broadcast', () => {
  expect(['a', 'b', 'c', 'd', 'e'].map(name => claim(name))).toEqual([
    '10.0.0.2',
    '10.0.0.3',
    '10.0.0.4',
    '10.0.0.5',
    '10.0.0.6',
  ]);
  expect(() => claim('f')).toThrow('all 6 addresses of 10.0.0.0/29 are in use');
});

test('lets a released address rest until the others were given', () => {
  claim('a');
  addresses.release('10.0.0.2', 'a');
  expect(['b', 'c', 'd', 'e', 'f'].map(name => claim(name))).toEqual([
    '10.0.0.3',
    '10.0.0.4',
    '10.0.0.5',
    '10.0.0.6',
    '10.0.0.2',
  ]);
});

test('gives from the range only', () => {
  const ranged = { ...pool, subnet: '10.0.0.0/24', range: '10.0.0.64/30' };
  const claimed = ['a', 'b', 'c', 'd'].map(name => addresses.claim('c', ranged, member(name)).ip);
  expect(claimed).toEqual(['10.0.0.64', '10.0.0.65', '10.0.0.66', '10.0.0.67']);
  expect(addresses.claim('c', ranged, member('e'), '10.0.0.9').ip).toBe('10.0.0.9');
});

test('gives a wanted address once, and says who has it', () => {
  expect(claim('a', '10.0.0.4')).toBe('10.0.0.4');
  expect(() => claim('b', '10.0.0.4')).toThrow(
    expect.objectContaining({ code: 'CTR_CONFLICT', usedBy: ['a'] }) as unknown as Error,
  );
});

test.each(['10.0.0.0', '10.0.0.1', '10.0.0.7', '10.0.1.2', 'here'])('refuses to give %s', wanted => {
  expect(() => claim('a', wanted)).toThrow(TypeError);
});

test('takes an address back only from who has it', () => {
  claim('a');
  addresses.release('10.0.0.2', 'b');
  expect(addresses.list()).toEqual([{ ip: '10.0.0.2', container: 'a', name: 'a-name', claimantAlive: true }]);
  addresses.release('10.0.0.2', 'a');
  addresses.release('10.0.0.2', 'a');
  expect(addresses.list()).toEqual([]);
});

test('sweeps what a dead process claimed for containers that do not run', () => {
  claim('mine');
  for (const [ip, container] of [
    ['10.0.0.5', 'dead'],
    ['10.0.0.6', 'running'],
  ] as const) {
    symlinkSync(`1-1-00000000-1/${container}`, join(directory, 'addresses', ip));
  }
  expect(addresses.sweep(container => container === 'running')).toBe(1);
  expect(readdirSync(join(directory, 'addresses')).sort()).toEqual(['10.0.0.2', '10.0.0.6']);
});

test('what was given back and taken again is not given back by the former holder', () => {
  const first = addresses.claim('c', pool, member('a'), '10.0.0.5');
  first.release();
  addresses.claim('c', pool, member('a'), '10.0.0.5');
  first.release();
  expect(addresses.list()).toHaveLength(1);
});

test('gives IPv6 addresses, and not those that others have', () => {
  const six = { name: 'six', subnet: 'fd00:1::/64', gateway: 'fd00:1::1', reserved: ['fd00:1::3'] };
  const claimed = ['a', 'b'].map(name => addresses.claim('c', six, member(name)).ip);
  expect(claimed).toEqual(['fd00:1::2', 'fd00:1::4']);
  expect(addresses.claim('c', six, member('c'), 'FD00:1:0::FFFF').ip).toBe('fd00:1::ffff');
  expect(() => addresses.claim('c', six, member('d'), '10.0.0.9')).toThrow('is no IPv6 address');
  expect(() => addresses.claim('c', six, member('d'), 'fd00:2::1')).toThrow('outside of fd00:1::/64');
});
