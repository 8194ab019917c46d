import { appendFileSync, readdirSync, readFileSync, statSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { errorCode } from '../errors.js';
import { isDigest } from '../oci/digest.js';
import type { Digest } from '../types.js';
import { attempt } from './failure.js';
import type { Locks } from './locks.js';
import { formatOwner, isAlive, nonce, parseOwner, self } from './owner.js';

/** Held while a collection takes away; what is added to a lease waits for its end. */
export const SWEEP_LOCK = 'sweep';

/** What can be collected: a blob by its digest, a snapshot by its ChainID. */
export type RefKind = 'content' | 'snapshot';

/** One thing that must not be collected. */
export interface Ref {
  readonly kind: RefKind;
  readonly digest: Digest;
}

export interface LeaseOptions {
  /** How long it holds after it was made, added to or renewed. Default one hour. */
  readonly ttlMs?: number;
  /** `false` ends it with this process. Default `true`: what came whole is there for a retry, also after a kill. */
  readonly persistent?: boolean;
}

interface Header {
  readonly owner: string;
  readonly ttlMs: number;
  readonly persistent: boolean;
}

/**
 * Keeps things from being collected before anything refers to them. *First* add, *then* look whether it is there: in this
 * order, what was found cannot vanish (see {@link collect}).
 */
export class Lease implements Disposable {
  readonly id: string;
  readonly #path: string;
  readonly #locks: Locks;

  /** @internal */
  constructor(id: string, path: string, locks: Locks) {
    this.id = id;
    this.#path = path;
    this.#locks = locks;
  }

  /** Adds a thing, which may not exist yet, and renews the lease. */
  add(kind: RefKind, digest: Digest): void {
    attempt('lease.add', this.#path, () => {
      // One write of one line at the end: several may add, and a kill cannot tear it from what was there.
      appendFileSync(this.#path, `${kind} ${digest}\n`, { mode: 0o600 });
      this.#locks.passed(SWEEP_LOCK);
    });
  }

  /** Begins its time anew, for work that takes longer than that. */
  renew(): void {
    const now = new Date();
    attempt('lease.renew', this.#path, () => utimesSync(this.#path, now, now));
  }

  /** Ends it: whatever it kept is referred to by now, or may go. */
  release(): void {
    attempt('lease.release', this.#path, () => unlink(this.#path));
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/** All leases on a store. Each is a small file: a header, and a line for each thing it keeps. */
export class Leases {
  readonly #directory: string;
  readonly #locks: Locks;

  constructor(directory: string, locks: Locks) {
    this.#directory = directory;
    this.#locks = locks;
  }

  create(options: LeaseOptions = {}): Lease {
    const { ttlMs = 60 * 60 * 1000, persistent = true } = options;
    const id = nonce();
    const path = join(this.#directory, id);
    const header: Header = { owner: formatOwner(self()), ttlMs, persistent };
    attempt('leases.create', path, () =>
      writeFileSync(path, `${JSON.stringify(header)}\n`, { flag: 'wx', mode: 0o600 }),
    );
    return new Lease(id, path, this.#locks);
  }

  /** What all leases that hold keep. */
  refs(): Ref[] {
    return this.#paths().flatMap(path => (holds(path) ? readRefs(path) : []));
  }

  /** Removes those that hold no more. */
  sweep(): void {
    for (const path of this.#paths()) if (!holds(path)) unlink(path);
  }

  #paths(): string[] {
    return attempt('leases.list', this.#directory, () => readdirSync(this.#directory)).map(name =>
      join(this.#directory, name),
    );
  }
}

function holds(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return false;
  const age = Date.now() - stat.mtimeMs;
  const header = readHeader(path);
  // No header: it is being created this moment, or its creator was killed at it.
  if (header === undefined) return age < 60_000;
  if (age > header.ttlMs) return false;
  const owner = parseOwner(header.owner);
  return header.persistent || (owner !== undefined && isAlive(owner));
}

function readHeader(path: string): Header | undefined {
  const [line = ''] = read(path).split('\n', 1);
  try {
    return JSON.parse(line) as Header;
  } catch {
    // Cut short by a kill: the caller knows what that means.
    return undefined;
  }
}

function readRefs(path: string): Ref[] {
  return read(path)
    .split('\n')
    .slice(1)
    .flatMap(line => {
      const [kind, digest = ''] = line.split(' ', 2);
      return (kind === 'content' || kind === 'snapshot') && isDigest(digest) ? [{ kind, digest }] : [];
    });
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    // Released meanwhile.
    if (errorCode(error) === 'ENOENT') return '';
    throw error;
  }
}

function unlink(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}
