import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { EventEmitter } from 'eventemitter3';

import type { Container } from './container/container.js';
import { Containers } from './container/containers.js';
import type { CreateContainerOptions, ExecOptions } from './container/options.js';
import { collect } from './container/collect.js';
import { imageMounts } from './container/mounts.js';
import { InitLayers } from './container/init-layer.js';
import type { ContainerRecord } from './container/record.js';
import { isEngineError, type ProcessResult } from './errors.js';
import { describeCgroups, type CgroupHost } from './host/cgroups.js';
import { holdCgroups, markerHolder } from './host/cgroups-control.js';
import { sweepCgroups } from './host/cgroups-remove.js';
import { Helper } from './host/helper.js';
import type { CheckOptions, StoreCheck } from './image/check.js';
import type { Image } from './image/image.js';
import { ImageCollection } from './image/images.js';
import { Networks } from './network/networks.js';
import type { CredentialProvider } from './registry/credentials.js';
import type { RegistryOptions } from './registry/options.js';
import { formatOwner, isAlive as isOwnerAlive, parseOwner, self } from './store/owner.js';
import { Store } from './store/store.js';
import type {
  AbortOptions,
  DiskUsage,
  EngineEvent,
  EngineEvents,
  EngineInfo,
  Features,
  Logger,
  Operation,
  Owned,
  PlatformString,
  PruneReport,
  TransferProgress,
} from './types.js';
import { VolumeCollection } from './volume/volumes.js';

/** How an engine is opened. */
export interface EngineOptions extends AbortOptions {
  /** Where everything is kept. Default: `/var/lib/tscontainer` as root, else `$XDG_DATA_HOME/tscontainer`. */
  readonly root?: string;
  /** Where sockets and running state are, on a file system that a reboot empties. Default: below `/run` or `$XDG_RUNTIME_DIR`. */
  readonly runRoot?: string;
  /** How layers are stacked. Default: `overlay` where the kernel can mount it on the store, else `plain` copies. */
  readonly snapshotter?: 'overlay' | 'plain';
  /** Which of an image's platforms. Default: the host's. */
  readonly platform?: PlatformString;
  /** Default: what `docker login` left in `~/.docker/config.json`. */
  readonly credentials?: CredentialProvider;
  /**
   * `host`, `host:port`, or a network such as `10.0.0.0/8`: registries whose certificate may be anybody's, or that speak
   * plain HTTP, besides those on loopback. `dockerDaemonConfig()` reads those of an existing Docker.
   */
  readonly insecureRegistries?: readonly string[];
  /** URLs of registries to be asked first: a list for Docker Hub's images, as in Docker, or lists by registry. */
  readonly registryMirrors?: readonly string[] | Readonly<Record<string, readonly string[]>>;
  /** How patient to be with registries, and where their certificates are. */
  readonly registry?: Omit<RegistryOptions, 'credentials' | 'insecure'>;
  /**
   * Starts containers that should be running by their restart policy and do not, since the machine was rebooted or their
   * monitors were killed: `always`; `unless-stopped` unless they were stopped; `on-failure` if nobody saw them end. One that
   * cannot be started is a warning. @defaultValue `false`
   */
  readonly restore?: boolean;
  /** A layer that unpacks to more bytes is refused. Default 64 GiB. */
  readonly maxLayerBytes?: number;
  /** A layer that unpacks to more than so many times its own size is refused, from 1 GiB on. Default 2000. */
  readonly maxLayerRatio?: number;
  /** Where warnings go. Default: nowhere; they are events as well. */
  readonly logger?: Logger;
}

/** Which events, and from when. */
export interface EventOptions extends AbortOptions {
  /** From this instant on. Default: from now. */
  readonly since?: Date;
  /** Only these. Default: all. */
  readonly types?: readonly (keyof EngineEvents)[];
  /** Only of things with these labels. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** Options of a container that is run to its end. */
export type RunOptions = Omit<CreateContainerOptions, 'image' | 'command' | 'lifetime' | 'stdin'> & ExecOptions;

/**
 * A container engine in this process: no daemon, nothing global. Several engines, in any number of processes, may share
 * one store.
 */
export class Engine extends EventEmitter<EngineEvents> implements AsyncDisposable {
  /** Where everything is kept. */
  readonly root: string;
  /** The images of the store. */
  readonly images: ImageCollection;
  /** The containers of the store. */
  readonly containers: Containers;
  /** The volumes of the store. */
  readonly volumes: VolumeCollection;
  /** The networks of the store. */
  readonly networks: Networks;
  readonly #store: Store;
  readonly #helper: Helper;
  readonly #initLayers: InitLayers;
  readonly #logger: Logger | undefined;
  #cgroups: { readonly host: CgroupHost; readonly release: () => void } | undefined;
  #features: Promise<Features> | undefined;
  #closed = false;

  private constructor(store: Store, options: EngineOptions) {
    super();
    this.#store = store;
    this.#logger = options.logger;
    this.root = store.root;
    this.#helper = new Helper(store.runRoot);
    this.#initLayers = new InitLayers(store);
    const records = store.records<ContainerRecord>('containers');
    const emit = this.#publish.bind(this);
    this.images = new ImageCollection({
      store,
      emit,
      usedBy: id =>
        records
          .list()
          .filter(record => record.image.id === id || imageMounts(record).some(({ image }) => image === id))
          .map(record => ({ id: record.id, running: this.containers.live.isUp(record.id) })),
      ...(options.platform === undefined ? {} : { platform: options.platform }),
      credentials: options.credentials ?? savedCredentials(),
      ...(options.insecureRegistries === undefined ? {} : { insecureRegistries: options.insecureRegistries }),
      ...(options.registryMirrors === undefined ? {} : { registryMirrors: options.registryMirrors }),
      ...(options.registry === undefined ? {} : { registry: options.registry }),
      ...(options.maxLayerBytes === undefined ? {} : { maxLayerBytes: options.maxLayerBytes }),
      ...(options.maxLayerRatio === undefined ? {} : { maxLayerRatio: options.maxLayerRatio }),
      onMirrorFailure: (host, error) => this.warn(`the mirror ${host} failed, and the next was asked`, error),
    });
    this.networks = new Networks({
      store,
      emit,
      connector: () => this.containers,
      isRunning: id => this.containers.live.isUp(id),
      usedBy: ({ id, name }) =>
        records
          .list()
          .filter(({ config }) => config.networks.some(({ network }) => network === name || network === id))
          .map(record => record.id),
    });
    this.volumes = new VolumeCollection({
      store,
      emit,
      usedBy: name =>
        records
          .list()
          .filter(({ config }) => config.mounts.some(mount => mount.type === 'volume' && mount.source === name))
          .map(record => record.id),
    });
    this.containers = new Containers({
      store,
      records,
      helper: this.#helper,
      images: this.images,
      networks: this.networks,
      volumes: this.volumes,
      initLayers: this.#initLayers,
      cgroups: () => this.#heldCgroups(),
      emit,
      sweeper: [
        process.execPath,
        fileURLToPath(new URL('./cli/main.js', import.meta.url)),
        ...['--root', store.root, '--run-root', store.runRoot, 'ps', '--quiet'],
      ],
    });
    store.registerRoots('containers', () =>
      records
        .list()
        .flatMap(record =>
          [record.chain, ...imageMounts(record).map(({ chain }) => chain)]
            .flat()
            .map(digest => ({ kind: 'snapshot' as const, digest })),
        ),
    );
  }

  /**
   * Opens the store, makes it where there is none, and sweeps up what processes that were killed have left.
   *
   * @throws {@link UnsupportedError} when this is not Linux, or the helper was not built.
   */
  static async open(options: EngineOptions = {}): Promise<Engine> {
    options.signal?.throwIfAborted();
    const opened: { engine?: Engine } = {};
    const store = await Store.open({
      ...(options.root === undefined ? {} : { root: options.root }),
      ...(options.runRoot === undefined ? {} : { runRoot: options.runRoot }),
      ...(options.snapshotter === undefined ? {} : { driver: options.snapshotter }),
      onWarning: (message, error) => opened.engine?.warn(message, error),
    });
    mkdirSync(join(store.root, 'mnt'), { recursive: true, mode: 0o700 });
    const engine = new Engine(store, options);
    opened.engine = engine;
    engine.#helper.warm();
    await engine.#sweep();
    if (options.restore === true) await engine.containers.restore(options);
    return engine;
  }

  /**
   * The one-line case: pulls if missing, runs to the end, removes.
   *
   * @param command - In place of the image's Cmd.
   * @throws {@link ExitError} when it fails, unless `reject` is `false`; {@link StartError} when it cannot be executed.
   * @throws `options.signal.reason` when aborted; the container was killed and removed by then.
   */
  async run(image: string | Image, command?: readonly string[], options: RunOptions = {}): Promise<ProcessResult> {
    const call = 'engine.run';
    const { input, reject, maxOutputBytes, ...rest } = options;
    const create = {
      ...rest,
      image,
      ...(command === undefined ? {} : { command }),
      stdin: input !== undefined,
      lifetime: 'process' as const,
    };
    const { record, monitored, ready } = await this.containers.launchAttached(create, call);
    const words = [...record.config.entrypoint, ...record.config.command];
    try {
      return await collect(monitored, words, call, {
        ...(input === undefined ? {} : { input }),
        ...(reject === undefined ? {} : { reject }),
        ...(maxOutputBytes === undefined ? {} : { maxOutputBytes }),
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      });
    } catch (error) {
      throw this.containers.explain(error, { call, ref: record.name, command: words });
    } finally {
      await ready.catch(() => {}); // `collect` has said the same.
      await this.containers.remove(record, { force: true });
    }
  }

  /** Creates and starts a container from an image: {@link Containers.launch}. */
  async launch(image: string | Image, options: Omit<CreateContainerOptions, 'image'> = {}): Promise<Owned<Container>> {
    return this.containers.launch({ ...options, image });
  }

  /** Tails the store's journal: what all processes do, and with `since` what they did. */
  async *events(options: EventOptions = {}): AsyncGenerator<EngineEvent, void, undefined> {
    const { types, labels = {} } = options;
    const entries = this.#store.journal.tail({
      ...(options.since === undefined ? {} : { since: options.since }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    for await (const event of entries) {
      if (types !== undefined && !types.includes(event.type)) continue;
      const its = 'labels' in event ? event.labels : {};
      if (Object.entries(labels).every(([key, value]) => its[key] === value)) yield event;
    }
  }

  /** What there is in the store, and what it runs on: the facts of `docker info`. */
  async info(options: AbortOptions = {}): Promise<EngineInfo> {
    options.signal?.throwIfAborted();
    const { engineInfo } = await import('./container/engine-info.js');
    const { snapshotter } = this;
    const [images, features] = await Promise.all([this.images.list({}, options), this.features()]);
    const containers = this.#store.records<ContainerRecord>('containers').ids();
    const states = containers.map(id => this.containers.live.state(id).name);
    return engineInfo({ root: this.root, snapshotter, images: images.length, states, features });
  }

  /** How layers are stacked here. */
  get snapshotter(): 'overlay' | 'plain' {
    return this.#store.snapshots.driver;
  }

  /** What this host can do, found by trying, once; where not, why and what would make it so. */
  async features(): Promise<Features> {
    return (this.#features ??= import('./host/features.js').then(({ probeFeatures }) =>
      probeFeatures({ directory: this.root }),
    ));
  }

  /**
   * Verifies the store: digests of all blobs, what is recorded of images against their manifests, unpacked layers against
   * the archives that they came from. With `repair`, what is broken is taken away, and layers whose blobs are good are
   * unpacked anew; the report says which images are to be pulled again. Others may use the store meanwhile.
   *
   * @returns What was found. A problem is a value here, not an exception.
   */
  check(options: CheckOptions = {}): Operation<StoreCheck, TransferProgress> {
    const running = this.#store
      .records<ContainerRecord>('containers')
      .list()
      .filter(({ id }) => this.containers.live.isUp(id));
    return this.images.check(options, chainId =>
      running.filter(({ chain }) => chain.includes(chainId)).map(({ id }) => id),
    );
  }

  /** What the store takes on disk, as `docker system df` counts it. Takes as long as the trees of containers and volumes are large. */
  async diskUsage(options: AbortOptions = {}): Promise<DiskUsage> {
    options.signal?.throwIfAborted();
    const { diskUsage } = await import('./container/usage.js');
    const records = this.#store.records<ContainerRecord>('containers').list();
    const volumes = await this.volumes.list({}, options);
    return diskUsage({
      ...options,
      store: this.#store,
      records,
      isRunning: id => this.containers.live.isUp(id),
      volumes: volumes.map(({ name }) => ({ name, path: this.volumes.path(name) })),
      images: await this.images.usage(
        id =>
          records.filter(record => record.image.id === id || imageMounts(record).some(({ image }) => image === id))
            .length,
      ),
    });
  }

  /**
   * Removes containers that do not run, images that nothing refers to, networks and volumes that nobody uses, and all
   * content that nobody needs any more. Named volumes stay.
   */
  async prune(options: AbortOptions = {}): Promise<PruneReport> {
    const reports = [
      await this.containers.prune({}, options),
      await this.images.prune({}, options),
      await this.networks.prune({}, options),
      await this.#store.collect(options),
    ];
    return {
      removed: reports.flatMap(({ removed }) => removed),
      reclaimedBytes: reports.reduce((sum, { reclaimedBytes }) => sum + reclaimedBytes, 0),
    };
  }

  /** Lets go of locks, sockets and shared devices. Containers run on: those with lifetime `process` until this process ends. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.containers.close();
    this.#helper.close();
    await this.networks.close();
    this.#cgroups?.release();
    await this.#store.close();
    this.removeAllListeners();
  }

  /** As {@link Engine.close}, but what fails becomes a warning. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.close();
    } catch (error) {
      this.warn('engine.close', error);
    }
  }

  /** @internal */
  warn(message: string, error?: unknown): void {
    this.#logger?.warn({ error }, message);
    this.emit('warning', {
      time: new Date(),
      message: error === undefined ? message : `${message}: ${String(error)}`,
      ...(isEngineError(error) ? { error } : {}),
    });
  }

  async #sweep(): Promise<void> {
    const records = this.#store.records<ContainerRecord>('containers');
    const isAlive = (id: string): boolean | undefined => {
      const holder = markerHolder(id);
      if (holder === undefined) return records.has(id) ? this.containers.live.isUp(id) : undefined;
      const owner = parseOwner(holder);
      return owner === undefined ? undefined : isOwnerAlive(owner);
    };
    try {
      await this.containers.sweep();
      await this.networks.sweep();
      await this.volumes.sweep();
      sweepCgroups(describeCgroups(), isAlive);
      this.#initLayers.sweep(name => name === 'scratch' || this.#store.snapshots.has(`sha256:${name}`));
    } catch (error) {
      // What could not be swept now is swept the next time; it is no reason not to open.
      this.warn('engine.open: leftovers could not be swept', error);
    }
  }

  /** Read, and held on to, when the first container starts. */
  #heldCgroups(): CgroupHost {
    if (this.#cgroups === undefined) {
      const host = describeCgroups();
      this.#cgroups = { host, release: holdCgroups(host, formatOwner(self())) };
    }
    return this.#cgroups.host;
  }

  #publish<K extends keyof EngineEvents>(
    type: K,
    event: EngineEvents[K][0],
    { journaled = false }: { readonly journaled?: boolean } = {},
  ): void {
    if (type === 'warning') this.#logger?.warn(event, (event as EngineEvents['warning'][0]).message);
    else if (!journaled) this.#store.journal.append({ type, ...event } as EngineEvent);
    // eventemitter3 cannot see that the name and the payload belong together.
    (this.emit as (name: string, payload: unknown) => boolean)(type, event);
  }
}

/** What log-ins have left; read, and the code for it loaded, when a registry asks who we are. */
function savedCredentials(): CredentialProvider {
  return async (host, options) => {
    const { dockerCredentials } = await import('./registry/credentials.js');
    return dockerCredentials()(host, options);
  };
}
