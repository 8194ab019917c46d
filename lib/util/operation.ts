import type { Operation } from '../types.js';

/** Steps kept until somebody iterates. */
const KEPT = 1000;

/** Reports progress. With a `key`, the latest value of that key replaces an unread earlier one. */
export type Report<P> = (progress: P, key?: string) => void;

/**
 * Starts a long call and returns it as a promise that can also be iterated for its progress.
 *
 * Work begins at once. Iterating and awaiting both fail with the same error. Values with a `key` are lossy: the latest
 * wins. Values without are kept, the last 1,000 of them until somebody iterates.
 */
export function operation<T, P>(work: (report: Report<P>) => Promise<T>): Operation<T, P> {
  const queue = new ProgressQueue<P>();
  const promise = work((progress, key) => queue.push(progress, key));
  promise.then(
    () => queue.end(),
    () => queue.end(),
  );
  return Object.assign(promise, {
    async *[Symbol.asyncIterator](): AsyncGenerator<P, void, undefined> {
      // Whoever iterates hears of the failure here, so the promise itself is handled.
      promise.catch(() => {});
      yield* queue.drain();
      await promise;
    },
  });
}

class ProgressQueue<P> {
  readonly #entries = new Map<string | symbol, P>();
  #ended = false;
  #wake: (() => void) | undefined;

  push(progress: P, key?: string): void {
    if (key !== undefined) this.#entries.delete(key);
    this.#entries.set(key ?? Symbol(), progress);
    if (this.#entries.size > KEPT) {
      const [oldest] = this.#entries.keys();
      if (oldest !== undefined) this.#entries.delete(oldest);
    }
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *drain(): AsyncGenerator<P, void, undefined> {
    for (;;) {
      for (const [key, value] of this.#entries) {
        this.#entries.delete(key);
        yield value;
      }
      if (this.#entries.size > 0) continue;
      if (this.#ended) return;
      await new Promise<void>(resolve => (this.#wake = resolve));
      this.#wake = undefined;
    }
  }
}
