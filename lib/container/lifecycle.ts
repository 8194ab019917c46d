import { setMaxListeners } from 'node:events';

import { InvalidStateError, errorCode, type ExitStatus } from '../errors.js';
import { freeze, isFrozen as isGroupFrozen, thaw } from '../host/cgroups-control.js';
import type { CgroupPlan } from '../host/cgroups-plan.js';
import { parseSignal } from '../runtime/signals.js';
import type { AbortOptions } from '../types.js';
import { abortable, sleep } from '../util/abort.js';
import type { ContainerContext } from './context.js';
import type { Live, Running } from './live.js';
import { permit, type Operation } from './operations.js';
import type { StopOptions, WaitCondition } from './options.js';
import { eventOf, type ContainerRecord } from './record.js';
import { cgroupsOf } from './spec.js';
import type { StartOptions } from './start.js';
import { statusOf } from './status.js';

/** How long the kernel may take to stop all processes where they are. */
const FREEZE_MS = 10_000;

/** What changes a container's state, but for its start and its removal. */
export class Lifecycle {
  readonly #context: ContainerContext;
  readonly #live: Live;
  readonly #restarting = new Set<string>();
  readonly #start: (record: ContainerRecord, options: StartOptions) => Promise<void>;

  constructor(
    context: ContainerContext,
    live: Live,
    start: (record: ContainerRecord, options: StartOptions) => Promise<void>,
  ) {
    this.#context = context;
    this.#live = live;
    this.#start = start;
  }

  async stop(record: ContainerRecord, options: StopOptions, call = 'container.stop'): Promise<ExitStatus> {
    options.signal?.throwIfAborted();
    const { number, name } = parseSignal(options.stopSignal ?? record.config.stopSignal, call);
    if (!this.#permit('stop', record, call)) return this.#ended(record, call);
    this.#live.remember(record, { stopped: true });
    const running = await this.#live.join(record);
    if (running === undefined) return this.#ended(record, call);
    const status = await this.#end(record, running, { number, name }, options);
    this.#context.emit('container:stop', this.#about(record));
    return status;
  }

  async restart(record: ContainerRecord, options: StopOptions): Promise<void> {
    const call = 'container.restart';
    if (!this.#permit('restart', record, call)) return;
    this.#restarting.add(record.id);
    try {
      if (this.#live.isUp(record.id)) {
        // One that goes when it has ended is not to go now.
        (await this.#live.join(record))?.monitored.connection.op('keep');
        await this.stop(record, options, call);
      }
      const { signal } = options;
      await this.#start(record, { call, attach: false, ...(signal === undefined ? {} : { signal }) });
    } finally {
      this.#restarting.delete(record.id);
    }
    this.#context.emit('container:restart', this.#about(record));
  }

  /** Its end is not the end of it. */
  isRestarting(id: string): boolean {
    return this.#restarting.has(id);
  }

  async kill(record: ContainerRecord, signal: NodeJS.Signals | number, options: AbortOptions): Promise<void> {
    const call = 'container.kill';
    options.signal?.throwIfAborted();
    const { number, name } = parseSignal(signal, call);
    const running = await this.#live.require(record, call, 'kill');
    this.#live.remember(record, { stopped: true });
    const { monitored } = running;
    const isWaiting = this.#live.state(record.id).name === 'restarting';
    monitored.connection.op('kill', number);
    this.#context.emit('container:kill', { ...this.#about(record), signal: name });
    // SIGKILL cannot be ignored: waiting for its effect makes `remove` after `kill` work without a race.
    if (number === 9 || isWaiting) await abortable(monitored.holding(monitored.exited), options.signal);
  }

  async pause(record: ContainerRecord, options: AbortOptions): Promise<void> {
    const call = 'container.pause';
    this.#permit('pause', record, call);
    const plan = this.#groups(record, call);
    const deadline = AbortSignal.timeout(FREEZE_MS);
    const signal = options.signal === undefined ? deadline : AbortSignal.any([options.signal, deadline]);
    try {
      await freeze(plan, { call, signal });
    } catch (error) {
      if (!deadline.aborted || error !== deadline.reason) throw this.#explain(error, 'pause', record, call);
      throw new InvalidStateError({
        call,
        kind: 'container',
        ref: record.name,
        state: `not frozen after ${FREEZE_MS / 1000} seconds`,
        expected: ['paused'],
        remedy: 'A process of it is in a system call that cannot be interrupted; it goes on',
      });
    }
    this.#context.emit('container:pause', this.#about(record));
  }

  async unpause(record: ContainerRecord, options: AbortOptions): Promise<void> {
    const call = 'container.unpause';
    options.signal?.throwIfAborted();
    this.#permit('unpause', record, call);
    const plan = this.#groups(record, call);
    try {
      thaw(plan, call);
      // The kernel takes a moment, and what is asked next should find it running.
      while (isGroupFrozen(plan)) await sleep(1, options.signal);
    } catch (error) {
      throw this.#explain(error, 'unpause', record, call);
    }
    this.#context.emit('container:unpause', this.#about(record));
  }

  async wait(
    record: ContainerRecord,
    { condition = 'not-running', signal }: AbortOptions & { readonly condition?: WaitCondition },
  ): Promise<ExitStatus> {
    const call = 'container.wait';
    signal?.throwIfAborted();
    if (condition === 'not-running') return this.#nextExit(record, signal, call);
    if (condition === 'next-exit' && this.#live.isUp(record.id)) return this.#nextExit(record, signal, call);
    if (condition !== 'next-exit' && condition !== 'removed') {
      throw new TypeError(
        `${call}: condition: expected 'not-running', 'next-exit' or 'removed', got ${JSON.stringify(condition)}`,
      );
    }
    return this.#told(record, condition, signal);
  }

  async #end(
    record: ContainerRecord,
    { monitored }: Running,
    { number, name }: { readonly number: number; readonly name: NodeJS.Signals },
    options: StopOptions,
  ): Promise<ExitStatus> {
    const timer = new AbortController();
    const signal = options.signal === undefined ? timer.signal : AbortSignal.any([options.signal, timer.signal]);
    // For good, whatever the signal is: it is not started again by its policy.
    monitored.connection.op('kill', number, 1);
    this.#context.emit('container:kill', { ...this.#about(record), signal: name });
    const grace = sleep(options.graceMs ?? record.config.stopGraceMs, signal).then(
      () => {
        monitored.connection.op('kill', 9, 1);
        this.#context.emit('container:kill', { ...this.#about(record), signal: 'SIGKILL' });
      },
      () => {}, // Ended in time, or given up on.
    );
    try {
      return statusOf(await abortable(monitored.holding(monitored.exited), options.signal));
    } finally {
      timer.abort();
      await grace;
    }
  }

  async #nextExit(record: ContainerRecord, signal: AbortSignal | undefined, call: string): Promise<ExitStatus> {
    if (!this.#permit('wait', record, call)) return this.#ended(record, call);
    const running = await this.#live.join(record);
    if (running === undefined) return this.#ended(record, call);
    return statusOf(await abortable(running.monitored.holding(running.monitored.nextExit()), signal));
  }

  /** Read from the journal, since whoever starts, ends or removes it may be another process. */
  async #told(
    record: ContainerRecord,
    condition: 'next-exit' | 'removed',
    signal: AbortSignal | undefined,
  ): Promise<ExitStatus> {
    const done = new AbortController();
    const either = signal === undefined ? done.signal : AbortSignal.any([signal, done.signal]);
    setMaxListeners(0, either);
    const state = this.#live.state(record.id);
    let status = statusOf('ended' in state ? state.ended : undefined);
    try {
      // What happened since the look at the state is told as well.
      for await (const event of this.#context.store.journal.tail({ since: new Date(Date.now() - 1), signal: either })) {
        if (!('id' in event) || event.id !== record.id) continue;
        if (event.type === 'container:exit') status = statusFrom(event.status);
        if (event.type === 'container:remove') return status;
        if (event.type === 'container:exit' && condition === 'next-exit') return status;
      }
      return status;
    } finally {
      done.abort();
    }
  }

  #permit(operation: Operation, record: ContainerRecord, call: string): boolean {
    return permit(operation, this.#live.state(record.id), { call, ref: record.name });
  }

  #ended(record: ContainerRecord, call: string): ExitStatus {
    const state = this.#live.state(record.id);
    if (state.name === 'exited') return statusOf(state.ended);
    throw new InvalidStateError({
      call,
      kind: 'container',
      ref: record.name,
      state: state.name,
      expected: ['running', 'paused', 'restarting', 'exited'],
    });
  }

  #groups(record: ContainerRecord, call: string): CgroupPlan {
    const plan = cgroupsOf(this.#context, record, call);
    if (plan?.freeze !== undefined) return plan;
    throw new InvalidStateError({
      call,
      kind: 'container',
      ref: record.name,
      state: 'without a freezer cgroup',
      expected: ['on a machine where engine.features().freezer is available'],
    });
  }

  /** A group that is gone is the sign of a container that has ended meanwhile. */
  #explain(error: unknown, operation: Operation, record: ContainerRecord, call: string): unknown {
    if (errorCode(error) !== 'ENOENT' && errorCode(error) !== 'ENODEV') return error;
    this.#permit(operation, record, call);
    return error;
  }

  #about(record: ContainerRecord): ReturnType<typeof eventOf> {
    return eventOf(this.#context.records.get(record.id) ?? record);
  }
}

/** JSON has no `undefined`, so what the journal leaves out is put back. */
function statusFrom({ exitCode, signal, oomKilled, durationMs }: ExitStatus): ExitStatus {
  return { exitCode, signal, oomKilled, durationMs };
}
