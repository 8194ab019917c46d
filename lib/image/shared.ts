import { onAborted } from '../util/abort.js';
import type { Report } from '../util/operation.js';

/** What the one that does the work gets. */
export interface SharedWork<P> {
  /** Fires when the last caller has left. */
  readonly signal: AbortSignal;
  /** Reaches everybody who waits. */
  readonly report: Report<P>;
}

interface Job<T, P> {
  readonly controller: AbortController;
  /** Each with an identity of its own, whatever they pass. */
  readonly callers: Set<{ readonly report: Report<P> }>;
  /** The latest value of each key, for those who come later. */
  readonly latest: Map<string, P>;
  readonly result: Promise<T>;
}

/**
 * Identical calls joined: the first does the work, the others wait for it and hear its progress from where it is.
 *
 * A caller that aborts leaves. When the last one has left the work is aborted too, and that last call returns only after
 * the work has wound itself up, so nothing goes on behind the caller's back.
 */
export class Shared<T, P> {
  readonly #jobs = new Map<string, Job<T, P>>();

  /** How many different works are going on. */
  get size(): number {
    return this.#jobs.size;
  }

  /**
   * @param key - What makes two calls identical.
   * @throws `options.signal.reason` when this caller aborts, and whatever the work throws.
   */
  async join(
    key: string,
    work: (options: SharedWork<P>) => Promise<T>,
    options: { readonly signal?: AbortSignal | undefined; readonly report: Report<P> },
  ): Promise<T> {
    const { signal, report } = options;
    signal?.throwIfAborted();
    const job = this.#jobs.get(key) ?? this.#start(key, work);
    const caller = { report };
    job.callers.add(caller);
    for (const [name, progress] of job.latest) report(progress, name);
    let off = (): void => {};
    const left = new Promise<'left'>(resolve => {
      off = onAborted(signal, () => resolve('left'));
    });
    try {
      const first = await Promise.race([job.result, left]);
      if (first !== 'left') return first;
      if (job.callers.size === 1) await this.#stop(key, job, signal?.reason);
      throw signal?.reason;
    } finally {
      off();
      job.callers.delete(caller);
    }
  }

  #start(key: string, work: (options: SharedWork<P>) => Promise<T>): Job<T, P> {
    const controller = new AbortController();
    const callers: Job<T, P>['callers'] = new Set();
    const latest = new Map<string, P>();
    const result = work({
      signal: controller.signal,
      report: (progress, name) => {
        if (name !== undefined) latest.set(name, progress);
        for (const caller of callers) caller.report(progress, name);
      },
    });
    const job: Job<T, P> = { controller, callers, latest, result };
    this.#jobs.set(key, job);
    const forget = (): void => {
      if (this.#jobs.get(key) === job) this.#jobs.delete(key);
    };
    result.then(forget, forget);
    return job;
  }

  async #stop(key: string, job: Job<T, P>, reason: unknown): Promise<void> {
    // Whoever comes from now on starts anew instead of joining something that is being undone.
    if (this.#jobs.get(key) === job) this.#jobs.delete(key);
    job.controller.abort(reason);
    await job.result.catch(() => {
      // It failed because it was told to stop; the caller hears the reason for that.
    });
  }
}
