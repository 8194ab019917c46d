import { randomBytes } from 'node:crypto';
import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';

import { ConflictError, errorCode, isEngineError, NotFoundError, ParseError } from '../errors.js';
import { formatOwner, isAlive, parseOwner, self } from '../store/owner.js';
import type { Records } from '../store/records.js';
import type { AbortOptions, Filter, Labels, Owned, PruneReport } from '../types.js';
import { checkMounts, type Mount } from './mount.js';
import { checkSource, mountSteps, type MountStep, type SettledMount } from './mounts.js';
import { type Emit, volumeName, type VolumeRecord, type VolumeStore } from './record.js';
import { OwnedVolume, Volume, type VolumeHome, type VolumeInfo } from './volume.js';
import { sizeOf } from './size.js';

/** What a volume is to be. */
export interface CreateVolumeOptions extends AbortOptions {
  /** Letters, digits, `_`, `.` and `-`, at least two. 64 random digits when left out. */
  readonly name?: string;
  /** To find it by. */
  readonly labels?: Labels;
  /**
   * `'process'`: it goes with this process, also when that is killed. `'detached'`: it stays until it is removed.
   * Default: `'detached'` with a name, `'process'` without.
   */
  readonly lifetime?: 'process' | 'detached';
}

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
   * @throws {@link ParseError} when the name is malformed.
   */
  async create(options: CreateVolumeOptions = {}): Promise<Owned<Volume>> {
    const { name = newName(), labels = {}, signal } = options;
    signal?.throwIfAborted();
    checkName('volumes.create', name);
    const lifetime = options.lifetime ?? (options.name === undefined ? 'process' : 'detached');
    const owner = lifetime === 'process' ? { owner: formatOwner(self()) } : {};
    const created = await this.#ensure(
      { id: name, labels: { ...labels }, createdAt: now(), anonymous: options.name === undefined, ...owner },
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
  async list(filter: Filter & { readonly dangling?: boolean } = {}, options: AbortOptions = {}): Promise<Volume[]> {
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
  async prune(filter: Filter & { readonly all?: boolean } = {}, options: AbortOptions = {}): Promise<PruneReport> {
    const removed: string[] = [];
    let reclaimedBytes = 0;
    for (const record of this.#matching(filter)) {
      options.signal?.throwIfAborted();
      if (!(filter.all ?? false) && !record.anonymous) continue;
      if (this.#setup.usedBy(record.id).length > 0) continue;
      try {
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

  /**
   * Checks the mounts of a container to be created and makes the volumes that it needs: named ones that are not there,
   * and nameless ones for mounts without a name and for the image's volumes that nothing else is mounted at.
   *
   * @returns The mounts with all names settled, and the nameless volumes, which go with the container.
   * @internal
   */
  async prepare(
    mounts: readonly Mount[],
    imageVolumes: readonly string[],
    options: { readonly call: string } & AbortOptions,
  ): Promise<{ mounts: SettledMount[]; anonymous: string[] }> {
    const { call, signal } = options;
    const checked = checkMounts(call, mounts);
    for (const mount of checked) if (mount.type === 'bind') checkSource(mount, call);
    const targets = new Set(checked.map(mount => mount.target));
    const declared = checkMounts(
      call,
      imageVolumes.filter(path => path.startsWith('/')).map(target => ({ type: 'volume', target })),
    );
    const anonymous: string[] = [];
    const settled: SettledMount[] = [];
    try {
      for (const mount of [...checked, ...declared.filter(({ target }) => !targets.has(target))]) {
        if (mount.type !== 'volume') {
          settled.push(mount);
          continue;
        }
        const { source = newName() } = mount;
        if (mount.source === undefined) anonymous.push(source);
        await this.#ensure({ id: source, labels: {}, createdAt: now(), anonymous: mount.source === undefined }, signal);
        settled.push({ ...mount, source });
      }
    } catch (error) {
      for (const name of anonymous) await this.discard(name);
      throw error;
    }
    return { mounts: settled, anonymous };
  }

  /** What the helper mounts when a container starts. @internal */
  mountSpecs(mounts: readonly SettledMount[], call = 'container.start'): MountStep[] {
    return mountSteps(mounts, { call, pathOf: name => this.path(this.#require(name, call).id) });
  }

  /** Removes a container's nameless volume with it. Never rejects. @internal */
  async discard(name: string): Promise<void> {
    await this.#dispose(name);
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
  async #ensure(record: VolumeRecord, signal: AbortSignal | undefined): Promise<boolean> {
    const make = (): boolean => {
      if (this.#records.get(record.id) !== undefined) return false;
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
        const reason = `is mounted by ${usedBy.length} ${usedBy.length === 1 ? 'container' : 'containers'}`;
        throw new ConflictError({ call, kind: 'volume', ref: name, reason, usedBy, remedy: 'Remove them first' });
      }
      // The content goes out of sight first: a kill in between leaves an empty volume, never half of one.
      this.#setup.store.discard(this.path(name));
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
      usedBy: Object.freeze([...this.#setup.usedBy(record.id)]),
    });
  }

  #matching({ name, labels = {} }: Filter): VolumeRecord[] {
    const named = ({ id }: VolumeRecord): boolean =>
      name === undefined || (typeof name === 'string' ? id === name : id.search(name) >= 0);
    const labelled = (record: VolumeRecord): boolean =>
      Object.entries(labels).every(([key, value]) =>
        value === true ? Object.hasOwn(record.labels, key) : record.labels[key] === value,
      );
    return this.#records
      .list()
      .filter(record => named(record) && labelled(record))
      .sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  #require(name: string, call: string): VolumeRecord {
    const record = volumeName.test(name) ? this.#records.get(name) : undefined;
    if (record === undefined) throw new NotFoundError({ call, kind: 'volume', ref: name });
    return record;
  }
}

function newName(): string {
  return randomBytes(32).toString('hex');
}

function now(): string {
  return new Date().toISOString();
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
