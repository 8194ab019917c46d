import { readFileSync } from 'node:fs';

import { InvalidStateError } from '../errors.js';
import { formatOwner, self } from '../store/owner.js';
import type { AbortOptions } from '../types.js';
import { sleep } from '../util/abort.js';
import { writeFileAtomic } from '../util/files.js';
import type { ContainerContext } from './context.js';
import type { Live, Running } from './live.js';
import { permit } from './operations.js';
import { eventOf, type ContainerRecord } from './record.js';
import { isUp, processStartTime, type State } from './state.js';

/** After SIGKILL, for the monitor to tell of the end; and then for all else that can be killed to be gone. */
const PATIENCE_MS = 2_000;

/** Takes containers away. */
export class Removal {
  readonly #context: ContainerContext;
  readonly #live: Live;

  constructor(context: ContainerContext, live: Live) {
    this.#context = context;
    this.#live = live;
  }

  /**
   * Removes a container, and with `force` kills it first. While that takes time its state is `removing`; when it fails,
   * `dead`.
   */
  async remove(
    record: ContainerRecord,
    options: AbortOptions & { readonly force?: boolean; readonly keepVolumes?: boolean } = {},
  ): Promise<void> {
    options.signal?.throwIfAborted();
    const call = 'container.remove';
    const state = this.#live.state(record.id);
    permit(options.force === true ? 'removeForced' : 'remove', state, { call, ref: record.name });
    try {
      const running = this.#live.peek(record.id) ?? (isUp(state) ? await this.#live.join(record) : undefined);
      if (running !== undefined) await this.#kill(record, running, call);
      // Nothing was waited for where nothing was running, so what was seen still holds.
      await this.erase(record, running === undefined && !isUp(state) ? { ...options, state } : options);
    } catch (error) {
      try {
        this.#mark(record, { failed: true });
      } catch {
        // What went wrong first is what is told. It is dead all the same once this process has ended.
      }
      throw error;
    }
  }

  /** Takes away what a container that does not run has on disk. */
  async erase(
    record: ContainerRecord,
    {
      keepVolumes = false,
      state = this.#live.state(record.id),
    }: { readonly keepVolumes?: boolean; /** As it was looked at just now. */ readonly state?: State } = {},
  ): Promise<void> {
    const { records, volumes } = this.#context;
    if (state.name === 'dead' || state.name === 'removing' || (state.name === 'exited' && state.ended === undefined)) {
      // Its monitor was killed, which would have done this.
      const { clearCgroups } = await import('./leftovers.js');
      await clearCgroups(this.#context, record, 'container.remove');
    }
    this.#live.erase(record.id);
    // Perhaps it was renamed since, or its renaming was not finished.
    const { name, spareName = name } = records.get(record.id) ?? record;
    if (!records.delete(record.id, [...new Set([name, spareName])])) return;
    if (!keepVolumes) for (const volume of record.anonymousVolumes) await volumes.discard(volume);
    this.#context.emit('container:remove', eventOf({ ...record, name }));
  }

  /** Nothing can withstand SIGKILL but what a debugger holds, or the kernel itself. Either way it is known within ten seconds. */
  async #kill(record: ContainerRecord, { monitored, started }: Running, call: string): Promise<void> {
    this.#mark(record, {});
    this.#live.leave(record.id);
    monitored.connection.op('kill', 9, 1);
    this.#context.emit('container:kill', { ...eventOf(record), signal: 'SIGKILL' });
    // Somebody may have stopped reading its output, and then would never hear of its end.
    monitored.connection.resume();
    const over = monitored.holding(monitored.closed);
    if (await within(PATIENCE_MS, over)) return;
    const [{ cgroupProcesses, killAll }, { cgroupsOf }] = await Promise.all([
      import('../host/cgroups-control.js'),
      import('./spec.js'),
    ]);
    const plan = cgroupsOf(this.#context, record, call);
    const processes = (): number[] => (plan === undefined ? [] : cgroupProcesses(plan));
    if (plan !== undefined) await killAll(plan, { signal: AbortSignal.timeout(PATIENCE_MS) }).catch(() => {});
    if (await within(PATIENCE_MS, over)) return;
    // It is not the container that withstands, then, but its monitor.
    if (processStartTime(started.monitor) === started.monitorStartTime) process.kill(started.monitor, 'SIGKILL');
    if ((await within(PATIENCE_MS, over)) && (await within(PATIENCE_MS, empty(processes)))) return;
    const left = plan === undefined ? [started.pid] : processes();
    throw new InvalidStateError({
      call,
      kind: 'container',
      ref: record.name,
      state: `still running after SIGKILL: ${left.map(pid => `process ${pid}${tracerOf(pid)}`).join(', ')}`,
      expected: ['exited'],
      remedy:
        'Who traces a process must let go of it before it can end; one in a system call that cannot be interrupted takes its time',
    });
  }

  #mark(record: ContainerRecord, mark: { readonly failed?: true }): void {
    if (!this.#context.records.has(record.id)) return;
    const text = JSON.stringify({ owner: formatOwner(self()), ...mark });
    writeFileAtomic(this.#live.paths(record.id).removing, text, { durable: false });
  }
}

async function within(ms: number, promise: Promise<unknown>): Promise<boolean> {
  const timer = new AbortController();
  try {
    return await Promise.race([promise.then(() => true), sleep(ms, timer.signal).then(() => false)]);
  } finally {
    timer.abort();
  }
}

async function empty(processes: () => readonly number[]): Promise<void> {
  while (processes().length > 0) await sleep(10);
}

function tracerOf(pid: number): string {
  try {
    const tracer = /^TracerPid:\t([1-9]\d*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
    return tracer === undefined ? '' : `, traced by ${tracer}`;
  } catch {
    return ''; // It has just gone.
  }
}
