import { basename, dirname } from 'node:path';

import { errorCode, ConflictError, InvalidStateError, NotFoundError } from '../errors.js';
import type { Endpoint } from '../network/attach.js';
import type { PortMapping } from '../network/ports.js';
import type { MonitoredProcess } from '../runtime/monitor.js';
import type { ExecRecordSpec } from '../runtime/plan.js';
import type { AbortOptions, Owned, PruneReport } from '../types.js';
import type { Helper } from '../host/helper.js';
import { sleep } from '../util/abort.js';
import { lazy } from '../util/lazy.js';
import { Scope } from '../util/scope.js';
import { Container } from './container.js';
import type { ContainerContext } from './context.js';
import { readHealth, type Health } from './health.js';
import { inspectRecord, type ContainerInfo } from './inspect.js';
import type { Lifecycle } from './lifecycle.js';
import { Live } from './live.js';
import { Listing } from './listing.js';
import type { Candidate, ContainerFilter } from './filter.js';
import { isKept, logPath } from './log-config.js';
import type { OpenLog } from './log-reader.js';
import { permit, type Operation } from './operations.js';
import type { Attachment, CreateContainerOptions, FurtherProcessOptions } from './options.js';
import { readNetwork, type NetworkState } from './network-state.js';
import type { ContainerRecord } from './record.js';
import { Removal } from './removal.js';
import type { Starter, StartOptions } from './start.js';
import { explainStart, isClaimed, type StartContext } from './start-error.js';
import { isUp } from './state.js';
import type { ContainerStats, StatsOptions, WatchStatsOptions } from './stats.js';
import { isToGo } from './sweep.js';
import type { FilesOf } from './view.js';

/** How long the monitor of a container that ends may hold on to it; looked at this often. */
const CLAIMED_MS = 5;

/** The containers of a store. */
export class Containers {
  /** @internal */
  readonly live: Live;
  /** @internal */
  readonly listing: Listing;
  /** @internal */
  readonly observer = lazy(async () => {
    const { Observer } = await import('./observer.js');
    return new Observer(this.#context, this.live, this.listing);
  });
  /** @internal */
  readonly lifecycle = lazy(async () => {
    const { Lifecycle } = await import('./lifecycle.js');
    return (this.#lifecycle = new Lifecycle(this.#context, this.live, async (record, options) =>
      this.start(record, options),
    ));
  });
  /** @internal */
  readonly network = lazy(async () => {
    const { LiveNetwork } = await import('./live-network.js');
    return new LiveNetwork(this.#context, this.live);
  });
  /** What creates and starts: half of the package, loaded with the first container that is created or started. */
  readonly #starting = lazy(async () => {
    const [{ createRecord }, { Starter }] = await Promise.all([import('./create.js'), import('./start.js')]);
    return { createRecord, starter: (this.#starter = new Starter(this.#context, this.live)) };
  });
  readonly #further = lazy(() => import('./further.js'));
  readonly #context: ContainerContext;
  readonly #removal: Removal;
  #starter: Starter | undefined;
  #lifecycle: Lifecycle | undefined;
  #isClosed = false;

  /** @internal */
  constructor(context: ContainerContext) {
    this.#context = context;
    this.live = new Live(context);
    this.listing = new Listing(context.records);
    this.#removal = new Removal(context, this.live);
  }

  /**
   * Creates a container; it does not run yet. Pulls the image if it is missing (see `pull`). Disposing kills and removes it.
   *
   * @throws {@link NotFoundError} when there is no such image, {@link ConflictError} when the name is taken.
   * @throws `TypeError` for options that no container can have.
   */
  async create(options: CreateContainerOptions): Promise<Owned<Container>> {
    return this.#owned(await this.#create(options, 'containers.create'));
  }

  /** {@link Containers.create}, then {@link Container.start}. A start that fails leaves no container. */
  async launch(options: CreateContainerOptions): Promise<Owned<Container>> {
    const record = await this.#create(options, 'containers.launch');
    await using scope = new Scope();
    scope.defer(() => this.remove(record, { force: true }));
    await this.start(record, { call: 'containers.launch', attach: false, ...signalOf(options) });
    scope.keep();
    return this.#owned(record);
  }

  /**
   * Creates and starts one whose output comes over the returned conversation from the first byte: for `engine.run`.
   *
   * @internal
   */
  async launchAttached(
    options: CreateContainerOptions,
    call: string,
  ): Promise<{ record: ContainerRecord; monitored: MonitoredProcess; ready: Promise<void> }> {
    const record = await this.#create(options, call);
    await using scope = new Scope();
    scope.defer(() => this.remove(record, { force: true }));
    const { starter } = await this.#starting();
    const sent = await starter.send(record, { call, attach: true, ...signalOf(options) });
    scope.keep();
    return { record, ...sent };
  }

  /**
   * Finds a container by name, id, or the beginning of an id that only one has.
   *
   * @throws {@link NotFoundError} when there is none, {@link ConflictError} when several ids begin so.
   */
  async get(idOrName: string, options: AbortOptions = {}): Promise<Container> {
    options.signal?.throwIfAborted();
    return Container.of(this, this.#find(idOrName, 'containers.get'));
  }

  /** All that match, newest first. */
  async list(filter: ContainerFilter = {}, options: AbortOptions = {}): Promise<Container[]> {
    const found = await this.select(filter, { call: 'containers.list', ...options });
    return found.map(({ record }) => Container.of(this, record));
  }

  /**
   * Removes all that match and do not run.
   *
   * @returns Their ids, and the bytes that they had written.
   */
  async prune(filter: ContainerFilter = {}, options: AbortOptions = {}): Promise<PruneReport> {
    const removed: string[] = [];
    let reclaimedBytes = 0;
    const { writtenBytes } = await import('./select.js');
    const idle = { ...filter, state: ['created', 'exited', 'dead'] as const };
    for (const { record } of await this.select(idle, { call: 'containers.prune', ...options })) {
      const bytes = await writtenBytes(this.#context, record.id, options);
      try {
        await this.remove(record, options);
      } catch (error) {
        // Started, or removed by somebody else, meanwhile.
        if (!['CTR_NOT_FOUND', 'CTR_INVALID_STATE'].includes(errorCode(error) ?? '')) throw error;
        continue;
      }
      removed.push(record.id);
      reclaimedBytes += bytes;
    }
    return { removed, reclaimedBytes };
  }

  /** Those that match, newest first, with what is known of them. @internal */
  async select(filter: ContainerFilter, options: AbortOptions & { readonly call: string }): Promise<Candidate[]> {
    const { selectContainers } = await import('./select.js');
    return selectContainers(
      {
        context: this.#context,
        live: this.live,
        records: this.listing.all(),
        find: (ref, call) => this.#find(ref, call),
        ports: record => this.ports(record),
      },
      filter,
      options,
    );
  }

  /** What is known of one that was selected. @internal */
  describe({ record, state }: Pick<Candidate, 'record' | 'state'>): ContainerInfo {
    const now = state();
    const { endpoints, ports } = isUp(now) ? this.#network(record) : { endpoints: [], ports: [] };
    return inspectRecord(record, now, endpoints, ports, this.health(record));
  }

  /** @internal */
  async inspectDocker(
    record: ContainerRecord,
    options: AbortOptions & { readonly size?: boolean },
  ): Promise<Record<string, unknown>> {
    const { inspectDocker } = await import('./docker.js');
    return inspectDocker(this, this.#context, record, options);
  }

  /** What a container has written, in bytes. @internal */
  async writtenBytes(id: string, options: AbortOptions = {}): Promise<number> {
    const { writtenBytes } = await import('./select.js');
    return writtenBytes(this.#context, id, options);
  }

  /**
   * What all that run use, in one look.
   *
   * @param options.intervalMs - Measures `cpu.percent` over so long. Default 0: since each was started, at once.
   */
  async stats(options: StatsOptions = {}): Promise<ContainerStats[]> {
    return (await this.observer()).statsOfAll(options);
  }

  /** What all that run use, over and over: who starts meanwhile joins, who ends is left out. */
  async *watchStats(options: WatchStatsOptions = {}): AsyncGenerator<ContainerStats[], void, undefined> {
    yield* (await this.observer()).watchStatsOfAll(options);
  }

  /** What its files are reached by. @internal */
  filesOf(id: string, operation: Operation, call: string): FilesOf {
    const record = this.record(id, call);
    permit(operation, this.live.state(id), { call, ref: record.name });
    return { context: this.#context, live: this.live, record };
  }

  /** The place of a running container on a network, and its name. @internal */
  endpointOf(id: string, network: string): { readonly name: string; readonly endpoint: Endpoint } | undefined {
    const record = this.#context.records.get(id);
    const endpoint = record && this.endpoints(record).find(each => each.network === network);
    return endpoint && { name: record.name, endpoint };
  }

  /** For {@link Network.connect}. @internal */
  async connect(
    ref: string | { readonly id: string },
    request: Attachment,
    options: AbortOptions & { readonly call: string },
  ): Promise<void> {
    const record = this.#find(typeof ref === 'string' ? ref : ref.id, options.call);
    await (await this.network()).connect(record, request, options);
  }

  /** For {@link Network.disconnect}. @internal */
  async disconnect(
    ref: string | { readonly id: string },
    network: string,
    options: AbortOptions & { readonly call: string },
  ): Promise<void> {
    const record = this.#find(typeof ref === 'string' ? ref : ref.id, options.call);
    await (await this.network()).disconnect(record, network, options);
  }

  /** @internal */
  record(id: string, call: string): ContainerRecord {
    const record = this.#context.records.get(id);
    if (record === undefined)
      throw new NotFoundError({ call, kind: 'container', ref: id.slice(0, 12), remedy: 'It was removed' });
    return record;
  }

  /** @internal */
  logPath(record: ContainerRecord): string {
    return logPath(this.#context, record);
  }

  /** Where its log is, and when nothing more comes. @internal */
  async log(record: ContainerRecord, call: string): Promise<OpenLog> {
    const { log } = record.config;
    if (!isKept(log)) {
      throw new InvalidStateError({
        call,
        kind: 'container',
        ref: record.name,
        state: `created with log driver ${log.driver}`,
        expected: ["created with log: {driver: 'json-file'}"],
      });
    }
    permit('logs', this.live.state(record.id), { call, ref: record.name });
    const path = this.logPath(record);
    const running = await this.live.join(record);
    return {
      helper: this.#context.helper,
      source: { directory: dirname(path), name: basename(path), maxFiles: log.maxFiles, driver: log.driver },
      ended: running?.monitored.exited ?? Promise.resolve(),
    };
  }

  /** @internal */
  endpoints(record: ContainerRecord): readonly Endpoint[] {
    return this.#network(record).endpoints;
  }

  /** @internal */
  ports(record: ContainerRecord): readonly Required<PortMapping>[] {
    return this.#network(record).ports;
  }

  /** @internal */
  health(record: ContainerRecord): Health {
    return readHealth(record, this.live);
  }

  /** @internal */
  async start(record: ContainerRecord, options: StartOptions): Promise<void> {
    const { starter } = await this.#starting();
    while (permit('start', this.live.state(record.id), { call: options.call, ref: record.name })) {
      const { ready } = await starter.send(record, options);
      try {
        await ready;
      } catch (error) {
        // Another process was faster, or its last monitor is not quite gone.
        if (!isClaimed(error)) throw error;
        await sleep(CLAIMED_MS, options.signal);
        continue;
      }
      if (record.autoRemove === true) void this.#removeAtEnd(record);
      return;
    }
  }

  /** Starts one whose output comes over the returned conversation from the first byte: for `start --attach`. @internal */
  async startAttached(
    record: ContainerRecord,
    options: AbortOptions & { readonly call: string },
  ): Promise<{ monitored: MonitoredProcess; ready: Promise<void> }> {
    return (await this.#starting()).starter.send(record, { ...options, attach: true });
  }

  /** Starts one more process in a running container. The conversation's promises tell how it goes. @internal */
  async exec(
    record: ContainerRecord,
    command: readonly string[],
    options: FurtherProcessOptions & { readonly call: string; readonly stdin: boolean },
    write?: () => ExecRecordSpec,
  ): Promise<MonitoredProcess> {
    const { startFurther } = await this.#further();
    return startFurther(this.#context, this.live, record, command, options, write);
  }

  /** @internal */
  get helper(): Helper {
    return this.#context.helper;
  }

  /** @internal */
  explain(error: unknown, context: StartContext): unknown {
    return explainStart(error, context);
  }

  /** @internal */
  async remove(
    record: ContainerRecord,
    { volumes = true, ...options }: AbortOptions & { readonly force?: boolean; readonly volumes?: boolean } = {},
  ): Promise<void> {
    await this.#removal.remove(record, { ...options, keepVolumes: !volumes });
    this.#starter?.sinks.forget(record.id);
  }

  /** One that goes when it has ended goes as long as we are here; when we are not, its monitor sees to it. */
  async #removeAtEnd(record: ContainerRecord): Promise<void> {
    await this.live.peek(record.id)?.monitored.closed;
    if (this.#isClosed || this.#lifecycle?.isRestarting(record.id) === true) return;
    if (this.live.state(record.id).name !== 'exited') return;
    try {
      await this.#removal.erase(record);
    } catch (error) {
      this.#context.emit('warning', {
        time: new Date(),
        message: `container ${record.name} was not removed: ${(error as Partial<Error>).message ?? String(error)}`,
      });
    }
  }

  /** Removes what processes that are no more left behind: their records, and with them all that hangs on them. @internal */
  async sweep(): Promise<void> {
    for (const record of this.#context.records.list()) {
      if (record.spareName !== undefined) await (await this.observer()).finish(record);
      const { cgroupParent, pidMode } = record.config;
      if (isToGo(record, this.live)) await this.#removal.erase(record);
      else if (cgroupParent !== undefined || pidMode !== undefined) {
        const { clearAbandoned } = await import('./leftovers.js');
        await clearAbandoned(this.#context, this.live, record);
      }
    }
  }

  /** Starts what should be running by its restart policy, and does not. @internal */
  async restore(options: AbortOptions): Promise<void> {
    const { restore } = await import('./restore.js');
    await restore(this.#context, this.live, async record =>
      this.start(record, { call: 'engine.open', attach: false, ...signalOf(options) }),
    );
  }

  /** @internal */
  close(): void {
    this.#isClosed = true;
    this.live.close();
  }

  async #create(options: CreateContainerOptions, call: string): Promise<ContainerRecord> {
    const { createRecord, starter } = await this.#starting();
    const record = await createRecord(this.#context, options, call);
    starter.sinks.add(record, options.log);
    return record;
  }

  #network(record: ContainerRecord): NetworkState {
    return readNetwork(this.live.paths(record.id).runDir);
  }

  #find(ref: string, call: string): ContainerRecord {
    const { records } = this.#context;
    const named = records.resolve(ref);
    const record =
      (named === undefined ? undefined : records.get(named)) ??
      (/^[0-9a-f]{64}$/.test(ref) ? records.get(ref) : undefined);
    if (record !== undefined) return record;
    const ids = /^[0-9a-f]+$/.test(ref) ? records.ids().filter(id => id.startsWith(ref)) : [];
    const [only, ...others] = ids.map(id => records.get(id)).filter(found => found !== undefined);
    if (only === undefined) throw new NotFoundError({ call, kind: 'container', ref });
    if (others.length > 0)
      throw new ConflictError({
        call,
        kind: 'container',
        ref,
        reason: `${others.length + 1} ids begin so`,
        usedBy: ids,
        remedy: 'Give more digits',
      });
    return only;
  }

  #owned(record: ContainerRecord): Owned<Container> {
    return Object.assign(Container.of(this, record), {
      [Symbol.asyncDispose]: async (): Promise<void> => {
        try {
          await this.remove(record, { force: true });
        } catch (error) {
          // Disposal never rejects: it would hide the failure of the block that it ends. `prune` finds what stayed.
          this.#context.emit('warning', {
            time: new Date(),
            message: `container ${record.name} was not removed: ${String(error)}`,
          });
        }
      },
    });
  }
}

function signalOf({ signal }: AbortOptions): AbortOptions {
  return signal === undefined ? {} : { signal };
}
