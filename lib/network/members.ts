import { errorCode } from '../errors.js';
import { type Attachment, type Endpoint, endpointsOf, hostOps, insideOp, type NetworkOp, type Seat } from './attach.js';
import type { Bridges, Call } from './bridges.js';
import type { Lease, Pool } from './ipam.js';
import { removeLink } from './names.js';
import { hasNames, type NetworkRecord } from './record.js';

/** A container's wish to be on a network. */
export interface JoinRequest {
  /** Name or id. */
  readonly network: string;
  readonly aliases?: readonly string[] | undefined;
  /** A fixed address. */
  readonly ip?: string | undefined;
  readonly ip6?: string | undefined;
  /** A fixed hardware address. Derived from the address when left out. */
  readonly mac?: string | undefined;
  readonly gatewayPriority?: number | undefined;
  /** Names of others that only this one knows, as `name:alias`; on networks with names. */
  readonly links?: readonly string[] | undefined;
}

/** Who joins. */
export interface Member {
  /** The container's id. */
  readonly container: string;
  readonly name: string;
  readonly hostname?: string | undefined;
}

interface MembersSetup {
  readonly bridges: Bridges;
  /** The record of a network, by name or id; the default one is made when it is missing. */
  readonly find: (ref: string, call: Call) => NetworkRecord | Promise<NetworkRecord>;
}

interface Joined {
  readonly seat: Seat;
  readonly leases: readonly Lease[];
}

/** Gives containers their places on networks. Where a bridge is up, which is the rule, nothing here waits. */
export class Members {
  readonly #setup: MembersSetup;

  constructor(setup: MembersSetup) {
    this.#setup = setup;
  }

  /**
   * Claims a place on each network; all or none.
   *
   * @param taken - Names of interfaces that the container has already.
   */
  async attach(
    member: Member,
    requests: readonly JoinRequest[],
    call: Call,
    taken: readonly string[] = [],
  ): Promise<Attachment> {
    const joined: Joined[] = [];
    const links: string[] = [];
    const release = (): void => {
      for (const link of links) removeLink(link);
      for (const lease of joined.flatMap(({ leases }) => leases)) lease.release();
    };
    try {
      for (const request of requests) joined.push(await this.#join(member, request, call));
      const seats = joined.map(({ seat }) => seat);
      const endpoints = endpointsOf(seats, taken);
      const resolverOps = seats.flatMap(seat => this.#enter(member, seat, links));
      return {
        endpoints,
        hostOps: seats.flatMap(({ record }, i) => {
          const endpoint = endpoints[i];
          return endpoint === undefined ? [] : hostOps(endpoint, record);
        }),
        insideOps: [['net-in-up', 'lo'], ...endpoints.map(insideOp)],
        resolverOps,
        leave: [...joined.flatMap(({ leases }) => leases.map(({ path }) => path)), ...links],
        release,
      };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** What there is of a place in the run directory: its addresses and names. */
  linksOf(container: string, endpoint: Endpoint, record: NetworkRecord | undefined): string[] {
    if (record === undefined) return [];
    const { addresses, names } = this.#setup.bridges.presence(record);
    const own = [endpoint.ip, ...(endpoint.ip6 === undefined ? [] : [endpoint.ip6])];
    const aliases = linkNames(endpoint.wanted.links);
    return [
      ...names.linksFor(endpoint.dnsNames, own),
      ...(aliases.length === 0
        ? []
        : names.aliasPaths(
            container,
            aliases.map(([alias]) => alias),
          ).links),
      ...own.map(ip => addresses.path(ip)),
    ];
  }

  /** Where the resolver of a member finds the others' names. */
  resolverOps(container: string, endpoint: Endpoint, record: NetworkRecord | undefined): NetworkOp[] {
    if (record === undefined || !hasNames(record)) return [];
    const { directory, names } = this.#setup.bridges.presence(record);
    const common: NetworkOp = ['resolver-network', directory, record.name];
    if (linkNames(endpoint.wanted.links).length === 0) return [common];
    return [['resolver-network', names.aliasPaths(container, []).directory, record.name], common];
  }

  /** Makes a member known by its names, and tells where its resolver finds the others'. */
  #enter({ container }: Member, seat: Seat, links: string[]): NetworkOp[] {
    if (!hasNames(seat.record)) return [];
    const { directory, names } = this.#setup.bridges.presence(seat.record);
    const addresses = [seat.ip, ...(seat.ip6 === undefined ? [] : [seat.ip6])];
    links.push(...names.enter(container, seat.dnsNames, addresses));
    const common: NetworkOp = ['resolver-network', directory, seat.record.name];
    const wanted = linkNames(seat.wanted.links);
    if (wanted.length === 0) return [common];
    const own = names.alias(container, Object.fromEntries(wanted));
    links.push(...own.links);
    return [['resolver-network', own.directory, seat.record.name], common];
  }

  async #join(member: Member, request: JoinRequest, call: Call): Promise<Joined> {
    for (;;) {
      const found = this.#setup.find(request.network, call);
      const record = found instanceof Promise ? await found : found;
      const presence = this.#setup.bridges.presence(record);
      // The claim comes before the look at the bridge: see Presence.
      const claimed = this.#claimSwept(record, member, request, call);
      const leases = claimed instanceof Promise ? await claimed : claimed;
      if (presence.isUp()) {
        presence.use();
        return { seat: seatOf(record, member, request, leases), leases };
      }
      try {
        const raised = await this.#setup.bridges.raise(record, call);
        if (raised.subnet === record.subnet) return { seat: seatOf(raised, member, request, leases), leases };
      } catch (error) {
        for (const lease of leases) lease.release();
        throw error;
      }
      // It has another subnet now, so the address is none of its addresses.
      for (const lease of leases) lease.release();
    }
  }

  /** Those of containers that are gone are given back first where all are taken, or the one that is wanted. */
  #claimSwept(record: NetworkRecord, member: Member, request: JoinRequest, call: Call): Lease[] | Promise<Lease[]> {
    try {
      return this.#claim(record, member, request, call);
    } catch (error) {
      if (!['CTR_LIMIT', 'CTR_CONFLICT'].includes(errorCode(error) ?? '')) throw error;
      // Tried again in any case: another one's sweep may have released what this one found stale.
      return this.#setup.bridges.sweep(record).then(() => this.#claim(record, member, request, call));
    }
  }

  /** An address of each family that the network has, IPv4 first. */
  #claim(record: NetworkRecord, member: Member, request: JoinRequest, { call }: Call): Lease[] {
    const { addresses } = this.#setup.bridges.presence(record);
    const leases: Lease[] = [];
    try {
      leases.push(addresses.claim(call, pool4(record), member, request.ip));
      const pool = pool6(record);
      if (pool !== undefined) leases.push(addresses.claim(call, pool, member, request.ip6));
      else if (request.ip6 !== undefined)
        throw new TypeError(`${call}: ip6: ${request.ip6}: network ${record.name} has no IPv6 subnet`);
      return leases;
    } catch (error) {
      for (const lease of leases) lease.release();
      throw error;
    }
  }
}

function seatOf(record: NetworkRecord, member: Member, request: JoinRequest, [v4, v6]: readonly Lease[]): Seat {
  const { aliases = [], mac, gatewayPriority = 0, ip, ip6, links } = request;
  const short = member.container.slice(0, 12);
  const all = [member.name, ...aliases, short, ...(member.hostname === undefined ? [] : [member.hostname])];
  return {
    record,
    ip: v4?.ip ?? '',
    ip6: v6?.ip,
    aliases,
    dnsNames: hasNames(record) ? [...new Set(all)] : [],
    mac,
    gatewayPriority,
    wanted: {
      ...(ip === undefined ? {} : { ip }),
      ...(ip6 === undefined ? {} : { ip6 }),
      ...(links === undefined ? {} : { links }),
    },
  };
}

/** `name:alias`, as alias and name. A whole id is known by its start. */
function linkNames(links: readonly string[] = []): (readonly [alias: string, name: string])[] {
  return links.map(link => {
    const [ref = '', alias = ref] = link.split(':');
    return [alias, /^[0-9a-f]{64}$/.test(ref) ? ref.slice(0, 12) : ref];
  });
}

function pool4({ name, subnet, gateway, range, reserved }: NetworkRecord): Pool {
  return { name, subnet, gateway, range, reserved: Object.values(reserved ?? {}) };
}

function pool6({ name, subnet6, gateway6, range6, reserved }: NetworkRecord): Pool | undefined {
  if (subnet6 === undefined || gateway6 === undefined) return undefined;
  return { name, subnet: subnet6, gateway: gateway6, range: range6, reserved: Object.values(reserved ?? {}) };
}
