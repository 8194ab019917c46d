import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { ConflictError, InvalidStateError, NotFoundError, errorCode } from '../errors.js';
import { Image } from '../image/image.js';
import type { ResolvedImage } from '../image/resolve.js';
import { type PortMapping, proxyOp } from '../network/ports.js';
import { publishedPort } from '../network/publish.js';
import type { Op } from '../runtime/spec.js';
import { removeCgroups } from '../host/cgroups-remove.js';
import { MonitoredProcess } from '../runtime/monitor.js';
import { containerPlan, execPlan } from '../runtime/plan.js';
import { formatOwner, self } from '../store/owner.js';
import type { AbortOptions, Filter, Owned, PruneReport } from '../types.js';
import { writeFileAtomic } from '../util/files.js';
import { Scope } from '../util/scope.js';
import { Container } from './container.js';
import type { ContainerContext } from './context.js';
import type { ContainerState, EndpointView } from './inspect.js';
import { Live } from './live.js';
import { CONTAINER_NAME, drawName } from './names.js';
import type { CreateContainerOptions, ProcessOptions } from './options.js';
import type { ContainerRecord } from './record.js';
import { resolveConfig } from './resolve.js';
import { buildSpec, cgroupsOf, execProcess, namespacesOf } from './spec.js';
import { explainStart, type StartContext } from './start-error.js';
import { isOrphan } from './sweep.js';

/** What a container has of the network while it runs; kept in its run directory for other processes. */
interface NetworkState {
  readonly endpoints: readonly (EndpointView & { readonly network: string })[];
  readonly ports: readonly Required<PortMapping>[];
}

interface StartOptions extends AbortOptions {
  readonly call: string;
  /** The output comes over the conversation, from the first byte. */
  readonly attach: boolean;
}

/** The containers of a store. */
export class Containers {
  /** @internal */
  readonly live: Live;
  readonly #context: ContainerContext;

  /** @internal */
  constructor(context: ContainerContext) {
    this.#context = context;
    this.live = new Live(context);
  }

  /**
   * Creates a container; it does not run yet. Pulls the image if it is missing (see `pull`). Disposing kills and removes it.
   *
   * @throws {@link NotFoundError} when there is no such image, {@link ConflictError} when the name is taken.
   * @throws `TypeError` for options that no container can have.
   */
  async create(options: CreateContainerOptions): Promise<Owned<Container>> {
    const record = await this.#create(options, 'containers.create');
    return this.#owned(record);
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
    return { record, ...(await this.#send(record, { call, attach: true, ...signalOf(options) })) };
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
  async list(
    filter: Filter & { readonly state?: ContainerState | readonly ContainerState[] } = {},
    options: AbortOptions = {},
  ): Promise<Container[]> {
    options.signal?.throwIfAborted();
    const states = filter.state === undefined ? undefined : [filter.state].flat();
    return this.#context.records
      .list()
      .filter(
        record => matches(record, filter) && (states === undefined || states.includes(this.live.state(record.id).name)),
      )
      .sort((a, b) => b.createdAt.localeCompare(a.createdAt))
      .map(record => Container.of(this, record));
  }

  /** Removes all that match and do not run. */
  async prune(filter: Filter = {}, options: AbortOptions = {}): Promise<PruneReport> {
    const removed: string[] = [];
    for (const container of await this.list({ ...filter, state: ['created', 'exited'] }, options)) {
      await container.remove(options);
      removed.push(container.id);
    }
    return { removed, reclaimedBytes: 0 };
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
    return join(this.#context.records.directory(record.id), `${record.id}-json.log`);
  }

  /** @internal */
  endpoints(record: ContainerRecord): readonly (EndpointView & { readonly network: string })[] {
    return this.#network(record).endpoints;
  }

  /** @internal */
  ports(record: ContainerRecord): readonly Required<PortMapping>[] {
    return this.#network(record).ports;
  }

  /** @internal */
  async start(record: ContainerRecord, options: StartOptions): Promise<void> {
    if (this.live.state(record.id).name === 'running') return;
    const { ready } = await this.#send(record, options);
    await ready;
  }

  /** Starts one whose output comes over the returned conversation from the first byte: for `start --attach`. @internal */
  async startAttached(
    record: ContainerRecord,
    options: AbortOptions & { readonly call: string },
  ): Promise<{ monitored: MonitoredProcess; ready: Promise<void> }> {
    return this.#send(record, { ...options, attach: true });
  }

  /** Starts one more process in a running container. The conversation's promises tell how it goes. @internal */
  async exec(
    record: ContainerRecord,
    command: readonly string[],
    options: ProcessOptions & { readonly call: string; readonly stdin: boolean; readonly privileged?: boolean },
  ): Promise<MonitoredProcess> {
    if (command.length === 0) throw new TypeError(`${options.call}: command: expected at least one word, got none`);
    const { started } = await this.live.require(record, options.call);
    const process = execProcess(this.#context, record, command, options);
    const target = {
      pid: started.pid,
      startTime: started.startTime,
      namespaces: namespacesOf(this.#context, record),
      cgroupJoin: cgroupsOf(this.#context, record, options.call)?.join ?? [],
    };
    return new MonitoredProcess(await this.#context.helper.send(execPlan(target, process)));
  }

  /** @internal */
  explain(error: unknown, context: StartContext): unknown {
    return explainStart(error, context);
  }

  /** @internal */
  async remove(record: ContainerRecord, options: AbortOptions & { readonly force?: boolean } = {}): Promise<void> {
    options.signal?.throwIfAborted();
    const running = await this.live.join(record);
    if (running !== undefined) {
      if (options.force !== true) {
        throw new InvalidStateError({
          call: 'container.remove',
          kind: 'container',
          ref: record.name,
          state: 'running',
          expected: ['created', 'exited'],
          remedy: 'Stop it first, or pass force: true',
        });
      }
      running.monitored.connection.op('kill', 9);
      await running.monitored.holding(running.monitored.closed);
    }
    await this.#erase(record);
  }

  /** Takes away what a container has on disk. @internal */
  async #erase(record: ContainerRecord): Promise<void> {
    const { records, volumes } = this.#context;
    const state = this.live.state(record.id);
    if (state.name === 'exited' && state.ended === undefined) {
      // Its monitor was killed, which would have done this.
      await removeCgroups(cgroupsOf(this.#context, record, 'container.remove')?.remove ?? []);
    }
    rmSync(this.live.paths(record.id).runDir, { recursive: true, force: true });
    if (!records.delete(record.id, [record.name])) return;
    for (const volume of record.anonymousVolumes) await volumes.discard(volume);
    this.#context.emit('container:remove', { time: new Date(), id: record.id, labels: record.labels });
  }

  /** Removes what processes that are no more left behind: their records, and with them all that hangs on them. @internal */
  async sweep(): Promise<void> {
    for (const record of this.#context.records.list()) {
      const state = record.autoRemove === true || isOrphan(record) ? this.live.state(record.id).name : 'running';
      if (state === 'exited' || (state === 'created' && isOrphan(record))) await this.#erase(record);
    }
  }

  /** @internal */
  close(): void {
    this.live.close();
  }

  async #create(options: CreateContainerOptions, call: string): Promise<ContainerRecord> {
    options.signal?.throwIfAborted();
    const image = await this.#image(options, call);
    const id = randomBytes(32).toString('hex');
    const config = resolveConfig(id, options, image.config.config);
    const { records, volumes } = this.#context;
    await using scope = new Scope();
    const lifetime = options.lifetime ?? 'process';
    const name = this.#claimName(id, options.name, call, lifetime === 'detached');
    scope.defer(() => void records.release(name, id));
    const { mounts, anonymous } = await volumes.prepare(options.mounts ?? [], image.config.config.Volumes ?? [], {
      call,
      ...signalOf(options),
    });
    scope.defer(async () => {
      for (const volume of anonymous) await volumes.discard(volume);
    });
    const record: ContainerRecord = {
      id,
      name,
      createdAt: new Date().toISOString(),
      image: { id: image.id, ref: typeof options.image === 'string' ? options.image : options.image.id },
      chain: image.chain,
      labels: { ...image.config.config.Labels, ...options.labels },
      lifetime: options.lifetime ?? 'process',
      ...(options.autoRemove === true ? { autoRemove: true } : {}),
      owner: formatOwner(self()),
      anonymousVolumes: anonymous,
      config: { ...config, mounts },
    };
    // One that ends with this process need not survive a power cut.
    records.put(record, { durable: lifetime === 'detached' });
    scope.keep();
    this.#context.emit('container:create', { time: new Date(record.createdAt), id, labels: record.labels, name });
    return record;
  }

  async #image(options: CreateContainerOptions, call: string): Promise<ResolvedImage> {
    const { images } = this.#context;
    const { image, pull = 'missing', platform } = options;
    if (image instanceof Image) return images.resolve(image, call);
    const known = pull === 'always' ? undefined : images.tryResolve(image, call);
    if (known !== undefined) return known;
    if (pull === 'never') {
      throw new NotFoundError({
        call,
        kind: 'image',
        ref: image,
        remedy: "It is not in the store: pull or load it, or leave out pull: 'never'",
      });
    }
    return images.resolve(
      await images.pull(image, { ...signalOf(options), ...(platform === undefined ? {} : { platform }) }),
      call,
    );
  }

  #claimName(id: string, wanted: string | undefined, call: string, durable: boolean): string {
    const { records } = this.#context;
    if (wanted !== undefined) {
      if (!CONTAINER_NAME.test(wanted)) {
        throw new TypeError(
          `${call}: name: expected letters, digits, '_', '.' and '-', at least two, beginning with a letter or digit; got ${JSON.stringify(wanted)}`,
        );
      }
      if (!records.claim(wanted, id, { durable })) {
        const holder = records.resolve(wanted);
        throw new ConflictError({
          call,
          kind: 'container',
          ref: wanted,
          reason: `the name is in use by container ${holder?.slice(0, 12) ?? '(being created)'}`,
          usedBy: holder === undefined ? [] : [holder],
          remedy: 'Remove that container, or choose another name',
        });
      }
      return wanted;
    }
    for (let attempt = 0; ; attempt++) {
      const name = drawName(attempt);
      if (records.claim(name, id, { durable })) return name;
    }
  }

  async #send(
    record: ContainerRecord,
    options: StartOptions,
  ): Promise<{ monitored: MonitoredProcess; ready: Promise<void> }> {
    const { call, signal } = options;
    const { networks, helper } = this.#context;
    const context = { call, ref: record.name, command: [...record.config.entrypoint, ...record.config.command] };
    const paths = this.live.paths(record.id);
    await using scope = new Scope();
    const { networkMode } = record.config;
    const attachment =
      networkMode === 'networks'
        ? await networks.attach(record.id, record.config.networks, {
            call,
            ...(signal === undefined ? {} : { signal }),
          })
        : undefined;
    if (attachment !== undefined) scope.defer(() => attachment.release());
    const endpoints = attachment?.endpoints ?? [];
    const networkOps: Op[] = networkMode === 'none' ? [['net-in-up', 'lo']] : [];
    if (attachment !== undefined)
      networkOps.push(...proxyOps(record, endpoints[0]?.ip), ...attachment.hostOps, ...attachment.insideOps);
    const spec = await buildSpec(this.#context, record, {
      call,
      attach: options.attach,
      paths,
      endpoints,
      network: networkOps,
      logPath: this.logPath(record),
    });
    rmSync(paths.exitFile, { force: true });
    mkdirSync(join(paths.runDir, '..'), { recursive: true, mode: 0o700 });
    const monitored = new MonitoredProcess(await helper.send(containerPlan(spec)));
    scope.keep();
    void monitored.closed.then(() => attachment?.release());
    const listening = collectPorts(monitored);
    const ready = this.#announce(record, monitored, { endpoints, ports: listening }, paths.runDir).catch(
      (error: unknown) => {
        throw explainStart(error, context);
      },
    );
    ready.catch(() => {}); // Its reader may come later.
    return { monitored, ready };
  }

  async #announce(
    record: ContainerRecord,
    monitored: MonitoredProcess,
    network: NetworkState,
    runDir: string,
  ): Promise<void> {
    const started = await monitored.holding(monitored.started);
    if (network.endpoints.length > 0 || network.ports.length > 0) writeNetwork(runDir, network);
    this.live.add(record, { monitored, started }, { own: true });
    this.#context.emit('container:start', {
      time: started.startedAt,
      id: record.id,
      labels: record.labels,
      pid: started.pid,
    });
  }

  #network(record: ContainerRecord): NetworkState {
    try {
      return JSON.parse(readFileSync(join(this.live.paths(record.id).runDir, 'network.json'), 'utf8')) as NetworkState;
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return { endpoints: [], ports: [] };
      throw error;
    }
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

function matches(record: ContainerRecord, filter: Filter): boolean {
  if (
    filter.name !== undefined &&
    !(typeof filter.name === 'string' ? record.name === filter.name : filter.name.test(record.name))
  )
    return false;
  return Object.entries(filter.labels ?? {}).every(([key, value]) =>
    value === true ? key in record.labels : record.labels[key] === value,
  );
}

function proxyOps(record: ContainerRecord, ip: string | undefined): Op[] {
  if (ip === undefined) return [];
  return record.config.ports.map(port => proxyOp(port, ip));
}

/** The real ports, as the monitor tells them; filled in while it starts. */
function collectPorts(monitored: MonitoredProcess): Required<PortMapping>[] {
  const ports: Required<PortMapping>[] = [];
  monitored.connection.on('fact', fact => {
    if (fact.fact === 'listening') ports.push(publishedPort(fact));
  });
  return ports;
}

function writeNetwork(runDir: string, network: NetworkState): void {
  try {
    writeFileAtomic(join(runDir, 'network.json'), JSON.stringify(network), { durable: false });
  } catch (error) {
    // It has ended already, and its run directory with it.
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}
