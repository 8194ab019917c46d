import { randomBytes } from 'node:crypto';

import { ConflictError, errorCode, isEngineError } from '../errors.js';
import { formatOwner, isAlive, parseOwner, self } from '../store/owner.js';
import { defaultRoot } from '../store/paths.js';
import type { Records } from '../store/records.js';
import type { AbortOptions, Filter, Labels, Owned, PruneReport } from '../types.js';
import type { Attachment, Endpoint, NetworkOp } from './attach.js';
import { Bridges, type Call } from './bridges.js';
import { checkJoin, checkName, nameTaken, noSubnet, notFound } from './checks.js';
import { formatCidr } from './cidr.js';
import { type JoinRequest, type Member, Members } from './members.js';
import { removeLink } from './names.js';
import { type ContainerRef, Network, type NetworkHome, type NetworkInfo, OwnedNetwork } from './network.js';
import { defaultNetwork, type Emit, type NetworkRecord, type NetworkStore } from './record.js';
import type { SubnetOptions } from './subnets.js';

/** What a network is to be. */
export interface CreateNetworkOptions extends AbortOptions, SubnetOptions {
  /** Letters, digits, `_`, `.` and `-`. The start of its id when left out. */
  readonly name?: string;
  /** Without a way out. Default `false`. */
  readonly internal?: boolean;
  /** Largest packet, in bytes. The kernel's default, 1500, when left out. */
  readonly mtu?: number;
  /** Whether members reach each other. @defaultValue `true` */
  readonly icc?: boolean;
  /** Whether members appear under the host's address outside. @defaultValue `true` */
  readonly masquerade?: boolean;
  /** The address of the host at which ports are published that name none. Default: all. */
  readonly hostBinding?: string;
  /** The bridge's name on the host. Default: made of the network's id. */
  readonly device?: string;
  /** What interfaces inside are called, before their number. @defaultValue `'eth'` */
  readonly interfacePrefix?: string;
  /** What else was said of it, for whoever asks: not looked at. */
  readonly options?: Readonly<Record<string, string>>;
  /** To find it by. */
  readonly labels?: Labels;
  /**
   * `'process'`: it goes with this process, also when that is killed. `'detached'`: it stays until it is removed.
   * Default: `'detached'` with a name, `'process'` without.
   */
  readonly lifetime?: 'process' | 'detached';
}

/** @internal */
export interface NetworksSetup {
  readonly store: NetworkStore;
  readonly emit: Emit;
  /** Whether a container runs. Asked only of containers whose starter is dead. */
  readonly isRunning: (container: string) => boolean;
  /** What puts containers on networks. */
  readonly connector?: () => Connector;
  /** The containers that name a network, running or not. They may call it by name or by id. */
  readonly usedBy?: (network: { readonly id: string; readonly name: string }) => readonly string[];
}

/** @internal */
export interface Connector {
  connect(container: ContainerRef, request: JoinRequest, call: Call): Promise<void>;
  disconnect(container: ContainerRef, network: string, call: Call): Promise<void>;
}

type Draft = Pick<NetworkRecord, 'name' | 'internal' | 'labels'> & Partial<NetworkRecord>;

/** The networks of an engine. */
export class Networks {
  readonly #setup: NetworksSetup;
  readonly #records: Records<NetworkRecord>;
  readonly #bridges: Bridges;
  readonly #members: Members;
  readonly #home: NetworkHome = {
    inspect: (id, call) => this.#inspect(this.#require(id, call)),
    remove: (id, call) => this.#remove(this.#require(id, call), call),
    dispose: id => this.#dispose(id),
    connect: async (id, container, { signal, ...rest }) => {
      const call = 'network.connect';
      const request: JoinRequest = { ...rest, network: this.#require(id, call).name };
      checkJoin(call, defined(request));
      await this.#connector(call).connect(container, defined(request), { call, signal });
    },
    disconnect: async (id, container, signal) => {
      const call = 'network.disconnect';
      await this.#connector(call).disconnect(container, this.#require(id, call).name, { call, signal });
    },
  };

  /** @internal */
  constructor(setup: NetworksSetup) {
    const { store, isRunning } = setup;
    this.#setup = setup;
    this.#records = store.records('networks');
    const warn = (message: string, error: unknown): void => this.#warn(message, error);
    this.#bridges = new Bridges({ store, records: this.#records, isRunning, warn });
    this.#members = new Members({
      bridges: this.#bridges,
      find: (ref, call) => this.#findOrMake(ref, call),
    });
  }

  /**
   * Creates a bridge network. Its bridge is up when this resolves.
   *
   * @throws {@link ConflictError} when the name is taken, or the subnet overlaps with another network, or with an
   * address or route of the host.
   * @throws {@link ParseError} when a name, subnet or address is malformed.
   * @throws {@link UnsupportedError} when this user cannot make bridges.
   */
  async create(options: CreateNetworkOptions = {}): Promise<Owned<Network>> {
    const call = 'networks.create';
    const { name, labels = {}, internal = false, signal } = options;
    signal?.throwIfAborted();
    if (name !== undefined) checkName(call, name);
    const { checkSettings } = await import('./settings.js');
    const lifetime = options.lifetime ?? (name === undefined ? 'process' : 'detached');
    const id = newId();
    const draft: Draft = {
      name: name ?? id.slice(0, 12),
      internal,
      labels: { ...labels },
      ...checkSettings(call, options),
      ...(lifetime === 'process' ? { owner: formatOwner(self()) } : {}),
    };
    const record = await this.#locked(signal, () => this.#create(id, draft, options, { call, signal }));
    return new OwnedNetwork(record, this.#home);
  }

  /**
   * Finds a network by its name, its id, or the start of its id.
   *
   * @throws {@link NotFoundError} when there is none.
   */
  async get(ref: string, options: AbortOptions = {}): Promise<Network> {
    options.signal?.throwIfAborted();
    return new Network(this.#require(ref, 'networks.get'), this.#home);
  }

  /** All networks that match, by name. */
  async list(filter: Filter = {}, options: AbortOptions = {}): Promise<Network[]> {
    options.signal?.throwIfAborted();
    return this.#matching(filter).map(record => new Network(record, this.#home));
  }

  /** Removes the networks that no container names, but for the default one. */
  async prune(filter: Filter = {}, options: AbortOptions = {}): Promise<PruneReport> {
    const removed: string[] = [];
    for (const record of this.#matching(filter)) {
      options.signal?.throwIfAborted();
      if (record.name === defaultNetwork || (this.#setup.usedBy?.(record).length ?? 0) > 0) continue;
      try {
        await this.#remove(record, 'networks.prune');
        removed.push(record.name);
      } catch (error) {
        // In use after all: a container was faster.
        if (errorCode(error) !== 'CTR_CONFLICT') throw error;
      }
    }
    return { removed, reclaimedBytes: 0 };
  }

  /**
   * Claims a place for a container on each of these networks, the first being `eth0`, and says what the helper is to do.
   * None at all is right, too: then there is only a loopback device.
   *
   * @internal
   */
  async attach(
    member: Member,
    requests: readonly JoinRequest[],
    call: Call,
    taken: readonly string[] = [],
  ): Promise<Attachment> {
    return this.#members.attach(member, requests, call, taken);
  }

  /** Whether two references mean one network. @internal */
  same(a: string, b: string): boolean {
    if (a === b) return true;
    const record = this.#find(a);
    return record !== undefined && record.id === this.#find(b)?.id;
  }

  /** The links of a container's place: what its monitor unlinks. @internal */
  linksOf(container: string, endpoint: Endpoint): string[] {
    return this.#members.linksOf(container, endpoint, this.#records.get(endpoint.network));
  }

  /** Says that a running container came or went. @internal */
  tell(type: 'network:connect' | 'network:disconnect', endpoint: Endpoint, container: string): void {
    const { network: id, networkName: name } = endpoint;
    const labels = this.#records.get(id)?.labels ?? {};
    this.#setup.emit(type, { time: new Date(), id, name, labels, container });
  }

  /** Makes a member known by the names of its place, also where some of them are new. @internal */
  enter(container: string, { network, dnsNames, ip, ip6 }: Endpoint): void {
    const record = this.#records.get(network);
    if (record === undefined || dnsNames.length === 0) return;
    this.#bridges.presence(record).names.enter(container, dnsNames, [ip, ...(ip6 === undefined ? [] : [ip6])]);
  }

  /** Gives back the place of a container that goes on without it. @internal */
  leave(container: string, endpoint: Endpoint): void {
    for (const path of this.linksOf(container, endpoint)) removeLink(path);
  }

  /** Takes away what the killed monitor of a container left of its places. @internal */
  async abandon(container: string, endpoints: readonly Endpoint[]): Promise<void> {
    for (const { table, ip, ip6 } of endpoints)
      if (table !== '') await this.#bridges.withdraw(table, new Set([ip, ...(ip6 === undefined ? [] : [ip6])]));
    for (const endpoint of endpoints) this.leave(container, endpoint);
  }

  /** Where the resolver of a container that is there already finds names. @internal */
  resolverOps(container: string, endpoints: readonly Endpoint[]): NetworkOp[] {
    return endpoints.flatMap(endpoint =>
      this.#members.resolverOps(container, endpoint, this.#records.get(endpoint.network)),
    );
  }

  /** Takes down what nobody needs any more and removes what belonged to dead processes. For `Engine.open`. @internal */
  async sweep(): Promise<void> {
    for (const record of this.#records.list()) {
      try {
        const owner = record.owner === undefined ? undefined : parseOwner(record.owner);
        if (owner !== undefined && !isAlive(owner)) await this.#remove(record, 'engine.open');
        else if (this.#bridges.presence(record).isThere()) await this.#bridges.takeDown(record, { force: false });
      } catch (error) {
        // Containers still run on it: a later sweep finds it again.
        if (errorCode(error) !== 'CTR_CONFLICT')
          this.#warn(`engine.open: network ${record.name} could not be swept`, error);
      }
    }
  }

  /** Lets go of the bridges; those that nobody else uses go. For `Engine.close`. @internal */
  async close(): Promise<void> {
    await this.#bridges.close();
  }

  #connector(call: string): Connector {
    const connector = this.#setup.connector?.();
    if (connector === undefined) throw new TypeError(`${call}: there are no containers here`);
    return connector;
  }

  #findOrMake(ref: string, call: Call): NetworkRecord | Promise<NetworkRecord> {
    return this.#find(ref) ?? (ref === defaultNetwork ? this.#makeDefault(call) : raise(notFound(call.call, ref)));
  }

  async #makeDefault(call: Call): Promise<NetworkRecord> {
    return this.#locked(call.signal, async () => {
      const draft: Draft = { name: defaultNetwork, internal: false, labels: {} };
      return this.#find(defaultNetwork) ?? this.#create(newId(), draft, {}, call);
    });
  }

  async #locked<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const lock = await this.#setup.store.lock('networks', signal === undefined ? {} : { signal });
    try {
      return await work();
    } finally {
      await lock[Symbol.asyncDispose]();
    }
  }

  /** Under the lock on all networks, so that no two choose the same subnet. */
  async #create(id: string, draft: Draft, subnets: SubnetOptions, call: Call): Promise<NetworkRecord> {
    const [{ checkFree, firstGateway, freeSubnets, parseSubnet }, { checkFree6, checkReserved, parseSubnet6 }] =
      await Promise.all([import('./subnets.js'), import('./subnets6.js')]);
    const { subnet, gateway, range } = subnets;
    if (subnet === undefined && (gateway ?? range) !== undefined)
      throw new TypeError(`${call.call}: a gateway or range needs a subnet`);
    const v6 = parseSubnet6(call.call, id, subnets);
    const wanted = subnet === undefined ? undefined : parseSubnet(call.call, { subnet, gateway, range });
    const others = this.#records.list();
    const cidr = wanted && checkFree(call.call, draft.name, wanted.subnet, others);
    if (v6 !== undefined) checkFree6(call.call, draft.name, v6.subnet6, others);
    const reserved = checkReserved(call.call, subnets.reserved ?? {}, [wanted?.subnet, v6?.subnet6]);
    const candidates = cidr === undefined ? freeSubnets(others) : [cidr];
    const first = candidates[0] ?? raise(noSubnet(call.call, draft.name));
    const record: NetworkRecord = {
      id,
      driver: 'bridge',
      device: deviceName(id, draft.name, this.#setup.store.root),
      ...v6,
      ...(reserved === undefined ? {} : { reserved }),
      subnet: formatCidr(first),
      gateway: wanted?.gateway ?? firstGateway(first),
      ...(range === undefined ? {} : { range }),
      chosen: wanted === undefined,
      createdAt: new Date().toISOString(),
      ...draft,
    };
    if (!this.#records.claim(record.name, id))
      throw nameTaken(call.call, record.name, this.#records.resolve(record.name));
    try {
      this.#records.put(record);
      const raised = await this.#bridges.raiseNew(record, candidates, call);
      this.#setup.emit('network:create', { time: new Date(), id, name: raised.name, labels: raised.labels });
      return raised;
    } catch (error) {
      await this.#undo(record);
      throw error;
    }
  }

  async #undo(record: NetworkRecord): Promise<void> {
    try {
      await this.#bridges.takeDown(record, { force: true });
    } catch (error) {
      // It failed at making the bridge, so it may well fail at removing it.
      if (errorCode(error) !== 'CTR_UNSUPPORTED' && errorCode(error) !== 'CTR_SYSCALL') throw error;
      this.#bridges.forget(record);
    }
    this.#records.delete(record.id, [record.name]);
  }

  async #remove(record: NetworkRecord, call: string): Promise<void> {
    const conflict = (reason: string, usedBy: readonly string[], remedy?: string): ConflictError =>
      new ConflictError({
        call,
        kind: 'network',
        ref: record.name,
        reason,
        usedBy,
        ...(remedy === undefined ? {} : { remedy }),
      });
    if (record.name === defaultNetwork) throw conflict('is the default network, which cannot be removed', []);
    if (!(await this.#bridges.takeDown(record, { force: true }))) {
      const usedBy = this.#bridges
        .presence(record)
        .addresses.list()
        .map(claim => claim.container);
      throw conflict(
        `${usedBy.length} ${usedBy.length === 1 ? 'container runs' : 'containers run'} on it`,
        usedBy,
        'Remove them first',
      );
    }
    if (this.#records.delete(record.id, [record.name]))
      this.#setup.emit('network:remove', { time: new Date(), id: record.id, name: record.name, labels: record.labels });
  }

  async #dispose(id: string): Promise<void> {
    const record = this.#records.get(id);
    if (record === undefined) return;
    try {
      await this.#remove(record, 'network.dispose');
    } catch (error) {
      this.#warn(`network ${record.name} could not be removed`, error);
    }
  }

  #inspect(record: NetworkRecord): NetworkInfo {
    const { id, name, driver, subnet, gateway, device, internal, range, subnet6, gateway6, range6 } = record;
    const claims = this.#bridges
      .presence(record)
      .addresses.list()
      .filter(({ ip }) => !ip.includes(':'));
    return Object.freeze({
      ...{ id, name, driver, subnet, gateway, device, internal, range, subnet6, gateway6, range6 },
      reserved: Object.freeze({ ...record.reserved }),
      options: Object.freeze({ ...record.options }),
      labels: Object.freeze({ ...record.labels }),
      createdAt: new Date(record.createdAt),
      containers: Object.freeze(Object.fromEntries(claims.map(claim => [claim.container, claim.ip]))),
    });
  }

  #matching({ name, labels = {} }: Filter): NetworkRecord[] {
    const named = (record: NetworkRecord): boolean =>
      name === undefined || (typeof name === 'string' ? record.name === name : record.name.search(name) >= 0);
    const labelled = (record: NetworkRecord): boolean =>
      Object.entries(labels).every(([key, value]) =>
        value === true ? Object.hasOwn(record.labels, key) : record.labels[key] === value,
      );
    return this.#records
      .list()
      .filter(record => named(record) && labelled(record))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #require(ref: string, call: string): NetworkRecord {
    return this.#find(ref) ?? raise(notFound(call, ref));
  }

  #find(ref: string): NetworkRecord | undefined {
    if (ref === '') return undefined;
    if (/^[0-9a-f]{64}$/.test(ref)) return this.#records.get(ref);
    const id = this.#records.resolve(ref);
    if (id !== undefined) return this.#records.get(id);
    if (!/^[0-9a-f]{4,63}$/.test(ref)) return undefined;
    const [match, ...more] = this.#records.ids().filter(candidate => candidate.startsWith(ref));
    return match === undefined || more.length > 0 ? undefined : this.#records.get(match);
  }

  #warn(message: string, error: unknown): void {
    const reason = (error as Partial<Error> | undefined)?.message ?? String(error);
    const cause = isEngineError(error) ? { error } : {};
    this.#setup.emit('warning', { time: new Date(), message: `${message}: ${reason}`, ...cause });
  }
}

/** What was left out is not there, rather than `undefined`. */
function defined(request: JoinRequest): Definite<JoinRequest> {
  return Object.fromEntries(
    Object.entries(request).filter(([, value]) => value !== undefined),
  ) as Definite<JoinRequest>;
}

type Definite<T> = { readonly [K in keyof T]: Exclude<T[K], undefined> };

function newId(): string {
  return randomBytes(32).toString('hex');
}

/** Device names have at most 15 bytes. The default network of the usual store has one that people can remember. */
function deviceName(id: string, name: string, root: string): string {
  return name === defaultNetwork && root === defaultRoot() ? 'tsc0' : `tsc${id.slice(0, 12)}`;
}

function raise(error: Error): never {
  throw error;
}
