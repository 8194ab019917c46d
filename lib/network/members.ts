import { errorCode } from '../errors.js';
import { type Attachment, endpointsOf, hostOp, insideOp, type Seat } from './attach.js';
import type { Bridges, Call } from './bridges.js';
import type { NetworkRecord } from './record.js';

/** A container's wish to be on a network. */
export interface JoinRequest {
  /** Name or id. */
  readonly network: string;
  readonly aliases?: readonly string[] | undefined;
  /** A fixed address. */
  readonly ip?: string | undefined;
  /** A fixed hardware address. Derived from the address when left out. */
  readonly mac?: string | undefined;
}

interface MembersSetup {
  readonly bridges: Bridges;
  readonly isRunning: (container: string) => boolean;
  /** The record of a network, by name or id; the default one is made when it is missing. */
  readonly find: (ref: string, call: Call) => NetworkRecord | Promise<NetworkRecord>;
}

/** Gives containers their places on networks. Where a bridge is up, which is the rule, nothing here waits. */
export class Members {
  readonly #setup: MembersSetup;

  constructor(setup: MembersSetup) {
    this.#setup = setup;
  }

  /** Claims a place on each network; all or none. */
  async attach(container: string, requests: readonly JoinRequest[], call: Call): Promise<Attachment> {
    const seats: Seat[] = [];
    const release = (): void => {
      for (const { record, ip } of seats) this.#setup.bridges.presence(record).addresses.release(ip, container);
    };
    try {
      for (const request of requests) seats.push(await this.#join(container, request, call));
    } catch (error) {
      release();
      throw error;
    }
    const endpoints = endpointsOf(seats);
    return {
      endpoints,
      hostOps: seats.flatMap(({ record }, i) => {
        const endpoint = endpoints[i];
        return endpoint === undefined ? [] : [hostOp(endpoint, record)];
      }),
      insideOps: [['net-in-up', 'lo'], ...endpoints.map(insideOp)],
      release,
    };
  }

  async #join(container: string, request: JoinRequest, call: Call): Promise<Seat> {
    for (;;) {
      const found = this.#setup.find(request.network, call);
      const record = found instanceof Promise ? await found : found;
      const presence = this.#setup.bridges.presence(record);
      // The claim comes before the look at the bridge: see Presence.
      const ip = this.#claim(record, container, request.ip, call);
      const seat = { record, ip, aliases: request.aliases ?? [], mac: request.mac };
      if (presence.isUp()) {
        presence.use();
        return seat;
      }
      try {
        const raised = await this.#setup.bridges.raise(record, call);
        if (raised.subnet === record.subnet) return { ...seat, record: raised };
      } catch (error) {
        presence.addresses.release(ip, container);
        throw error;
      }
      // It has another subnet now, so the address is none of its addresses.
      presence.addresses.release(ip, container);
    }
  }

  #claim(record: NetworkRecord, container: string, wanted: string | undefined, { call }: Call): string {
    const { addresses } = this.#setup.bridges.presence(record);
    try {
      return addresses.claim(call, record, container, wanted);
    } catch (error) {
      const full = ['CTR_LIMIT', 'CTR_CONFLICT'].includes(errorCode(error) ?? '');
      if (!full || addresses.sweep(this.#setup.isRunning) === 0) throw error;
      return addresses.claim(call, record, container, wanted);
    }
  }
}
