import { chmodSync, existsSync, readdirSync, readFileSync, realpathSync, statSync, unlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { errorCode, ParseError, UnsupportedError } from '../errors.js';
import type { AbortOptions, PruneReport } from '../types.js';
import { writeFileAtomic } from '../util/files.js';
import { ContentStore } from './content.js';
import { attempt, attemptAsync } from './failure.js';
import { type CollectOptions, Garbage, type Roots } from './gc.js';
import { Journal } from './journal.js';
import { Layers } from './layers.js';
import { Leases } from './leases.js';
import { Locks } from './locks.js';
import { OverlaySnapshotter } from './overlay.js';
import { defaultRoot, defaultRunRoot } from './paths.js';
import { PlainSnapshotter } from './plain.js';
import { recordKinds, type RecordKind, Records } from './records.js';
import type { SnapshotDriver, Snapshotter } from './snapshots.js';
import { ensureDirectory, Trash, type Warn } from './trash.js';
import { Unsynced } from './unsynced.js';

/** Of the layout of the root directory. A change that an older version would misread counts it up. */
const VERSION = 1;

/** What a root directory has, besides what {@link ContentStore.create} makes. */
const DIRECTORIES = [
  ...recordKinds,
  ...recordKinds.map(kind => `names/${kind}`),
  ...['snapshots', 'trees', 'unsynced/snapshots', 'unsynced/trees', 'journal', 'leases', 'locks', 'tmp', 'trash'],
];

/** Unfinished files whose names do not tell a living process. */
const TEMPORARY_MS = 60 * 60 * 1000;

export interface StoreOptions {
  /** Default {@link defaultRoot}. */
  readonly root?: string;
  /** Default {@link defaultRunRoot}. */
  readonly runRoot?: string;
  /** Default `overlay`. The caller knows whether the host has it. */
  readonly driver?: SnapshotDriver;
  /** Hears of what went wrong and was coped with. */
  readonly onWarning?: Warn;
}

/**
 * All that outlives a process, under one directory that any number of processes share. Opening makes what is missing and
 * removes what dead processes left.
 */
export class Store implements AsyncDisposable {
  readonly root: string;
  readonly runRoot: string;
  readonly content: ContentStore;
  readonly snapshots: Snapshotter;
  readonly journal: Journal;
  readonly leases: Leases;
  readonly #locks: Locks;
  readonly #trash: Trash;
  readonly #garbage: Garbage;
  readonly #warn: Warn;
  readonly #layers: readonly Layers[];
  readonly #sweeps: (() => void | Promise<void>)[] = [];

  private constructor(root: string, runRoot: string, driver: SnapshotDriver, warn: Warn) {
    const at = (name: string): string => join(root, name);
    this.root = root;
    this.runRoot = runRoot;
    this.#warn = warn;
    this.#locks = new Locks(at('locks'));
    this.#trash = new Trash(at('trash'), warn);
    this.content = new ContentStore(root, this.#locks);
    this.journal = new Journal(at('journal'));
    this.leases = new Leases(at('leases'), this.#locks);
    const [diffs, trees] = ['snapshots', 'trees'].map(
      name => new Layers(at(name), this.#trash, new Unsynced(at(`unsynced/${name}`))),
    ) as [Layers, Layers];
    this.#layers = [diffs, trees];
    this.snapshots =
      driver === 'overlay'
        ? new OverlaySnapshotter(diffs, at('containers'), this.#trash)
        : new PlainSnapshotter(trees, at('containers'), this.#trash);
    this.#garbage = new Garbage({
      root,
      content: this.content,
      layers: this.#layers,
      leases: this.leases,
      locks: this.#locks,
      trash: this.#trash,
      recorded: () =>
        recordKinds.filter(kind => (kind === 'images' || kind === 'containers') && readdirSync(at(kind)).length > 0),
    });
  }

  /**
   * @throws {@link ParseError} when a newer version of this package made the store, {@link SyscallError} when it cannot be
   * read or written.
   */
  static async open(options: StoreOptions = {}): Promise<Store> {
    const { driver = 'overlay', onWarning = () => {} } = options;
    const wanted = resolve(options.root ?? defaultRoot());
    if (process.platform !== 'linux') {
      throw new UnsupportedError({
        call: 'store.open',
        feature: 'linux',
        reason: `containers are a feature of Linux, and this is ${process.platform}`,
      });
    }
    const root = attempt('store.open', wanted, () => prepareRoot(wanted));
    const runRoot = options.runRoot ?? defaultRunRoot(root);
    attempt('store.open', runRoot, () => ensureDirectory(runRoot));
    const store = new Store(root, runRoot, driver, onWarning);
    await attemptAsync('store.open', root, () => store.sweep());
    return store;
  }

  /** The records of one kind. */
  records<T extends { readonly id: string }>(kind: RecordKind): Records<T> {
    return new Records<T>({ root: this.root, kind, locks: this.#locks, trash: this.#trash, warn: this.#warn });
  }

  /**
   * Waits for a lock between processes; dispose of what is returned to let go. A dead owner's lock is taken over.
   *
   * @throws `options.signal.reason` when aborted while waiting.
   */
  async lock(name: string, options: AbortOptions = {}): Promise<AsyncDisposable> {
    return this.#locks.acquire(`user-${name}`, options);
  }

  /**
   * Takes a file or a tree inside the store out of sight now, and off the disk in the background, even if this process is
   * killed. `false` when it is not there.
   */
  discard(path: string): boolean {
    return attempt('store.discard', path, () => this.#trash.discard(path));
  }

  /** Names what a collection must spare: the store does not know what records mean. */
  registerRoots(kind: string, roots: Roots): void {
    this.#garbage.registerRoots(kind, roots);
  }

  /** Removes the blobs and snapshots that neither a root nor a lease keeps. */
  async collect(options: CollectOptions = {}): Promise<PruneReport> {
    return attemptAsync('store.collect', this.root, async () => {
      for (const kind of recordKinds) this.records(kind).sweep();
      return this.#garbage.collect(options);
    });
  }

  /** Has something done at each {@link Store.sweep}. */
  onSweep(sweep: () => void | Promise<void>): void {
    this.#sweeps.push(sweep);
  }

  /**
   * Removes what dead processes left. Reads only small directories, whatever the store holds. Big trees go in the
   * background.
   */
  async sweep(): Promise<void> {
    this.#locks.sweep();
    sweepTemporary(join(this.root, 'tmp'));
    for (const layers of this.#layers) layers.sweep();
    this.leases.sweep();
    this.#trash.sweep();
    for (const sweep of this.#sweeps) await sweep();
  }

  /** Lets go of files, and waits for what is being deleted. */
  async close(): Promise<void> {
    this.journal.close();
    await this.#trash.idle();
    this.#locks.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Makes the root if need be, and returns its real path: two names of one store must not be two. */
function prepareRoot(wanted: string): string {
  const format = join(wanted, 'format.json');
  if (!existsSync(format)) create(wanted, format);
  const text = readFileSync(format, 'utf8');
  const version = readVersion(format, text);
  if (version === VERSION) return realpathSync(wanted);
  throw new ParseError({
    call: 'store.open',
    source: format,
    reason: `the store has format ${version}, and this version of tscontainer knows ${VERSION}`,
    remedy: 'Use a newer version, or another root',
  });
}

/** The format comes last: with it, all is there. Two processes may do this at once. */
function create(root: string, format: string): void {
  ensureDirectory(root, 0o711);
  for (const name of DIRECTORIES) ensureDirectory(join(root, name));
  ContentStore.create(root);
  chmodSync(root, 0o711);
  writeFileAtomic(format, JSON.stringify({ format: 'tscontainer-store', version: VERSION }), { mode: 0o644 });
}

function readVersion(path: string, text: string): unknown {
  try {
    const { format, version } = JSON.parse(text) as { format?: unknown; version?: unknown };
    if (format === 'tscontainer-store') return version;
  } catch (cause) {
    throw new ParseError({
      call: 'store.open',
      source: path,
      reason: 'is not JSON',
      remedy: 'Is this the right directory?',
      cause,
    });
  }
  throw new ParseError({
    call: 'store.open',
    source: path,
    reason: 'does not describe a store',
    remedy: 'Is this the right directory?',
  });
}

/** What atomic writes left aside when they were killed. The name ends in the writer's pid and a random word. */
function sweepTemporary(directory: string): void {
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    const pid = /\.tmp-(\d+)-[0-9a-f]+$/.exec(name)?.[1];
    const stat = statSync(path, { throwIfNoEntry: false });
    if (
      pid !== undefined &&
      existsSync(`/proc/${pid}`) &&
      stat !== undefined &&
      Date.now() - stat.mtimeMs < TEMPORARY_MS
    )
      continue;
    try {
      unlinkSync(path);
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error;
    }
  }
}
