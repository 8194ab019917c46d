import { abortable } from '../util/abort.js';

/**
 * Turns on keys, inside this process: whoever comes second waits, and then finds done what the first one did. Between
 * processes the store's own locks do the same.
 */
export class Turns {
  readonly #last = new Map<string, Promise<void>>();

  /** Runs `work` when it is this caller's turn. */
  async take<T>(key: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const before = this.#last.get(key);
    let done = (): void => {};
    const mine = new Promise<void>(resolve => (done = resolve));
    const tail = before === undefined ? mine : before.then(() => mine);
    this.#last.set(key, tail);
    void tail.then(() => {
      if (this.#last.get(key) === tail) this.#last.delete(key);
    });
    try {
      if (before !== undefined) await abortable(before, signal);
      return await work();
    } finally {
      done();
    }
  }
}
