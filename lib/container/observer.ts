import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { NotFoundError, errorCode } from '../errors.js';
import type { AbortOptions } from '../types.js';
import type { ContainerContext } from './context.js';
import type { Listing } from './listing.js';
import { describe, restartOp } from './keep.js';
import type { Live } from './live.js';
import { LiveNetwork } from './live-network.js';
import { permit } from './operations.js';
import type { ContainerRecord } from './record.js';
import { cgroupsOf } from './spec.js';
import type { ContainerStats, StatsOptions, Subject, WatchStatsOptions } from './stats.js';
import { isUp } from './state.js';
import type { ProcessTable, TopOptions } from './top.js';
import type { UpdateOptions } from './update.js';

/** Looks at containers from outside, and changes what can be changed while they run. Loads what it needs when asked. */
export class Observer {
  readonly #listing: Listing;
  readonly #context: ContainerContext;
  readonly #live: Live;

  constructor(context: ContainerContext, live: Live, listing: Listing) {
    this.#context = context;
    this.#live = live;
    this.#listing = listing;
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
    const { nothingUsed, sampleOnce } = await import('./stats.js');
    const record = this.#record(id, call);
    permit('stats', this.#live.state(id), { call, ref: record.name });
    const [stats] = await sampleOnce(this.#context, () => this.#one(id), options, call);
    // As Docker: one that does not run uses nothing, and to ask is no mistake.
    return stats ?? nothingUsed(record);
  }

  async *watchStats(id: string, options: WatchStatsOptions): AsyncGenerator<ContainerStats, void, undefined> {
    const call = 'container.watchStats';
    this.#record(id, call);
    const { sampleOften } = await import('./stats.js');
    // One that is between two runs is waited for.
    const subjects = (): Subject[] | undefined => (this.#isUp(id) ? this.#one(id) : undefined);
    for await (const found of sampleOften(this.#context, subjects, options, call)) yield* found;
  }

  async top(id: string, options: TopOptions): Promise<ProcessTable> {
    const call = 'container.top';
    const { listProcesses } = await import('./top.js');
    const record = this.#record(id, call);
    const state = this.#live.state(id);
    permit('top', state, { call, ref: record.name });
    const pid = 'started' in state ? state.started.pid : 0;
    const group = cgroupsOf(this.#context, record, call)?.groups.get('pids');
    return listProcesses({ group, pid }, options, call);
  }

  async update(id: string, options: UpdateOptions): Promise<void> {
    const call = 'container.update';
    options.signal?.throwIfAborted();
    const { updateContainer } = await import('./update.js');
    const { signal } = options;
    const lock = await this.#context.store.lock(`update-${id}`, signal === undefined ? {} : { signal });
    try {
      const record = this.#record(id, call);
      const state = this.#live.state(id);
      permit('update', state, { call, ref: record.name });
      const running = await this.#live.join(record);
      const updated = updateContainer(this.#context, record, options, {
        call,
        // Between two runs its groups are there, too.
        isRunning: running !== undefined,
        ...(running === undefined ? {} : { ended: running.monitored.closed }),
      });
      // Who keeps to the policy is the monitor.
      if (options.restart !== undefined) running?.monitored.connection.op(...restartOp(updated.config.restart));
    } finally {
      await lock[Symbol.asyncDispose]();
    }
  }

  async rename(id: string, name: string, options: AbortOptions): Promise<void> {
    const { renameContainer } = await import('./rename.js');
    const before = this.#context.records.get(id);
    await renameContainer(this.#context, id, name, { call: 'container.rename', ...options });
    if (before !== undefined)
      await new LiveNetwork(this.#context, this.#live).rename(before, name, { call: 'container.rename', ...options });
    const record = this.#context.records.get(id);
    const running = record === undefined ? undefined : await this.#live.join(record);
    // Its monitor, too, tells of it in events.
    if (record !== undefined) running?.monitored.connection.op('describe', describe(record));
  }

  /** Ends what a process that was killed was about to change. */
  async finish(record: ContainerRecord): Promise<void> {
    if (record.spareName === undefined) return;
    const { finishRename } = await import('./rename.js');
    await finishRename(this.#context, record);
  }

  #running(): Subject[] {
    // One that runs has a directory there; to ask each of the others for its state would cost more than all the rest.
    const running = new Set(readNames(join(this.#context.store.runRoot, 'c')));
    return this.#listing
      .all()
      .filter(({ id }) => running.has(id.slice(0, 12)))
      .flatMap(record => this.#subject(record) ?? []);
  }

  #subject(record: ContainerRecord | undefined): Subject | undefined {
    const state = record === undefined ? undefined : this.#live.state(record.id);
    if (record === undefined || state === undefined || !('started' in state)) return undefined;
    return { record, pid: state.started.pid, startedAt: state.started.startedAt };
  }

  #one(id: string): Subject[] {
    const subject = this.#subject(this.#listing.get(id));
    return subject === undefined ? [] : [subject];
  }

  #isUp(id: string): boolean {
    return this.#context.records.has(id) && isUp(this.#live.state(id));
  }

  #record(id: string, call: string): ContainerRecord {
    const record = this.#context.records.get(id);
    if (record !== undefined) return record;
    throw new NotFoundError({ call, kind: 'container', ref: id.slice(0, 12), remedy: 'It was removed' });
  }
}

function readNames(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return []; // Nothing was ever started.
    throw error;
  }
}
