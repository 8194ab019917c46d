import { InvalidStateError, NotFoundError } from '../errors.js';
import type { AbortOptions } from '../types.js';
import type { ContainerContext } from './context.js';
import { Listing } from './listing.js';
import type { Live } from './live.js';
import type { ContainerRecord } from './record.js';
import { cgroupsOf } from './spec.js';
import type { ContainerStats, StatsOptions, Subject, WatchStatsOptions } from './stats.js';
import type { ProcessTable, TopOptions } from './top.js';

/** Looks at containers from outside, and changes what can be changed while they run. Loads what it needs when asked. */
export class Observer {
  readonly listing: Listing;
  readonly #context: ContainerContext;
  readonly #live: Live;

  constructor(context: ContainerContext, live: Live) {
    this.#context = context;
    this.#live = live;
    this.listing = new Listing(context.records);
  }

  async statsOfAll(options: StatsOptions): Promise<ContainerStats[]> {
    const { sampleOnce } = await import('./stats.js');
    return sampleOnce(this.#context, () => this.#running(), options, 'containers.stats');
  }

  async *watchStatsOfAll(options: WatchStatsOptions): AsyncGenerator<ContainerStats[], void, undefined> {
    const { sampleOften } = await import('./stats.js');
    yield* sampleOften(this.#context, () => this.#running(), options, 'containers.watchStats');
  }

  async stats(id: string, options: StatsOptions): Promise<ContainerStats> {
    const call = 'container.stats';
    const { sampleOnce } = await import('./stats.js');
    const [stats] = await sampleOnce(this.#context, () => [this.#require(id, call)], options, call);
    return stats ?? this.#refuse(id, call);
  }

  async *watchStats(id: string, options: WatchStatsOptions): AsyncGenerator<ContainerStats, void, undefined> {
    const call = 'container.watchStats';
    this.#require(id, call);
    const { sampleOften } = await import('./stats.js');
    const subjects = (): Subject[] | undefined => {
      const subject = this.#subject(this.listing.get(id));
      if (subject !== undefined) return [subject];
      // One that is between two runs is waited for.
      return this.#hasEnded(id) ? undefined : [];
    };
    for await (const found of sampleOften(this.#context, subjects, options, call)) yield* found;
  }

  async top(id: string, options: TopOptions): Promise<ProcessTable> {
    const call = 'container.top';
    const { listProcesses } = await import('./top.js');
    const { record, pid } = this.#require(id, call);
    const group = cgroupsOf(this.#context, record, call)?.groups.get('pids');
    return listProcesses({ group, pid }, options, call);
  }

  async rename(id: string, name: string, options: AbortOptions): Promise<void> {
    const { renameContainer } = await import('./rename.js');
    await renameContainer(this.#context, id, name, { call: 'container.rename', ...options });
  }

  /** Ends what a process that was killed was about to change. */
  async finish(record: ContainerRecord): Promise<void> {
    if (record.spareName === undefined) return;
    const { finishRename } = await import('./rename.js');
    await finishRename(this.#context, record);
  }

  #running(): Subject[] {
    return this.listing.all().flatMap(record => this.#subject(record) ?? []);
  }

  #subject(record: ContainerRecord | undefined): Subject | undefined {
    const state = record === undefined ? undefined : this.#live.state(record.id);
    if (record === undefined || state === undefined || !('started' in state)) return undefined;
    return { record, pid: state.started.pid, startedAt: state.started.startedAt };
  }

  #hasEnded(id: string): boolean {
    return !this.#context.records.has(id) || ['created', 'exited'].includes(this.#live.state(id).name);
  }

  #require(id: string, call: string): Subject {
    return this.#subject(this.listing.get(id)) ?? this.#refuse(id, call);
  }

  #refuse(id: string, call: string): never {
    const record = this.#context.records.get(id);
    if (record === undefined)
      throw new NotFoundError({ call, kind: 'container', ref: id.slice(0, 12), remedy: 'It was removed' });
    const state = this.#live.state(id).name;
    throw new InvalidStateError({ call, kind: 'container', ref: record.name, state, expected: ['running'] });
  }
}
