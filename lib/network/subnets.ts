import { ConflictError, ParseError } from '../errors.js';
import { type Cidr, contains, formatCidr, formatIp, overlap, parseCidr, parseIp } from './cidr.js';
import type { NetworkRecord } from './record.js';

/** What the user may say of a network's addresses. */
export interface SubnetOptions {
  /** `10.1.0.0/24`. Chosen when left out. */
  readonly subnet?: string | undefined;
  /** The bridge's own address. The subnet's first when left out. */
  readonly gateway?: string | undefined;
  /** The part of the subnet that addresses are given from. All of it when left out. */
  readonly range?: string | undefined;
  /** Whether members have IPv6 as well. Default: where one of the following is given. */
  readonly ipv6?: boolean | undefined;
  /** `fd00:1::/64`. Of the network's own when left out. */
  readonly subnet6?: string | undefined;
  readonly gateway6?: string | undefined;
  readonly range6?: string | undefined;
  /** Addresses of either family that somebody else has, by what they are for. */
  readonly reserved?: Readonly<Record<string, string>> | undefined;
}

/** Docker's default pools: sixteen bits each from 172.17 to 172.31, then twenty bits each of 192.168. */
export function defaultSubnets(): Cidr[] {
  const large = Array.from({ length: 15 }, (_, i) => `172.${17 + i}.0.0/16`);
  const small = Array.from({ length: 16 }, (_, i) => `192.168.${16 * i}.0/20`);
  return [...large, ...small].flatMap(text => parseCidr(text) ?? []);
}

/** The default pools without what our own networks have, up or not. */
export function freeSubnets(records: readonly Pick<NetworkRecord, 'subnet'>[]): Cidr[] {
  const taken = records.flatMap(record => parseCidr(record.subnet) ?? []);
  return defaultSubnets().filter(subnet => !taken.some(other => overlap(subnet, other)));
}

/** The address that a bridge takes when nobody says which. */
export function firstGateway(subnet: Cidr): string {
  return formatIp(subnet.first + 1);
}

/**
 * Checks what the user said of the addresses of a network.
 *
 * @throws {@link ParseError} naming what is malformed, or does not fit into the subnet.
 */
export function parseSubnet(
  call: string,
  options: Pick<SubnetOptions, 'gateway' | 'range'> & { readonly subnet: string },
): { readonly subnet: string; readonly gateway: string; readonly range: string | undefined } {
  const subnet = parseCidr(options.subnet);
  const bad = (source: string, reason: string): ParseError =>
    new ParseError({ call, source, reason, remedy: 'Write a block like 10.1.0.0/24, and addresses inside of it' });
  if (subnet === undefined) throw bad(options.subnet, 'is no IPv4 subnet');
  if (subnet.address !== subnet.first)
    throw bad(options.subnet, `has host bits set; its network is ${formatCidr(subnet)}`);
  if (subnet.bits < 8 || subnet.bits > 30) throw bad(options.subnet, 'must have a prefix length between 8 and 30');
  const gateway = options.gateway ?? firstGateway(subnet);
  const address = parseIp(gateway);
  if (address === undefined) throw bad(gateway, 'is no IPv4 address');
  if (!contains(subnet, address) || address === subnet.first || address === subnet.last)
    throw bad(gateway, `is no host's address in ${options.subnet}`);
  if (options.range !== undefined) {
    const range = parseCidr(options.range);
    if (range === undefined) throw bad(options.range, 'is no IPv4 range');
    if (range.first < subnet.first || range.last > subnet.last)
      throw bad(options.range, `is not inside of ${options.subnet}`);
  }
  return { subnet: options.subnet, gateway, range: options.range };
}

/**
 * The subnet that the user wants, when none of our networks has addresses of it.
 *
 * @throws {@link ConflictError} naming the network that has.
 */
export function checkFree(
  call: string,
  name: string,
  subnet: string,
  others: readonly Pick<NetworkRecord, 'name' | 'subnet'>[],
): Cidr {
  const wanted = parseCidr(subnet);
  if (wanted === undefined) throw new TypeError(`${call}: ${subnet} is no subnet`);
  for (const other of others) {
    const taken = parseCidr(other.subnet);
    if (taken === undefined || !overlap(taken, wanted)) continue;
    throw new ConflictError({
      call,
      kind: 'network',
      ref: name,
      reason: `its subnet ${subnet} overlaps with ${other.subnet} of network ${other.name}`,
      usedBy: [other.name],
      remedy: 'Choose another subnet, or leave it out',
    });
  }
  return wanted;
}
