import { statSync } from 'node:fs';
import { join } from 'node:path';

import { ConflictError } from '../errors.js';
import { abortable } from '../util/abort.js';
import { attempt } from './failure.js';
import { lockHolder, LockFile, lockName, LockToken, sweepLocks } from './lock-file.js';
import { DirectoryWatch } from './watch.js';

/** A death makes no event in the directory, so waiters look again at least this often. */
const POLL_MS = [2, 5, 10, 20, 50, 100] as const;

/** How long a synchronous caller spins before it gives up. What is locked that way takes microseconds. */
const PATIENCE_MS = 5_000;

interface LockOptions {
  readonly signal?: AbortSignal | undefined;
}

/**
 * Named locks between processes, and inside this one. They know who has them; a dead owner's lock is taken over.
 * Not reentrant.
 */
export class Locks {
  readonly #directory: string;
  readonly #token: LockToken;
  /** Per lock, the end of the queue in this process. */
  readonly #queues = new Map<string, Promise<void>>();

  constructor(directory: string) {
    this.#directory = directory;
    this.#token = new LockToken(directory);
  }

  /**
   * Waits for the lock; dispose of what is returned to let go.
   *
   * @throws `options.signal.reason` when aborted while waiting; the lock is not held then.
   */
  async acquire(name: string, options: LockOptions = {}): Promise<AsyncDisposable> {
    options.signal?.throwIfAborted();
    const leave = await this.#enter(name, options.signal);
    try {
      const file = await this.#acquireFile(name, options.signal);
      return {
        [Symbol.asyncDispose]: async () => {
          file.release();
          leave();
        },
      };
    } catch (error) {
      leave();
      throw error;
    }
  }

  /** Does something under the lock. Fails like {@link Locks.acquire}. */
  async while<T>(name: string, options: LockOptions, step: () => Promise<T>): Promise<T> {
    const held = await this.acquire(name, options);
    try {
      return await step();
    } finally {
      await held[Symbol.asyncDispose]();
    }
  }

  /** Takes the lock if it is free right now. */
  tryAcquire(name: string): Disposable | undefined {
    const file = this.#file(name);
    const acquired = attempt('store.lock', file.path, () => file.tryAcquire());
    return acquired ? { [Symbol.dispose]: () => file.release() } : undefined;
  }

  /**
   * Runs a short synchronous step under the lock. It spins, so the step must neither wait nor take the same lock, and a
   * name used here is never used with {@link Locks.acquire}: its holder might be waiting for this very thread.
   */
  during<T>(name: string, step: () => T): T {
    const file = this.#file(name);
    attempt('store.lock', file.path, () => spin(file));
    try {
      return step();
    } finally {
      file.release();
    }
  }

  /** Spins until nobody has a lock that is taken by {@link Locks.during} only, if anybody does. */
  passed(name: string): void {
    if (statSync(this.#file(name).path, { throwIfNoEntry: false }) !== undefined) this.during(name, () => {});
  }

  /** Removes what dead owners left. */
  sweep(): void {
    sweepLocks(this.#directory, this.#token);
  }

  /** Takes away what marks this process as an owner. Locks that are held stay held. */
  close(): void {
    this.#token.close();
  }

  /** Waits for the turn in this process; the returned function passes it on. */
  async #enter(name: string, signal: AbortSignal | undefined): Promise<() => void> {
    const before = this.#queues.get(name);
    let leave = (): void => {};
    const mine = new Promise<void>(resolve => (leave = resolve));
    const end = before === undefined ? mine : before.then(() => mine);
    this.#queues.set(name, end);
    void end.then(() => {
      if (this.#queues.get(name) === end) this.#queues.delete(name);
    });
    try {
      await abortable(before ?? Promise.resolve(), signal);
    } catch (error) {
      leave();
      throw error;
    }
    return leave;
  }

  async #acquireFile(name: string, signal: AbortSignal | undefined): Promise<LockFile> {
    const file = this.#file(name);
    const tryIt = (): boolean => attempt('store.lock', file.path, () => file.tryAcquire());
    if (tryIt()) return file;
    using changes = new DirectoryWatch(this.#directory);
    for (let round = 0; !tryIt(); round++) {
      await changes.changed(POLL_MS[Math.min(round, POLL_MS.length - 1)] ?? 100, signal);
    }
    return file;
  }

  #file(name: string): LockFile {
    return new LockFile(join(this.#directory, lockName(name)), this.#token);
  }
}

function spin(file: LockFile): void {
  const since = Date.now();
  while (!file.tryAcquire()) {
    if (Date.now() - since > PATIENCE_MS) {
      throw new ConflictError({
        call: 'store.lock',
        kind: 'file',
        ref: file.path,
        reason: `is held by process ${lockHolder(file.path) ?? 'unknown'} for more than ${PATIENCE_MS / 1000} s`,
        remedy: 'Look whether that process hangs or is stopped',
      });
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
  }
}
