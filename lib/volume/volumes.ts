import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';

import { ConflictError, errorCode, InvalidStateError, isEngineError, NotFoundError, ParseError } from '../errors.js';
import { formatOwner, isAlive, parseOwner, self } from '../store/owner.js';
import type { Records } from '../store/records.js';
import type { AbortOptions, Owned, PruneReport } from '../types.js';
import { cloneVolume } from './clone.js';
import { exportContent, fillDirectory, importContent, isEmpty } from './content.js';
import { isMeant, type VolumeFilter } from './filter.js';
import { readLocalOptions, type LocalSource } from './local-driver.js';
import type { Mount } from './mount.js';
import { mountSteps, type MountContext, type MountStep, type SettledMount } from './mounts.js';
import type { CreateVolumeOptions } from './options.js';
import { prepareMounts, type PreparedMounts, type PrepareOptions } from './prepared.js';
import { type Emit, newName, now, volumeName, type VolumeRecord, type VolumeStore } from './record.js';
import { OwnedVolume, Volume, type VolumeHome, type VolumeInfo } from './volume.js';

/** @internal */
export interface VolumesSetup {
  readonly store: VolumeStore;
  readonly emit: Emit;
  /** Ids of the containers that mount a volume, running or not. */
  readonly usedBy: (volume: string) => readonly string[];
}

/** The volumes of an engine. */
export class VolumeCollection {
  readonly #setup: VolumesSetup;
  readonly #records: Records<VolumeRecord>;
  readonly #home: VolumeHome = {
    inspect: (name, call) => this.#inspect(this.#require(name, call)),
    remove: (name, call, options) => this.#remove(name, call, options.signal),
    dispose: name => this.#dispose(name),
    export: (name, options) => exportContent(() => this.#directory(name, 'volume.export'), 'volume.export', options),
    import: (name, source, { signal }) =>
      importContent(this.#directory(name, 'volume.import'), source, { call: 'volume.import', signal }),
    clone: async (name, options) =>
      cloneVolume(
        this.#directory(name, 'volume.clone'),
        {
          create: async wanted => this.create(wanted),
          isEmpty: copy => this.#isEmpty(copy),
          fill: async (copy, fill, how) => this.fill(copy, fill, how),
        },
        options,
      ),
  };

  /** @internal */
  constructor(setup: VolumesSetup) {
    this.#setup = setup;
    this.#records = setup.store.records('volumes');
  }

  /**
   * Creates a volume. If there is one of that name already, it is that one, as it is; disposing of the handle then leaves
   * it alone.
   *
   * @throws {@link ParseError} when the name or an option is malformed.
   * @throws {@link ConflictError} when there is one of that name with other options.
   */
  async create(options: CreateVolumeOptions = {}): Promise<Owned<Volume>> {
    const { name = newName(), labels = {}, driverOptions = {}, signal } = options;
    signal?.throwIfAborted();
    checkName('volumes.create', name);
    readLocalOptions('volumes.create', name, driverOptions);
    const lifetime = options.lifetime ?? (options.name === undefined ? 'process' : 'detached');
    const owner = lifetime === 'process' ? { owner: formatOwner(self()) } : {};
    const created = await this.#ensure(
      {
        id: name,
        labels: { ...labels },
        createdAt: now(),
        anonymous: options.name === undefined,
        ...(Object.keys(driverOptions).length === 0 ? {} : { driverOptions: { ...driverOptions } }),
        ...owner,
      },
      'volumes.create',
      signal,
    );
    return new OwnedVolume(name, this.#home, created);
  }

  /**
   * Finds a volume by its name.
   *
   * @throws {@link NotFoundError} when there is none.
   */
  async get(name: string, options: AbortOptions = {}): Promise<Volume> {
    options.signal?.throwIfAborted();
    return new Volume(this.#require(name, 'volumes.get').id, this.#home);
  }

  /** All volumes that match, by name. With `dangling`, only those that no container mounts, or only the others. */
  async list(
    filter: VolumeFilter & { readonly dangling?: boolean } = {},
    options: AbortOptions = {},
  ): Promise<Volume[]> {
    options.signal?.throwIfAborted();
    const { dangling } = filter;
    return this.#matching(filter)
      .filter(record => dangling === undefined || (this.#setup.usedBy(record.id).length === 0) === dangling)
      .map(record => new Volume(record.id, this.#home));
  }

  /**
   * Removes the volumes that no container mounts: those without a name of their own and, with `all`, the others as well.
   *
   * @returns Their names, and the bytes they took on disk.
   */
  async prune(
    filter: VolumeFilter & { readonly all?: boolean } = {},
    options: AbortOptions = {},
  ): Promise<PruneReport> {
    const removed: string[] = [];
    let reclaimedBytes = 0;
    for (const record of this.#matching(filter)) {
      options.signal?.throwIfAborted();
      if (!(filter.all ?? false) && !record.anonymous) continue;
      if (this.#setup.usedBy(record.id).length > 0) continue;
      try {
        const { sizeOf } = await import('./size.js');
        const bytes = await sizeOf(this.path(record.id), options);
        await this.#remove(record.id, 'volumes.prune', options.signal);
        removed.push(record.id);
        reclaimedBytes += bytes;
      } catch (error) {
        // In use after all, or removed by somebody else meanwhile.
        if (!['CTR_CONFLICT', 'CTR_NOT_FOUND'].includes(errorCode(error) ?? '')) throw error;
      }
    }
    return { removed, reclaimedBytes };
  }

  /** Where a volume's content is, whether or not there is such a volume. @internal */
  path(name: string): string {
    return join(this.#records.directory(name), '_data');
  }

  /** Settles the mounts of a container to be created and makes its volumes. @internal */
  async prepare(
    mounts: readonly Mount[],
    imageVolumes: readonly string[],
    options: PrepareOptions,
  ): Promise<PreparedMounts> {
    const home = {
      ensure: async (record: VolumeRecord) => this.#ensure(record, options.call, options.signal),
      isEmpty: (volume: string) => this.#isEmpty(volume),
      discard: async (volume: string) => this.discard(volume),
    };
    return prepareMounts(mounts, imageVolumes, home, options);
  }

  /** Only a directory of the store is ever filled. */
  #isEmpty(volume: string): boolean {
    return this.#records.get(volume)?.driverOptions === undefined && isEmpty(this.path(volume));
  }

  /** Has a volume filled that is still empty: all of it, or nothing. Of several at once, one does it. @internal */
  async fill(
    name: string,
    fill: (directory: string) => Promise<void>,
    options: AbortOptions & { readonly call: string },
  ): Promise<void> {
    await this.#locked(name, options.signal, async () => {
      const { id } = this.#require(name, options.call);
      if (!this.#isEmpty(id)) return;
      const discard = (path: string): boolean => this.#setup.store.discard(path);
      const inPlace = this.#setup.usedBy(id).length > 0;
      await fillDirectory(this.path(id), { aside: this.#aside(id), inPlace, discard }, fill);
    });
  }

  /** Where a volume is filled, beside its place. */
  #aside(name: string): string {
    return join(this.#records.directory(name), '_filling');
  }

  /** The directory that a volume is, for reading or writing all of it. */
  #directory(name: string, call: string): string {
    const source = this.#sourceOf(name, call);
    if (typeof source === 'string') return source;
    if (source.kind === 'bind') return source.source;
    throw new InvalidStateError({
      call,
      kind: 'volume',
      ref: name,
      state: `${source.type}, mounted in its containers only`,
      expected: ['a directory of the store', 'a bind of one of the host'],
      remedy: 'Use container.copyOut and copyIn while a container that mounts it runs',
    });
  }

  /** What the helper mounts when a container starts. @internal */
  mountSpecs(mounts: readonly SettledMount[], context: Omit<MountContext, 'sourceOf'>): MountStep[] {
    return mountSteps(mounts, { ...context, sourceOf: name => this.#sourceOf(name, context.call) });
  }

  #sourceOf(name: string, call: string): string | LocalSource {
    const { id, driverOptions = {} } = this.#require(name, call);
    return readLocalOptions(call, id, driverOptions) ?? this.path(id);
  }

  /** Removes a container's nameless volume with it. Never rejects. @internal */
  async discard(name: string): Promise<void> {
    // One that others mount as well, by `volumesFrom`, goes with the last of them.
    if (this.#setup.usedBy(name).length === 0) await this.#dispose(name);
  }

  /** Removes the volumes of dead processes. For `Engine.open`. @internal */
  async sweep(): Promise<void> {
    for (const record of this.#records.list()) {
      const owner = record.owner === undefined ? undefined : parseOwner(record.owner);
      if (owner === undefined || isAlive(owner)) continue;
      // A container that is still there mounts it: then it stays for as long.
      if (this.#setup.usedBy(record.id).length === 0) await this.#dispose(record.id);
    }
  }

  /** Makes the volume unless it is there. Returns whether it did. */
  async #ensure(record: VolumeRecord, call: string, signal: AbortSignal | undefined): Promise<boolean> {
    const make = (): boolean => {
      const existing = this.#records.get(record.id);
      if (existing !== undefined) {
        checkSameOptions(existing, record, call);
        return false;
      }
      // A random name is nobody else's, and one that goes with a container need not survive a power cut.
      mkdirSync(this.path(record.id), { recursive: true, mode: 0o755 });
      this.#records.put(record, { durable: !record.anonymous });
      this.#setup.emit('volume:create', { time: new Date(), id: record.id, labels: record.labels });
      return true;
    };
    return record.anonymous ? make() : this.#locked(record.id, signal, async () => make());
  }

  async #remove(name: string, call: string, signal: AbortSignal | undefined): Promise<void> {
    await this.#locked(name, signal, async () => {
      const record = this.#require(name, call);
      const usedBy = this.#setup.usedBy(name);
      if (usedBy.length > 0) {
        const reason = `is in use: mounted by ${usedBy.length} ${usedBy.length === 1 ? 'container' : 'containers'}`;
        const remedy = `Remove them first: ${usedBy.map(id => id.slice(0, 12)).join(', ')}`;
        throw new ConflictError({ call, kind: 'volume', ref: name, reason, usedBy, remedy });
      }
      // The content goes out of sight first: a kill in between leaves an empty volume, never half of one.
      this.#setup.store.discard(this.path(name));
      this.#setup.store.discard(this.#aside(name));
      this.#records.delete(name);
      removeIfEmpty(this.#records.directory(name));
      this.#setup.emit('volume:remove', { time: new Date(), id: name, labels: record.labels });
    });
  }

  async #dispose(name: string): Promise<void> {
    try {
      await this.#remove(name, 'volume.dispose', undefined);
    } catch (error) {
      if (errorCode(error) === 'CTR_NOT_FOUND') return;
      const reason = (error as Partial<Error> | undefined)?.message ?? String(error);
      const cause = isEngineError(error) ? { error } : {};
      this.#setup.emit('warning', {
        time: new Date(),
        message: `volume ${name} could not be removed: ${reason}`,
        ...cause,
      });
    }
  }

  async #locked<T>(name: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const lock = await this.#setup.store.lock(`volume-${name}`, signal === undefined ? {} : { signal });
    try {
      return await work();
    } finally {
      await lock[Symbol.asyncDispose]();
    }
  }

  #inspect(record: VolumeRecord): VolumeInfo {
    return Object.freeze({
      name: record.id,
      path: this.path(record.id),
      labels: Object.freeze({ ...record.labels }),
      createdAt: new Date(record.createdAt),
      anonymous: record.anonymous,
      driverOptions: Object.freeze({ ...record.driverOptions }),
      usedBy: Object.freeze([...this.#setup.usedBy(record.id)]),
    });
  }

  #matching(filter: VolumeFilter): VolumeRecord[] {
    return this.#records
      .list()
      .filter(record => isMeant(record, filter))
      .sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  #require(name: string, call: string): VolumeRecord {
    const record = volumeName.test(name) ? this.#records.get(name) : undefined;
    if (record === undefined) throw new NotFoundError({ call, kind: 'volume', ref: name });
    return record;
  }
}

/** Asking for a volume by its name alone gets it as it is; asking for options gets those, or an error. */
function checkSameOptions(existing: VolumeRecord, wanted: VolumeRecord, call: string): void {
  const { driverOptions } = wanted;
  if (driverOptions === undefined) return;
  const before = existing.driverOptions ?? {};
  const names = new Set([...Object.keys(before), ...Object.keys(driverOptions)]);
  if ([...names].every(name => before[name] === driverOptions[name])) return;
  const reason = `is there already, with the options ${JSON.stringify(before)}`;
  throw new ConflictError({
    call,
    kind: 'volume',
    ref: wanted.id,
    reason,
    usedBy: [],
    remedy: 'Remove it, or choose another name',
  });
}

function checkName(call: string, name: string): void {
  if (volumeName.test(name)) return;
  const reason = 'is no name for a volume. Use letters, digits, "_", "." and "-", at least two of them';
  throw new ParseError({ call, source: name, reason });
}

function removeIfEmpty(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(errorCode(error) ?? '')) throw error;
  }
}
