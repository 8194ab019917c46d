import { type FSWatcher, watch } from 'node:fs';

import { onAborted } from '../util/abort.js';

/**
 * Wakes whoever waits for something to happen in a directory. Where inotify is exhausted or the file system does not
 * tell, the timeout of {@link DirectoryWatch.changed} makes it polling.
 */
export class DirectoryWatch implements Disposable {
  #watcher: FSWatcher | undefined;
  #dirty = false;
  #wake: (() => void) | undefined;

  constructor(directory: string) {
    try {
      this.#watcher = watch(directory, { persistent: true }, () => this.#notice());
      this.#watcher.on('error', () => this.close());
    } catch {
      // ENOSPC or EMFILE: no watch left for this user. Polling does it, only later.
    }
  }

  /** Resolves at the next change, at one since the last call, or after `maxMs`. Rejects with the signal's reason. */
  async changed(maxMs: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (!this.#dirty) await this.#wait(maxMs, signal);
    this.#dirty = false;
    signal?.throwIfAborted();
  }

  close(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #wait(maxMs: number, signal: AbortSignal | undefined): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    let off = (): void => {};
    await new Promise<void>(resolve => {
      this.#wake = resolve;
      timer = setTimeout(resolve, maxMs);
      off = onAborted(signal, () => resolve());
    });
    this.#wake = undefined;
    clearTimeout(timer);
    off();
  }

  #notice(): void {
    this.#dirty = true;
    this.#wake?.();
  }
}
