import { expect, test } from '@jest/globals';

import { contains, formatCidr, formatIp, macOf, overlap, parseCidr, parseIp } from '../../lib/network/cidr.js';
import { defaultSubnets, freeSubnets } from '../../lib/network/subnets.js';

const cidr = (text: string): NonNullable<ReturnType<typeof parseCidr>> => {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
};

test.each(['0.0.0.0', '127.0.0.1', '172.17.0.2', '255.255.255.255'])('%s survives the way there and back', text => {
  expect(formatIp(parseIp(text) ?? -1)).toBe(text);
});

test.each(['', '1.2.3', '1.2.3.256', '1.2.3.4/33', '1.2.3.4/', '/8', '::1/64', '1.2.3.4/8 '])(
  '%j is no block',
  text => {
    expect(parseCidr(text)).toBeUndefined();
  },
);

test('a block knows its ends', () => {
  expect(cidr('172.18.5.9/16')).toEqual({
    address: parseIp('172.18.5.9'),
    bits: 16,
    first: parseIp('172.18.0.0'),
    last: parseIp('172.18.255.255'),
  });
  expect(formatCidr(cidr('172.18.5.9/16'))).toBe('172.18.0.0/16');
  expect(cidr('1.2.3.4/0')).toMatchObject({ first: 0, last: 2 ** 32 - 1 });
});

test('blocks overlap when one lies in the other, and neighbours do not', () => {
  expect(overlap(cidr('10.0.0.0/8'), cidr('10.1.2.0/24'))).toBe(true);
  expect(overlap(cidr('10.1.2.0/24'), cidr('10.0.0.0/8'))).toBe(true);
  expect(overlap(cidr('10.0.0.0/24'), cidr('10.0.1.0/24'))).toBe(false);
  expect(contains(cidr('10.0.0.0/24'), parseIp('10.0.0.255') ?? 0)).toBe(true);
  expect(contains(cidr('10.0.0.0/24'), parseIp('10.0.1.0') ?? 0)).toBe(false);
});

test('a hardware address is made of the address, as Docker makes it', () => {
  expect(macOf(parseIp('172.17.0.2') ?? 0)).toBe('02:42:ac:11:00:02');
  expect(macOf(parseIp('192.168.255.10') ?? 0)).toBe('02:42:c0:a8:ff:0a');
});

test("the default subnets are Docker's, without those that are taken", () => {
  const all = defaultSubnets().map(formatCidr);
  expect([all[0], all[14], all[15], all.at(-1)]).toEqual([
    '172.17.0.0/16',
    '172.31.0.0/16',
    '192.168.0.0/20',
    '192.168.240.0/20',
  ]);
  expect(new Set(all).size).toBe(31);
  expect(freeSubnets([{ subnet: '172.17.0.0/16' }, { subnet: '172.18.9.0/24' }]).map(formatCidr)[0]).toBe(
    '172.19.0.0/16',
  );
});
