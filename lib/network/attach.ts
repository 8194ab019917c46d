import { randomBytes } from 'node:crypto';

import type { PlanField } from '../host/plan.js';
import { formatIp, macOf, parseCidr, parseIp } from './cidr.js';
import type { NetworkRecord } from './record.js';

/** An op of the helper's plan: its name and its fields. */
export type NetworkOp = readonly [name: string, ...fields: PlanField[]];

/** A container's place on a network. Plain data, fit for the container's record. */
export interface Endpoint {
  readonly network: string;
  readonly networkName: string;
  /** Inside: `eth0`. */
  readonly interface: string;
  /** On the host. */
  readonly hostInterface: string;
  readonly ip: string;
  readonly prefixLength: number;
  /** `undefined` on an internal network, and where another network is the way out. */
  readonly gateway?: string;
  readonly mac: string;
  readonly aliases: readonly string[];
}

/** What it takes to connect a container. */
export interface Attachment {
  readonly endpoints: readonly Endpoint[];
  /** For the monitor, in the host's network namespace, once the container's exists. */
  readonly hostOps: readonly NetworkOp[];
  /** For the container's first process, in its network namespace, after the former. */
  readonly insideOps: readonly NetworkOp[];
  /** Gives the addresses back. Call it when the container has ended, or was never started. */
  release(): void;
}

/** One wish of a container to be on a network, with the network found and an address claimed. */
export interface Seat {
  readonly record: NetworkRecord;
  readonly ip: string;
  readonly aliases: readonly string[];
  readonly mac?: string | undefined;
}

/** Places a container on its networks: `eth0`, `eth1` … The first that has a way out is the default route. */
export function endpointsOf(seats: readonly Seat[]): Endpoint[] {
  const wayOut = seats.findIndex(seat => !seat.record.internal);
  return seats.map(({ record, ip, aliases, mac }, index) => ({
    network: record.id,
    networkName: record.name,
    interface: `eth${index}`,
    // Random, not made of the container's id: the device of its last run may still be on its way out.
    hostInterface: `tsv${randomBytes(6).toString('hex')}`,
    ip,
    prefixLength: parseCidr(record.subnet)?.bits ?? 32,
    ...(index === wayOut ? { gateway: record.gateway } : {}),
    mac: mac ?? macOf(parseIp(ip) ?? 0),
    aliases,
  }));
}

/** What the monitor does for one endpoint. */
export function hostOp(endpoint: Endpoint, record: Pick<NetworkRecord, 'device' | 'mtu'>): NetworkOp {
  return ['net-host-veth', endpoint.hostInterface, record.device, endpoint.interface, endpoint.mac, record.mtu ?? ''];
}

/** What the container's first process does for one endpoint. */
export function insideOp(endpoint: Endpoint): NetworkOp {
  return ['net-in-interface', endpoint.interface, `${endpoint.ip}/${endpoint.prefixLength}`, endpoint.gateway ?? ''];
}

/** The address of a bridge as the helper takes it: `172.18.0.1/16`. */
export function gatewayCidr(
  subnet: { readonly first: number; readonly bits: number },
  gateway = formatIp(subnet.first + 1),
): string {
  return `${gateway}/${subnet.bits}`;
}
