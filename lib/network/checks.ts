import { isIP } from 'node:net';

import { ConflictError, NotFoundError, ParseError } from '../errors.js';
import { reservedNames } from './record.js';

/** A name that a user may give to a network. */
export function checkName(call: string, name: string): void {
  if (reservedNames.includes(name))
    throw new ConflictError({
      call,
      kind: 'network',
      ref: name,
      reason: 'is a reserved name',
      remedy: 'Choose another one',
    });
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(name)) {
    const reason = 'is no name for a network. Use letters, digits, "_", "." and "-", at least two of them';
    throw new ParseError({ call, source: name, reason });
  }
}

/** A size that the kernel takes. */
export function checkMtu(call: string, mtu: number): number {
  if (Number.isInteger(mtu) && mtu >= 68 && mtu <= 65535) return mtu;
  throw new TypeError(`${call}: mtu: ${mtu} is not between 68 and 65535`);
}

/** There is no such network. */
export function notFound(call: string, ref: string): NotFoundError {
  return new NotFoundError({ call, kind: 'network', ref });
}

/** Another network has the name. */
export function nameTaken(call: string, name: string, id: string | undefined): ConflictError {
  const remedy = 'Choose another name, or get the network that has it';
  return new ConflictError({
    call,
    kind: 'network',
    ref: name,
    reason: 'exists already',
    usedBy: id === undefined ? [] : [id],
    remedy,
  });
}

/** Every default subnet is taken. */
export function noSubnet(call: string, name: string): ConflictError {
  const remedy = 'Name a subnet, or prune networks';
  return new ConflictError({ call, kind: 'network', ref: name, reason: 'all default subnets are in use', remedy });
}

/**
 * How a container wants to be on a network, as far as it can be checked without knowing the network.
 *
 * @throws `TypeError` naming the field and its value.
 */
export function checkJoin(
  call: string,
  join: {
    readonly network: string;
    readonly aliases?: readonly string[];
    readonly ip?: string;
    readonly ip6?: string;
    readonly mac?: string;
    readonly gatewayPriority?: number;
  },
): void {
  const bad = (field: string, value: unknown, expected: string): TypeError =>
    new TypeError(`${call}: networks: ${join.network}: ${field}: expected ${expected}, got ${JSON.stringify(value)}`);
  if (join.network === '') throw bad('network', '', 'a name or id');
  const { ip, ip6, mac, gatewayPriority = 0 } = join;
  for (const alias of join.aliases ?? [])
    if (!/^[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,253}$/.test(alias))
      throw bad('aliases', alias, 'letters, digits, "_", "." and "-"');
  if (ip !== undefined && isIP(ip) !== 4) throw bad('ip', ip, 'an IPv4 address');
  if (ip6 !== undefined && isIP(ip6) !== 6) throw bad('ip6', ip6, 'an IPv6 address');
  if (mac !== undefined && !/^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(mac))
    throw bad('mac', mac, 'six bytes as 02:42:ac:11:00:02');
  if (mac !== undefined && (parseInt(mac.slice(0, 2), 16) & 1) === 1)
    throw bad('mac', mac, 'the address of one device, not of a group');
  if (!Number.isInteger(gatewayPriority)) throw bad('gatewayPriority', gatewayPriority, 'an integer');
}
