import { isIPv4 } from 'node:net';

/** A block of IPv4 addresses, as numbers. */
export interface Cidr {
  /** The address that was written, which need not be the first. */
  readonly address: number;
  /** Length of the prefix. */
  readonly bits: number;
  /** First address: the network's own. */
  readonly first: number;
  /** Last address: the broadcast address. */
  readonly last: number;
}

/** Reads `172.17.0.0/16`; `undefined` when it is something else. */
export function parseCidr(text: string): Cidr | undefined {
  const match = /^([\d.]+)\/(\d{1,2})$/.exec(text);
  const address = parseIp(match?.[1] ?? '');
  const bits = Number(match?.[2]);
  if (address === undefined || !(bits <= 32)) return undefined;
  const size = 2 ** (32 - bits);
  const first = Math.floor(address / size) * size;
  return { address, bits, first, last: first + size - 1 };
}

/** Reads `172.17.0.2`; `undefined` when it is something else. */
export function parseIp(text: string): number | undefined {
  if (!isIPv4(text)) return undefined;
  return text.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0);
}

/** Writes an address as four bytes. */
export function formatIp(address: number): string {
  return [24, 16, 8, 0].map(shift => (address >>> shift) & 255).join('.');
}

/** Writes a block by its first address. */
export function formatCidr(cidr: Pick<Cidr, 'first' | 'bits'>): string {
  return `${formatIp(cidr.first)}/${cidr.bits}`;
}

/** Whether an address belongs to a block. */
export function contains(cidr: Cidr, address: number): boolean {
  return address >= cidr.first && address <= cidr.last;
}

/** Whether two blocks share addresses. */
export function overlap(a: Cidr, b: Cidr): boolean {
  return a.first <= b.last && b.first <= a.last;
}

/**
 * The hardware address that Docker derives from an IPv4 address: `02:42` and its four bytes. An address that is used
 * again so keeps its hardware address, and neighbours' caches stay right.
 */
export function macOf(ip: number): string {
  return ['02', '42', ...[24, 16, 8, 0].map(shift => ((ip >>> shift) & 255).toString(16).padStart(2, '0'))].join(':');
}
