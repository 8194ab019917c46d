import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { InvalidStateError } from '../errors.js';
import type { AbortOptions, PruneReport } from '../types.js';
import type { ContentStore } from './content.js';
import type { Layers } from './layers.js';
import { type Leases, type Ref, SWEEP_LOCK } from './leases.js';
import type { Locks } from './locks.js';
import type { Trash } from './trash.js';

/** Partial files that nobody went on with for so long are not waited for any more. */
const PARTIAL_MS = 24 * 60 * 60 * 1000;

/** All of them together are kept up to this size: the oldest go first. */
const PARTIAL_BYTES = 16 * 2 ** 30;

/** Says what must stay. Asked anew in each collection; it must not wait, for others may be waiting for it. */
export type Roots = () => Iterable<Ref>;

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
  readonly layers: readonly Layers[];
  readonly leases: Leases;
  readonly locks: Locks;
  readonly trash: Trash;
  /** Kinds of records that are there. Each needs its roots registered, or all that it refers to would go. */
  readonly recorded: () => readonly string[];
}

/**
 * Mark and sweep, beside running pulls of any process.
 *
 * What is marked by a lease or a root stays. The last marking and the taking away are one synchronous step under a lock,
 * and whoever adds to a lease waits for its end before looking whether the thing is there. So a lease that the marking did
 * not see belongs to somebody who has not looked yet, and will find the thing gone. Leases are read before roots: one is
 * released only after the record that takes its place is written, so either is seen.
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
    signal?.throwIfAborted();
    this.#requireRoots();
    const lost = this.#takeUnreachable(Date.now() - graceMs);
    const partial = this.#takePartial();
    const bytes = await Promise.all([...lost, ...partial].map(({ away }) => away));
    return {
      removed: [...lost, ...partial].map(({ name }) => name),
      reclaimedBytes: bytes.reduce((sum, size) => sum + size, 0),
    };
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

  /** Takes away what is not marked and older than an instant. */
  #takeUnreachable(youngest: number): Taken[] {
    // Without the lock first: mostly there is nothing to do, and nobody has to wait for that.
    const candidates = unmarked(this.#items(), this.#marked()).filter(item => bornBefore(item.place, youngest));
    if (candidates.length === 0) return [];
    return this.#setup.locks.during(SWEEP_LOCK, () =>
      unmarked(candidates, this.#marked()).flatMap(item => this.#take(item.digest, item.place)),
    );
  }

  #marked(): Set<string> {
    const marked = new Set(this.#setup.leases.refs().map(keyOf));
    for (const roots of this.#roots.values()) for (const ref of roots()) marked.add(keyOf(ref));
    return marked;
  }

  /** All that there is. Snapshots of the other driver, too: nobody else would ever take them away. */
  #items(): Item[] {
    const { content, layers } = this.#setup;
    return [
      ...[...content.list()].map((digest): Item => ({ kind: 'content', digest, place: content.path(digest) })),
      ...layers.flatMap(each =>
        each.list().map((digest): Item => ({ kind: 'snapshot', digest, place: each.path(digest) })),
      ),
    ];
  }

  #takePartial(): Taken[] {
    const directory = join(this.#setup.root, 'ingest');
    const found = readdirSync(directory)
      .flatMap(name => {
        const stat = statSync(join(directory, name), { throwIfNoEntry: false });
        return stat === undefined ? [] : [{ name, size: stat.size, mtimeMs: stat.mtimeMs }];
      })
      .sort((a, b) => b.mtimeMs - a.mtimeMs);
    let kept = 0;
    return found.flatMap(({ name, size, mtimeMs }) => {
      kept += size;
      if (kept <= PARTIAL_BYTES && Date.now() - mtimeMs < PARTIAL_MS) return [];
      // Somebody goes on with it this moment.
      using lock = this.#setup.locks.tryAcquire(`ingest-${name}`);
      return lock === undefined ? [] : this.#take(`ingest/${name}`, join(directory, name));
    });
  }

  #take(name: string, place: string): Taken[] {
    const away = this.#setup.trash.discardMeasured(place);
    return away === undefined ? [] : [{ name, away }];
  }
}

interface Item extends Ref {
  readonly place: string;
}

/** Out of sight, and on its way off the disk. */
interface Taken {
  readonly name: string;
  /** Resolves with its size when it is gone. */
  readonly away: Promise<number>;
}

function unmarked(items: readonly Item[], marked: ReadonlySet<string>): Item[] {
  return items.filter(item => !marked.has(keyOf(item)));
}

function keyOf(ref: Ref): string {
  return `${ref.kind} ${ref.digest}`;
}

/** By the inode's change time: that of modification is part of a layer's content. */
function bornBefore(path: string, instant: number): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat !== undefined && stat.ctimeMs <= instant;
}
