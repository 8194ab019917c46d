import { spawn } from 'node:child_process';
import { readdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { errorCode, InvalidStateError } from '../errors.js';
import { algorithmOf, hexOf, isDigest } from '../oci/digest.js';
import type { AbortOptions, PruneReport } from '../types.js';
import type { ContentStore } from './content.js';
import type { Ref, Leases } from './leases.js';
import type { Locks } from './locks.js';
import type { Snapshotter } from './snapshots.js';
import { type Trash } from './trash.js';

/** Partial files that nobody went on with for so long are not waited for any more. */
const PARTIAL_MS = 24 * 60 * 60 * 1000;

/** Says what must stay. Asked anew in each collection, twice. */
export type Roots = () => Iterable<Ref> | Promise<Iterable<Ref>>;

export interface CollectOptions extends AbortOptions {
  /**
   * Spares what is younger, for writers that hold no lease. Default one minute. Who removes an image and wants its space
   * back at once passes 0: what others are bringing in is leased.
   */
  readonly graceMs?: number;
}

export interface GarbageSetup {
  readonly root: string;
  readonly content: ContentStore;
  readonly snapshots: Snapshotter;
  readonly leases: Leases;
  readonly locks: Locks;
  readonly trash: Trash;
  /** Kinds of records that are there. Each needs its roots registered, or all that it refers to would go. */
  readonly recorded: () => readonly string[];
}

/**
 * Mark and sweep, beside running pulls of any process, without stopping them.
 *
 * Marked is what a lease keeps or a root names. Leases are read first: a lease is released only after the record that
 * takes its place is written, so one of the two is seen. What is unmarked is not deleted but withdrawn, by rename, and then
 * everything is read again: who leased a thing meanwhile, and found it there before the rename, gets it back; who looks
 * later finds it gone, and fetches it. That is why a lease is added *before* looking.
 */
export class Garbage {
  readonly #setup: GarbageSetup;
  readonly #roots = new Map<string, Roots>();

  constructor(setup: GarbageSetup) {
    this.#setup = setup;
  }

  registerRoots(kind: string, roots: Roots): void {
    this.#roots.set(kind, roots);
  }

  async collect(options: CollectOptions = {}): Promise<PruneReport> {
    const { graceMs = 60_000, signal } = options;
    const { locks, trash } = this.#setup;
    this.#requireRoots();
    await using _lock = await locks.acquire('gc', { signal });
    this.restore();
    const youngest = Date.now() - graceMs;
    const before = await this.#marked();
    const withdrawn = this.#candidates(before, youngest).filter(ref => this.#withdraw(ref));
    const after = await this.#marked();
    const lost = withdrawn.filter(ref => !after.has(keyOf(ref)) || !this.#restore(ref));
    const sizes = await Promise.all(lost.map(ref => sizeOf(this.#aside(ref))));
    for (const ref of lost) trash.discard(this.#aside(ref));
    const partial = this.#sweepPartial();
    return {
      removed: [...lost.map(ref => ref.digest), ...partial.removed],
      reclaimedBytes: sizes.reduce((sum, size) => sum + size, partial.reclaimedBytes),
    };
  }

  /** Puts back what a collection withdrew and, being killed, did not decide on. Under the lock, or when nobody has it. */
  restore(): void {
    for (const name of readdirSync(this.#directory)) {
      const [kind, algorithm, hex] = name.split('-');
      const digest = `${algorithm}:${hex}`;
      if ((kind === 'content' || kind === 'snapshot') && isDigest(digest)) this.#restore({ kind, digest });
      // Its place was taken again, or it was never ours.
      this.#setup.trash.discard(join(this.#directory, name));
    }
  }

  get #directory(): string {
    return join(this.#setup.root, 'withdrawn');
  }

  #requireRoots(): void {
    const missing = this.#setup.recorded().filter(kind => !this.#roots.has(kind));
    if (missing.length === 0) return;
    throw new InvalidStateError({
      call: 'store.collect',
      kind: 'engine',
      ref: this.#setup.root,
      state: `without roots of ${missing.join(', ')}`,
      expected: ['open with all its collections'],
    });
  }

  async #marked(): Promise<Set<string>> {
    const marked = new Set(this.#setup.leases.refs().map(keyOf));
    for (const roots of this.#roots.values()) for (const ref of await roots()) marked.add(keyOf(ref));
    return marked;
  }

  #candidates(marked: ReadonlySet<string>, youngest: number): Ref[] {
    const { content, snapshots } = this.#setup;
    const all: Ref[] = [
      ...[...content.list()].map((digest): Ref => ({ kind: 'content', digest })),
      ...snapshots.list().map((digest): Ref => ({ kind: 'snapshot', digest })),
    ];
    return all.filter(ref => !marked.has(keyOf(ref)) && bornBefore(this.#place(ref), youngest));
  }

  #place({ kind, digest }: Ref): string {
    return kind === 'content' ? this.#setup.content.path(digest) : this.#setup.snapshots.path(digest);
  }

  #aside({ kind, digest }: Ref): string {
    return join(this.#directory, `${kind}-${algorithmOf(digest)}-${hexOf(digest)}`);
  }

  #withdraw(ref: Ref): boolean {
    return rename(this.#place(ref), this.#aside(ref));
  }

  #restore(ref: Ref): boolean {
    return rename(this.#aside(ref), this.#place(ref));
  }

  #sweepPartial(): PruneReport {
    const directory = join(this.#setup.root, 'ingest');
    const removed: string[] = [];
    let reclaimedBytes = 0;
    for (const name of readdirSync(directory)) {
      using lock = this.#setup.locks.tryAcquire(`ingest-${name}`);
      const stat = statSync(join(directory, name), { throwIfNoEntry: false });
      if (lock === undefined || stat === undefined || Date.now() - stat.mtimeMs < PARTIAL_MS) continue;
      this.#setup.trash.discard(join(directory, name));
      removed.push(`ingest/${name}`);
      reclaimedBytes += stat.blocks * 512;
    }
    return { removed, reclaimedBytes };
  }
}

function keyOf(ref: Ref): string {
  return `${ref.kind} ${ref.digest}`;
}

/** By the inode's change time: that of modification is part of a layer's content. */
function bornBefore(path: string, instant: number): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat !== undefined && stat.ctimeMs <= instant;
}

/** Moves a file or tree; `false` when it is not there, or its place is taken. */
function rename(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    if (['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(errorCode(error) ?? '')) return false;
    throw error;
  }
}

/** Bytes on disk, of a file or of all that is below a directory. 0 where there is no `du`: it is only told. */
async function sizeOf(path: string): Promise<number> {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory() !== true) return (stat?.blocks ?? 0) * 512;
  return new Promise(resolve => {
    const child = spawn('du', ['-skx', '--', path], { stdio: ['ignore', 'pipe', 'ignore'] });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    child.on('error', () => resolve(0));
    child.on('close', () => resolve((Number.parseInt(text, 10) || 0) * 1024));
  });
}
