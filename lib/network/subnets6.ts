import { ConflictError, ParseError } from '../errors.js';
import { blocksOverlap, formatAddress, formatBlock, parseAddress, parseBlock } from './block.js';
import type { NetworkRecord } from './record.js';
import type { SubnetOptions } from './subnets.js';

type Subnet6 = { readonly subnet6: string; readonly gateway6: string; readonly range6?: string };

/**
 * Checks what the user said of the IPv6 addresses of a network; `undefined` when it has none.
 *
 * Without a subnet it gets one of its own from the block for local use, fd00::/8, made of its random id: RFC 4193.
 *
 * @throws {@link ParseError} naming what is malformed, or does not fit into the subnet.
 */
export function parseSubnet6(call: string, id: string, options: SubnetOptions): Subnet6 | undefined {
  const { ipv6, subnet6, gateway6, range6 } = options;
  const named = subnet6 ?? gateway6 ?? range6;
  if (ipv6 === false && named !== undefined)
    throw new TypeError(`${call}: ipv6: false, and ${named}: leave one of them out`);
  if (ipv6 !== true && named === undefined) return undefined;
  const text = subnet6 ?? `fd${id.slice(0, 2)}:${id.slice(2, 6)}:${id.slice(6, 10)}:${id.slice(10, 14)}::/64`;
  const bad = (source: string, reason: string): ParseError =>
    new ParseError({ call, source, reason, remedy: 'Write a block like fd00:1::/64, and addresses inside of it' });
  const block = parseBlock(text);
  if (block?.family !== 6) throw bad(text, 'is no IPv6 subnet');
  if (block.address !== block.first) throw bad(text, `has host bits set; its network is ${formatBlock(block)}`);
  if (block.bits < 16 || block.bits > 126) throw bad(text, 'must have a prefix length between 16 and 126');
  const inside = (address: bigint | undefined): boolean =>
    address !== undefined && address > block.first && address <= block.last;
  const gateway = parseAddress(gateway6 ?? formatAddress(block.first + 1n, 6));
  if (gateway === undefined || !inside(gateway))
    throw bad(gateway6 ?? '', `is no host's address in ${formatBlock(block)}`);
  const range = range6 === undefined ? undefined : parseBlock(range6);
  if (range6 !== undefined && (range?.family !== 6 || range.first < block.first || range.last > block.last))
    throw bad(range6, `is not inside of ${formatBlock(block)}`);
  return {
    subnet6: formatBlock(block),
    gateway6: formatAddress(gateway, 6),
    ...(range === undefined ? {} : { range6: formatBlock(range) }),
  };
}

/** @throws {@link ConflictError} naming the network that has addresses of it. */
export function checkFree6(
  call: string,
  name: string,
  subnet: string,
  others: readonly Pick<NetworkRecord, 'name' | 'subnet6'>[],
): void {
  const wanted = parseBlock(subnet);
  for (const other of others) {
    const taken = parseBlock(other.subnet6 ?? '');
    if (wanted === undefined || taken === undefined || !blocksOverlap(taken, wanted)) continue;
    throw new ConflictError({
      call,
      kind: 'network',
      ref: name,
      reason: `its subnet ${subnet} overlaps with ${other.subnet6} of network ${other.name}`,
      usedBy: [other.name],
      remedy: 'Choose another subnet, or leave it out',
    });
  }
}

/** Addresses of others must be ones of this network. @throws {@link ParseError} naming one that is not. */
export function checkReserved(
  call: string,
  reserved: Readonly<Record<string, string>>,
  subnets: readonly (string | undefined)[],
): Readonly<Record<string, string>> | undefined {
  const entries = Object.entries(reserved);
  if (entries.length === 0) return undefined;
  const blocks = subnets.flatMap(subnet => parseBlock(subnet ?? '') ?? []);
  for (const [name, text] of entries) {
    const address = parseAddress(text);
    const family = text.includes(':') ? 6 : 4;
    const fits = blocks.some(
      block => block.family === family && address !== undefined && address >= block.first && address <= block.last,
    );
    if (!fits)
      throw new ParseError({
        call,
        source: text,
        reason: `(reserved for ${name}) is no address of the network's own subnet`,
        remedy: 'Name the subnet as well, and addresses inside of it',
      });
  }
  return { ...reserved };
}
