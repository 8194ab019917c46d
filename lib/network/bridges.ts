import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { errorCode, NotFoundError } from '../errors.js';
import type { Records } from '../store/records.js';
import { lazy } from '../util/lazy.js';
import { type Cidr, formatCidr, formatIp, parseCidr } from './cidr.js';
import { tableOf } from './firewall-rules.js';
import { Presence } from './presence.js';
import { hasNames, type NetworkRecord, type NetworkStore } from './record.js';

/** The user's call, for error messages, and its signal. */
export interface Call {
  readonly call: string;
  readonly signal?: AbortSignal | undefined;
}

export interface BridgesSetup {
  readonly store: NetworkStore;
  readonly records: Records<NetworkRecord>;
  readonly isRunning: (container: string) => boolean;
  readonly warn: (message: string, error: unknown) => void;
}

/** Brings bridges up when somebody joins and down when nobody is left, across all processes that use the store. */
export class Bridges {
  readonly #setup: BridgesSetup;
  readonly #presences = new Map<string, Presence>();

  constructor(setup: BridgesSetup) {
    this.#setup = setup;
  }

  /** What is known of a network's use. */
  presence(record: Pick<NetworkRecord, 'id' | 'device'>): Presence {
    let presence = this.#presences.get(record.id);
    if (presence === undefined) {
      const directory = join(this.#setup.store.runRoot, 'networks', record.id);
      presence = new Presence(directory, record.device);
      this.#presences.set(record.id, presence);
    }
    return presence;
  }

  /**
   * The bridge is up and has its rules when this resolves.
   *
   * @returns The record as it is then: with another subnet, if the host has come to use the former for something else.
   */
  async raise(record: NetworkRecord, { call, signal }: Call): Promise<NetworkRecord> {
    return this.#locked(record, signal, async () => {
      const current = this.#setup.records.get(record.id);
      if (current === undefined) throw new NotFoundError({ call, kind: 'network', ref: record.name });
      const presence = this.presence(current);
      presence.use();
      return presence.isUp() ? current : this.#raise(current, await this.#candidates(current), { call, signal });
    });
  }

  /** The same for a network that nobody else knows of yet. */
  async raiseNew(record: NetworkRecord, candidates: readonly Cidr[], call: Call): Promise<NetworkRecord> {
    return this.#locked(record, call.signal, () => {
      this.presence(record).use();
      return this.#raise(record, candidates, call);
    });
  }

  /**
   * Removes bridge and rules, unless containers run on it or, without `force`, engines use it.
   *
   * @returns Whether they are gone.
   */
  async takeDown(record: NetworkRecord, options: { readonly force: boolean }): Promise<boolean> {
    return this.#locked(record, undefined, async () => {
      const presence = this.presence(record);
      const wasUp = presence.isUp();
      presence.markDown();
      await this.sweep(record);
      // Counted in any case, which takes away the marks of those that were killed.
      const users = presence.users();
      if (presence.addresses.list().length > 0 || (!options.force && users > 0)) {
        if (wasUp) presence.markUp();
        return false;
      }
      const { leaveDocker, removeBridge, removeRules } = await kernel();
      await Promise.all([removeRules(record.device), removeBridge(record, { call: 'network.remove' })]);
      await leaveDocker();
      if (options.force) this.forget(record);
      presence.names.clear();
      presence.removeEmpty();
      return true;
    });
  }

  /**
   * Gives back the places of containers that do not run, where nobody is there to start them: first the published ports
   * that lead there, then the addresses and names.
   */
  async sweep(record: Pick<NetworkRecord, 'id' | 'name' | 'device' | 'internal'>): Promise<void> {
    const presence = this.presence(record);
    const stale = presence.addresses.stale(this.#setup.isRunning);
    if (stale.length > 0 && !record.internal)
      await this.withdraw(tableOf(record.device), new Set(stale.map(({ ip }) => ip)));
    presence.sweep(this.#setup.isRunning);
  }

  /** Withdraws published ports for a monitor that was killed. What cannot be done is told. */
  async withdraw(table: string, addresses: ReadonlySet<string>): Promise<void> {
    if (!existsSync(`/sys/class/net/${table.slice(tableOf('').length)}`)) return;
    try {
      const { withdrawPorts } = await import('./withdraw.js');
      await withdrawPorts(table, addresses);
    } catch (error) {
      // Without nft there are none.
      if (errorCode(error) !== 'CTR_UNSUPPORTED')
        this.#setup.warn(`ports that led to ${[...addresses].join(', ')} could not be withdrawn`, error);
    }
  }

  /** This engine is done with a network. */
  forget(record: Pick<NetworkRecord, 'id'>): void {
    this.#presences.get(record.id)?.leave();
    this.#presences.delete(record.id);
  }

  /** This engine is done with all of them: takes down what nobody else uses. */
  async close(): Promise<void> {
    for (const [id, presence] of [...this.#presences]) {
      const wasUsing = presence.leave();
      const record = this.#setup.records.get(id);
      if (!wasUsing || record === undefined) continue;
      try {
        await this.takeDown(record, { force: false });
      } catch (error) {
        this.#setup.warn(`engine.close: network ${record.name}: its bridge could not be removed`, error);
      }
    }
    this.#presences.clear();
  }

  async #raise(record: NetworkRecord, candidates: readonly Cidr[], call: Call): Promise<NetworkRecord> {
    const { gatewayCidr, raiseBridge } = await kernel();
    const presence = this.presence(record);
    const gateways = candidates.map((subnet, i) => gatewayCidr(subnet, i === 0 ? record.gateway : undefined));
    // Both at once: nearly always the first candidate is taken, and the rules are right.
    const [cidr] = await Promise.all([raiseBridge(record, gateways, call), this.#addRules(record)]);
    const taken = parseCidr(cidr);
    let raised = record;
    if (taken !== undefined && formatCidr(taken) !== record.subnet) {
      raised = { ...record, subnet: formatCidr(taken), gateway: formatIp(taken.address) };
      this.#setup.records.put(raised);
      await this.#addRules(raised);
    }
    if (hasNames(raised))
      presence.names.enterHost([raised.gateway, raised.gateway6].filter(address => address !== undefined));
    presence.markUp();
    return raised;
  }

  async #addRules(record: NetworkRecord): Promise<void> {
    try {
      const { addRules, passDocker } = await kernel();
      await Promise.all([addRules(record), passDocker()]);
    } catch (error) {
      // Containers still reach each other and the host reaches them; only the way out is missing.
      this.#setup.warn(`network ${record.name}: containers on it will not reach other machines`, error);
    }
  }

  /** Subnets that it may have: its own and, where that one was our choice, any other that is free. */
  async #candidates(record: NetworkRecord): Promise<Cidr[]> {
    const { freeSubnets } = await import('./subnets.js');
    const own = parseCidr(record.subnet);
    const others = this.#setup.records.list().filter(other => other.id !== record.id);
    const free = record.chosen ? freeSubnets(others) : [];
    return [...(own === undefined ? [] : [own]), ...free.filter(subnet => subnet.first !== own?.first)];
  }

  async #locked<T>(record: NetworkRecord, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const lock = await this.#setup.store.lock(`network-${record.id}`, signal === undefined ? {} : { signal });
    try {
      return await work();
    } finally {
      await lock[Symbol.asyncDispose]();
    }
  }
}

/** What puts bridges and rules into the kernel: loaded with the first that is raised or taken down. */
const kernel = lazy(async () => {
  const [attach, bridge, docker, firewall] = await Promise.all([
    import('./attach.js'),
    import('./bridge.js'),
    import('./docker.js'),
    import('./firewall.js'),
  ]);
  return {
    gatewayCidr: attach.gatewayCidr,
    raiseBridge: bridge.raiseBridge,
    removeBridge: bridge.removeBridge,
    passDocker: docker.passDocker,
    leaveDocker: docker.leaveDocker,
    addRules: firewall.addRules,
    removeRules: firewall.removeRules,
  };
});
