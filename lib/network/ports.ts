import { isIP } from 'node:net';

import { ParseError } from '../errors.js';
import type { NetworkOp } from './attach.js';

/** A port of the host that leads to one of the container. */
export interface PortMapping {
  /** The port inside. */
  readonly container: number;
  /** The port of the host; 0 or left out picks a free one. */
  readonly host?: number;
  /** The address of the host. All of its addresses when left out. */
  readonly hostIp?: string;
  /** Default `'tcp'`. */
  readonly protocol?: 'tcp' | 'udp';
}

/** A checked wish to publish one port. */
export interface PortSpec {
  readonly container: number;
  /** Any of these will do: `[0, 0]` is whichever is free, two equal ones are exactly that one. */
  readonly host: readonly [first: number, last: number];
  /** `''` is all addresses, IPv4 and IPv6, with the same port. */
  readonly hostIp: string;
  readonly protocol: 'tcp' | 'udp';
}

/** Where published ports lead. */
export interface PublishTarget {
  readonly ip: string;
  readonly ip6?: string;
  /** The firewall's, which knows of ports. */
  readonly table?: string;
  /** For ports that name no address of the host. */
  readonly hostBinding?: string;
}

const protocols: readonly string[] = ['tcp', 'udp'];

/**
 * Checks what a program said of the ports to publish.
 *
 * @throws `TypeError` naming the field and its value.
 */
export function checkPorts(call: string, ports: readonly (number | string | PortMapping)[]): PortSpec[] {
  return ports.flatMap((port, index) => {
    const where = `${call}: ports[${index}]`;
    if (typeof port === 'string') return parsePorts(port, where);
    const mapping: PortMapping = typeof port === 'number' ? { container: port } : port;
    const { container, host = 0, hostIp = '', protocol = 'tcp' } = mapping;
    if (!isPort(container)) throw new TypeError(`${where}: ${JSON.stringify(container)} is no port (1 to 65535)`);
    if (host !== 0 && !isPort(host))
      throw new TypeError(`${where}.host: ${JSON.stringify(host)} is no port (0 to 65535)`);
    if (hostIp !== '' && isIP(hostIp) === 0)
      throw new TypeError(`${where}.hostIp: ${JSON.stringify(hostIp)} is no IP address`);
    if (!protocols.includes(protocol))
      throw new TypeError(`${where}.protocol: ${JSON.stringify(protocol)} is neither tcp nor udp`);
    return { container, host: [host, host], hostIp, protocol };
  });
}

/**
 * Reads Docker's notation: `[[ip:][host[-last]]:]container[-last][/protocol]`, an IPv6 address in brackets. A range of
 * the container's ports becomes one entry for each; a range of the host's for a single port means any of them.
 *
 * @throws {@link ParseError} when it is malformed, or the ranges differ in length.
 */
export function parsePorts(text: string, call = 'ports'): PortSpec[] {
  const fail = (reason: string): ParseError =>
    new ParseError({
      call,
      source: text,
      reason,
      remedy: 'Write [[ip:][host-port]:]container-port[/protocol], for example 127.0.0.1:8080:80/tcp',
    });
  const match = /^(?:(?:(\[[^\]]*\]|[^:[\]]*):)?([^:]*):)?([^:/]+)(?:\/([^/]*))?$/.exec(text);
  if (match === null) throw fail('is no port specification');
  const [, address = '', hostText = '', containerText = '', protocolText = 'tcp'] = match;
  const hostIp = address.replace(/^\[(.*)\]$/, '$1');
  if (address !== '' && isIP(hostIp) === 0) throw fail(`${JSON.stringify(hostIp)} is no IP address`);
  if (address.startsWith('[') !== (isIP(hostIp) === 6))
    throw fail('an IPv6 address, and only that, is written in brackets');
  const protocol = protocolText.toLowerCase();
  if (protocol === 'sctp') throw fail('SCTP ports cannot be published');
  if (protocol !== 'tcp' && protocol !== 'udp')
    throw fail(`${JSON.stringify(protocolText)} is no protocol that can be published`);
  const container = parseRange(containerText);
  const host = hostText === '' ? ([0, 0] as const) : parseRange(hostText);
  if (container === undefined) throw fail(`${JSON.stringify(containerText)} is no container port or range`);
  if (host === undefined) throw fail(`${JSON.stringify(hostText)} is no host port or range`);
  const [first, last] = container;
  const length = last - first;
  if (length > 0 && host[0] !== 0 && host[1] - host[0] !== length) throw fail('the two ranges differ in length');
  return Array.from({ length: length + 1 }, (_, i) => {
    const one = host[0] === 0 ? 0 : host[0] + i;
    return { container: first + i, host: length === 0 ? host : ([one, one] as const), hostIp, protocol };
  });
}

/** What the monitor does to publish a port. */
export function proxyOp(port: PortSpec, target: PublishTarget): NetworkOp {
  const [first, last] = port.host;
  const hosts = port.hostIp || (target.hostBinding ?? '0.0.0.0,::');
  const range = first === last ? first : `${first}-${last}`;
  return ['proxy', port.protocol, hosts, range, target.ip, port.container, target.table ?? '', target.ip6 ?? ''];
}

function parseRange(text: string): readonly [number, number] | undefined {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  return isPort(first) && isPort(last) && first <= last ? [first, last] : undefined;
}

function isPort(value: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= 65535;
}
