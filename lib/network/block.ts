import { isIP } from 'node:net';

/** A block of addresses of either family, as numbers. */
export interface Block {
  readonly family: 4 | 6;
  /** Length of the prefix. */
  readonly bits: number;
  /** The address that was written, which need not be the first. */
  readonly address: bigint;
  readonly first: bigint;
  readonly last: bigint;
}

/** Reads `172.17.0.0/16` or `fd00::/64`; `undefined` when it is something else. */
export function parseBlock(text: string): Block | undefined {
  const [, ip = '', length = ''] = /^([0-9a-fA-F.:]+)\/(\d{1,3})$/.exec(text) ?? [];
  const address = parseAddress(ip);
  const family = isIP(ip) === 6 ? 6 : 4;
  const width = family === 4 ? 32 : 128;
  const bits = Number(length);
  if (address === undefined || bits > width) return undefined;
  const size = 1n << BigInt(width - bits);
  const first = address - (address % size);
  return { family, bits, address, first, last: first + size - 1n };
}

/** Writes a block by its first address. */
export function formatBlock({ family, first, bits }: Pick<Block, 'family' | 'first' | 'bits'>): string {
  return `${formatAddress(first, family)}/${bits}`;
}

/** Whether two blocks share addresses. */
export function blocksOverlap(a: Block, b: Block): boolean {
  return a.family === b.family && a.first <= b.last && b.first <= a.last;
}

/** Reads an address of either family; `undefined` when it is none. */
export function parseAddress(text: string): bigint | undefined {
  const family = isIP(text);
  if (family === 4) return text.split('.').reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  if (family !== 6 || text.includes('%')) return undefined;
  // An IPv4 address may stand for the last two groups.
  const dotted = /(.*:)([\d.]+)$/.exec(text);
  const v4 = dotted?.[2]?.includes('.') === true ? parseAddress(dotted[2]) : undefined;
  const plain =
    v4 === undefined ? text : `${dotted?.[1] ?? ''}${(v4 >> 16n).toString(16)}:${(v4 & 0xffffn).toString(16)}`;
  const [head = '', tail] = plain.split('::');
  const groups = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const all = [...before, ...Array<string>(8 - before.length - after.length).fill('0'), ...after];
  return all.reduce((sum, group) => sum * 65536n + BigInt(`0x${group}`), 0n);
}

/** Writes an address as inet_ntop(3) does: RFC 5952 for IPv6. */
export function formatAddress(address: bigint, family: 4 | 6): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map(shift => (address >> shift) & 255n).join('.');
  const groups = Array.from({ length: 8 }, (_, i) => ((address >> BigInt(112 - 16 * i)) & 0xffffn).toString(16));
  let best = { at: -1, length: 1 };
  for (let at = 0; at < 8; at++) {
    let length = 0;
    while (groups[at + length] === '0') length++;
    if (length > best.length) best = { at, length };
  }
  if (best.at < 0) return groups.join(':');
  return `${groups.slice(0, best.at).join(':')}::${groups.slice(best.at + best.length).join(':')}`;
}
