import { randomBytes } from 'node:crypto';

import type { PlanField } from '../host/plan.js';
import { parseBlock } from './block.js';
import { formatIp, macOf, parseIp } from './cidr.js';
import { tableOf } from './firewall-rules.js';
import type { NetworkRecord } from './record.js';

/** An op of the helper's plan: its name and its fields. */
export type NetworkOp = readonly [name: string, ...fields: PlanField[]];

/** A container's place on a network. Plain data, fit for the container's record. */
export interface Endpoint {
  /** 64 hexadecimal digits, other ones for every time that it is joined. */
  readonly id: string;
  readonly network: string;
  readonly networkName: string;
  /** Inside: `eth0`. */
  readonly interface: string;
  /** On the host. */
  readonly hostInterface: string;
  readonly ip: string;
  readonly prefixLength: number;
  /** The network's; `undefined` on an internal one. */
  readonly gateway?: string;
  readonly ip6?: string;
  readonly prefixLength6?: number;
  readonly gateway6?: string;
  /** This is where the default route goes. */
  readonly wayOut: boolean;
  readonly gatewayPriority: number;
  /** The host's own address on this network, internal or not. */
  readonly host: string;
  /** Where ports are published that name no address of the host. */
  readonly hostBinding?: string;
  /** The firewall's table with the maps of published ports; `''` where there is none. */
  readonly table: string;
  readonly mac: string;
  readonly aliases: readonly string[];
  /** What else it is called there, by resolvers. */
  readonly dnsNames: readonly string[];
  /** What was asked for, as Docker tells it. */
  readonly wanted: { readonly ip?: string; readonly ip6?: string; readonly links?: readonly string[] };
}

/** What it takes to connect a container. */
export interface Attachment {
  readonly endpoints: readonly Endpoint[];
  /** For the monitor, in the host's network namespace, once the container's exists. */
  readonly hostOps: readonly NetworkOp[];
  /** For the container's first process, in its network namespace, after the former. */
  readonly insideOps: readonly NetworkOp[];
  /** Which networks its resolver knows; none where no network has names. */
  readonly resolverOps: readonly NetworkOp[];
  /** What the monitor unlinks at the end: addresses and names. */
  readonly leave: readonly string[];
  /** Gives all of it back. Call it when the container has ended, or was never started. */
  release(): void;
}

/** One wish of a container to be on a network, with the network found and addresses claimed. */
export interface Seat {
  readonly record: NetworkRecord;
  readonly ip: string;
  readonly ip6?: string | undefined;
  readonly aliases: readonly string[];
  readonly dnsNames: readonly string[];
  readonly mac?: string | undefined;
  readonly gatewayPriority: number;
  readonly wanted: Endpoint['wanted'];
}

/** Places a container on its networks: `eth0`, `eth1` … */
export function endpointsOf(seats: readonly Seat[], taken: readonly string[] = []): Endpoint[] {
  const names = new Set(taken);
  const endpoints = seats.map(seat => {
    const name = freeName(seat.record.interfacePrefix ?? 'eth', names);
    names.add(name);
    return endpointOf(seat, name);
  });
  const wayOut = chooseWayOut(endpoints);
  return endpoints.map(endpoint => ({ ...endpoint, wayOut: endpoint === wayOut }));
}

/** Where the default route goes: the highest priority that has a way out; of equals, the first by name. As Docker. */
export function chooseWayOut<E extends Pick<Endpoint, 'gateway' | 'gatewayPriority' | 'networkName'>>(
  endpoints: readonly E[],
): E | undefined {
  return endpoints
    .filter(({ gateway }) => gateway !== undefined)
    .sort((a, b) => b.gatewayPriority - a.gatewayPriority || (a.networkName < b.networkName ? -1 : 1))[0];
}

function endpointOf(seat: Seat, name: string): Endpoint {
  const { record, ip, ip6, aliases, dnsNames, mac, gatewayPriority, wanted } = seat;
  const id = randomBytes(32).toString('hex');
  const out = !record.internal;
  return {
    id,
    network: record.id,
    networkName: record.name,
    interface: name,
    // Random, not made of the container's id: the device of its last run may still be on its way out.
    hostInterface: `tsv${id.slice(0, 12)}`,
    ip,
    prefixLength: parseBlock(record.subnet)?.bits ?? 32,
    ...(out ? { gateway: record.gateway } : {}),
    ...(ip6 === undefined ? {} : { ip6, prefixLength6: parseBlock(record.subnet6 ?? '')?.bits ?? 128 }),
    ...(ip6 === undefined || !out || record.gateway6 === undefined ? {} : { gateway6: record.gateway6 }),
    wayOut: false,
    gatewayPriority,
    host: record.gateway,
    ...(record.hostBinding === undefined ? {} : { hostBinding: record.hostBinding }),
    table: record.internal ? '' : tableOf(record.device),
    mac: mac?.toLowerCase().replaceAll('-', ':') ?? macOf(parseIp(ip) ?? 0),
    aliases,
    dnsNames,
    wanted,
  };
}

function freeName(prefix: string, taken: ReadonlySet<string>): string {
  for (let i = 0; ; i++) if (!taken.has(`${prefix}${i}`)) return `${prefix}${i}`;
}

/** What the monitor does for one endpoint. */
export function hostOps(endpoint: Endpoint, record: Pick<NetworkRecord, 'device' | 'mtu' | 'icc'>): NetworkOp[] {
  const { hostInterface, interface: inside, mac } = endpoint;
  const veth: NetworkOp = ['net-host-veth', hostInterface, record.device, inside, mac, record.mtu ?? ''];
  return record.icc === false ? [veth, ['net-host-isolate', hostInterface]] : [veth];
}

/** What the container's first process does for one endpoint. */
export function insideOp(endpoint: Endpoint): NetworkOp {
  const { ip, prefixLength, ip6, prefixLength6, wayOut, gateway = '', gateway6 = '' } = endpoint;
  const v4 = [`${ip}/${prefixLength}`, wayOut ? gateway : ''];
  const v6 = ip6 === undefined ? [] : [`${ip6}/${prefixLength6 ?? 128}`, wayOut ? gateway6 : ''];
  return ['net-in-interface', endpoint.interface, ...v4, ...v6];
}

/** The default routes go there from now on. */
export function wayOutOps({ interface: name, gateway, gateway6 }: Endpoint): NetworkOp[] {
  return [gateway, gateway6].flatMap(via => (via === undefined ? [] : [['net-in-default', via, name] as const]));
}

/** The address of a bridge as the helper takes it: `172.18.0.1/16`. */
export function gatewayCidr(
  subnet: { readonly first: number; readonly bits: number },
  gateway = formatIp(subnet.first + 1),
): string {
  return `${gateway}/${subnet.bits}`;
}
