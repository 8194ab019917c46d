import { SyscallError } from '../errors.js';
import type { Fact } from '../host/job.js';
import { toSyscallError } from '../host/job.js';
import { ConflictError, InvalidStateError, NotFoundError } from '../errors.js';
import { chooseWayOut, type Endpoint, insideOp, type NetworkOp, wayOutOps } from '../network/attach.js';
import type { JoinRequest } from '../network/members.js';
import { removeLink } from '../network/names.js';
import { checkPorts, type PortMapping, proxyOp } from '../network/ports.js';
import { explainPublish, publishedPort } from '../network/publish.js';
import type { AbortOptions } from '../types.js';
import type { ContainerContext } from './context.js';
import type { Live } from './live.js';
import { changeHosts, changeResolv, hasResolver } from './network-files.js';
import { memberOf, publishTarget, resolverOps } from './network.js';
import { type NetworkState, readNetwork, writeNetwork } from './network-state.js';
import type { Attachment } from './options.js';
import type { ContainerRecord } from './record.js';

interface Call extends AbortOptions {
  readonly call: string;
}

/** Changes the networks and ports of containers, also while they run. */
export class LiveNetwork {
  readonly #context: ContainerContext;
  readonly #live: Live;

  constructor(context: ContainerContext, live: Live) {
    this.#context = context;
    this.#live = live;
  }

  /**
   * Puts a container on one more network: at once if it runs, and whenever it starts from now on.
   *
   * @throws {@link ConflictError} when it is on that network already, or an address is taken.
   */
  async connect(record: ContainerRecord, request: Attachment, { call, signal }: Call): Promise<void> {
    const { config } = record;
    const bad = (reason: string, remedy?: string): ConflictError =>
      new ConflictError({
        call,
        kind: 'container',
        ref: record.name,
        reason,
        usedBy: [],
        ...(remedy === undefined ? {} : { remedy }),
      });
    if (config.networkMode !== 'networks')
      throw bad(`has network mode ${config.networkMode}, which excludes networks`, 'Create it on a network');
    if (config.networks.some(({ network }) => this.#context.networks.same(network, request.network)))
      throw bad(`is on network ${request.network} already`);
    if (this.#live.state(record.id).name === 'running')
      await this.#connectLive(record, request, { call, ...abort(signal) });
    this.#context.records.update(record.id, before => ({
      ...before,
      config: { ...before.config, networks: [...before.config.networks, request] },
    }));
  }

  /**
   * Takes a container off a network.
   *
   * @throws {@link NotFoundError} when it is not on that network.
   */
  async disconnect(record: ContainerRecord, network: string, { call, signal }: Call): Promise<void> {
    const { networks } = this.#context;
    const kept = record.config.networks.filter(each => !networks.same(each.network, network));
    if (kept.length === record.config.networks.length)
      throw new NotFoundError({ call, kind: 'network', ref: network, remedy: `Container ${record.name} is not on it` });
    if (this.#live.state(record.id).name === 'running')
      await this.#disconnectLive(record, network, { call, ...abort(signal) });
    this.#context.records.update(record.id, before => ({
      ...before,
      config: {
        ...before.config,
        networks: before.config.networks.filter(each => !networks.same(each.network, network)),
      },
    }));
  }

  /** Publishes a port of a running container, until it ends. */
  async publish(
    record: ContainerRecord,
    port: number | string | PortMapping,
    { call }: Call,
  ): Promise<Required<PortMapping>[]> {
    const specs = checkPorts(call, [port]);
    const state = this.#state(record, call);
    const target = publishTarget(state.endpoints);
    if (target === undefined) throw this.#notOnNetwork(record, call);
    const facts = await this.#ask(
      record,
      specs.map(spec => proxyOp(spec, target)),
      call,
    );
    const published = facts.filter(({ fact }) => fact === 'listening').map(publishedPort);
    this.#change(record, before => ({ ...before, ports: [...before.ports, ...published] }));
    return published;
  }

  /** @throws {@link NotFoundError} when that port is not published. */
  async unpublish(record: ContainerRecord, port: number, protocol: 'tcp' | 'udp', { call }: Call): Promise<void> {
    const facts = await this.#ask(record, [['unpublish', protocol, port]], call);
    const gone = facts.find(({ fact }) => fact === 'unpublished');
    if (Number(gone?.['count'] ?? 0) === 0)
      throw new NotFoundError({
        call,
        kind: 'port',
        ref: `${record.name}:${port}/${protocol}`,
        remedy: 'It is not published',
      });
    const isGone = (each: Required<PortMapping>): boolean => each.container === port && each.protocol === protocol;
    this.#change(record, before => ({ ...before, ports: before.ports.filter(each => !isGone(each)) }));
  }

  async #connectLive(record: ContainerRecord, request: JoinRequest, { call, signal }: Call): Promise<void> {
    const { networks } = this.#context;
    const state = this.#state(record, call);
    const taken = state.endpoints.map(endpoint => endpoint.interface);
    const attachment = await networks.attach(memberOf(record), [request], { call, signal }, taken);
    const [came] = attachment.endpoints;
    if (came === undefined) return;
    try {
      const all = settleWayOut([...state.endpoints, { ...came, wayOut: false }]);
      const leave = [...(state.leave ?? []), ...attachment.leave];
      await this.#ask(
        record,
        [
          ...attachment.hostOps,
          insideOp({ ...came, wayOut: false }),
          ...(all.at(-1)?.wayOut === true ? wayOutOps(came) : []),
          ['net-leave', ...attachment.leave],
          ...this.#resolver(record, all, attachment.resolverOps, state),
        ],
        call,
      );
      this.#change(record, before => ({ ...before, endpoints: all, leave }));
      const directory = this.#live.directory(record);
      changeHosts(directory, record.config, { came });
      if (!state.endpoints.some(hasResolver) && all.some(hasResolver)) changeResolv(directory, record.config, true);
      networks.tell('network:connect', came, record.id);
    } catch (error) {
      await this.#undoConnect(record, came, state, call);
      attachment.release();
      throw error;
    }
  }

  async #disconnectLive(record: ContainerRecord, network: string, { call }: Call): Promise<void> {
    const { networks } = this.#context;
    const state = this.#state(record, call);
    const went = state.endpoints.find(endpoint => networks.same(endpoint.network, network));
    if (went === undefined) return;
    const all = settleWayOut(state.endpoints.filter(endpoint => endpoint !== went));
    const wayOut = all.find(endpoint => endpoint.wayOut);
    const gone = networks.linksOf(record.id, went);
    const leave = (state.leave ?? []).filter(path => !gone.includes(path));
    await this.#ask(
      record,
      [
        ['net-host-delete', went.hostInterface],
        ...(went.wayOut && wayOut !== undefined ? wayOutOps(wayOut) : []),
        ['net-leave-clear'],
        ['net-leave', ...leave],
        ...this.#resolver(record, all, [], state),
      ],
      call,
    );
    networks.leave(record.id, went);
    this.#change(record, before => ({ ...before, endpoints: all, leave }));
    const directory = this.#live.directory(record);
    changeHosts(directory, record.config, { went });
    if (state.endpoints.some(hasResolver) && !all.some(hasResolver)) changeResolv(directory, record.config, false);
    networks.tell('network:disconnect', went, record.id);
  }

  /** After a connection that failed half-way: as it was before, as far as anything of it was done. */
  async #undoConnect(record: ContainerRecord, came: Endpoint, state: NetworkState, call: string): Promise<void> {
    const wayOut = state.endpoints.find(endpoint => endpoint.wayOut);
    const steps: (readonly NetworkOp[])[] = [
      [['net-host-delete', came.hostInterface]],
      [['net-leave-clear'], ['net-leave', ...(state.leave ?? [])]],
      this.#resolver(record, state.endpoints, [], state),
      wayOut === undefined ? [] : wayOutOps(wayOut),
    ];
    for (const ops of steps) {
      try {
        if (ops.length > 0) await this.#ask(record, ops, call);
      } catch {
        // It was not done, so there is nothing to undo; and what failed first is what is told.
      }
    }
  }

  /** A running container is found by its new name from now on, and by the former no more. */
  async rename(record: ContainerRecord, name: string, { call }: Call): Promise<void> {
    const { networks } = this.#context;
    if (this.#live.state(record.id).name !== 'running') return;
    const state = this.#state(record, call);
    const kept = (endpoint: Endpoint): boolean =>
      endpoint.aliases.includes(record.name) || record.config.hostname === record.name;
    const endpoints = state.endpoints.map(endpoint =>
      hasResolver(endpoint)
        ? {
            ...endpoint,
            dnsNames: [...new Set([name, ...endpoint.dnsNames.filter(each => each !== record.name || kept(endpoint))])],
          }
        : endpoint,
    );
    const linksOf = (all: readonly Endpoint[]): string[] => all.flatMap(each => networks.linksOf(record.id, each));
    const [before, after] = [linksOf(state.endpoints), linksOf(endpoints)];
    if (before.join() === after.join()) return;
    const leave = [...new Set([...(state.leave ?? []).filter(path => !before.includes(path)), ...after])];
    for (const endpoint of endpoints) networks.enter(record.id, endpoint);
    await this.#ask(record, [['net-leave-clear'], ['net-leave', ...leave]], call);
    this.#change(record, current => ({ ...current, endpoints, leave }));
    for (const path of before) if (!after.includes(path)) removeLink(path);
  }

  /** The resolver's networks, all anew: the way out may be another one, and with it the order. */
  #resolver(
    record: ContainerRecord,
    endpoints: readonly Endpoint[],
    added: readonly NetworkOp[],
    before: NetworkState,
  ): NetworkOp[] {
    const known = this.#context.networks.resolverOps(
      record.id,
      endpoints.filter(endpoint => before.endpoints.some(({ id }) => id === endpoint.id)),
    );
    const listening = before.endpoints.some(hasResolver);
    const ops = resolverOps(record.config, endpoints, [...known, ...added], { listen: !listening });
    return [['resolver-clear'], ...ops, ...(listening || ops.length === 0 ? [] : ([['resolver-start']] as const))];
  }

  async #ask(record: ContainerRecord, ops: readonly NetworkOp[], call: string): Promise<Fact[]> {
    const { monitored } = await this.#live.require(record, call);
    const { ok, facts } = await monitored.holding(monitored.connection.request(ops));
    if (ok) return facts;
    const error = toSyscallError(call, facts.find(({ fact }) => fact === 'error') ?? { fact: 'error' });
    throw error.stage === 'publish' ? explainPublish(call, error, pid => this.#live.containerOf(pid)) : error;
  }

  #state(record: ContainerRecord, call: string): NetworkState {
    const state = readNetwork(this.#live.paths(record.id).runDir);
    if (this.#live.state(record.id).name !== 'running')
      throw new InvalidStateError({
        call,
        kind: 'container',
        ref: record.name,
        state: this.#live.state(record.id).name,
        expected: ['running'],
      });
    return state;
  }

  #change(record: ContainerRecord, change: (before: NetworkState) => NetworkState): void {
    const { runDir } = this.#live.paths(record.id);
    // The record's lock: whoever else changes this container waits.
    this.#context.records.update(record.id, () => {
      writeNetwork(runDir, change(readNetwork(runDir)));
      return undefined;
    });
  }

  #notOnNetwork(record: ContainerRecord, call: string): SyscallError {
    return new SyscallError({
      call,
      stage: 'publish',
      syscall: 'connect',
      errno: 'ENETUNREACH',
      path: record.name,
      remedy: 'It is on no network. Create it on one, or reach it with dial',
    });
  }
}

function settleWayOut(endpoints: readonly Endpoint[]): Endpoint[] {
  const wayOut = chooseWayOut(endpoints);
  return endpoints.map(endpoint => ({ ...endpoint, wayOut: endpoint === wayOut }));
}

function abort(signal: AbortSignal | undefined): AbortOptions {
  return signal === undefined ? {} : { signal };
}
