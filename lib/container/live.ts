import { rmSync } from 'node:fs';
import { join } from 'node:path';

import { InvalidStateError, type ExitStatus } from '../errors.js';
import { joinMonitor, type Ended, type MonitoredProcess, type Started } from '../runtime/monitor.js';
import type { ContainerContext } from './context.js';
import { eventOf, type ContainerRecord } from './record.js';
import { isFrozen, isUp, readState, type State, type StatePaths } from './state.js';

/** A container that runs, with the conversation with its monitor. */
export interface Running {
  readonly monitored: MonitoredProcess;
  readonly started: Started;
}

/**
 * The containers that this process talks to. Whoever holds a handle of the same container shares the conversation; one
 * that another process started is joined when it is first needed.
 */
export class Live {
  readonly #context: ContainerContext;
  readonly #running = new Map<string, Running>();

  constructor(context: ContainerContext) {
    this.#context = context;
  }

  paths(id: string): StatePaths {
    return {
      runDir: join(this.#context.store.runRoot, 'c', id.slice(0, 12)),
      exitFiles: [this.#volatile(id), this.#context.records.directory(id)].map(path => join(path, 'exit.json')),
      removing: join(this.#context.records.directory(id), 'removing'),
      intent: join(this.#context.records.directory(id), 'intent.json'),
    };
  }

  /**
   * Where a container's small files are: how it ended, its hosts, hostname and resolv.conf. Those of one that ends with
   * its owner are in memory, since they do not outlive a reboot either, and a disk takes its time to make and unmake them.
   */
  directory(record: Pick<ContainerRecord, 'id' | 'lifetime'>): string {
    return record.lifetime === 'process' ? this.#volatile(record.id) : this.#context.records.directory(record.id);
  }

  /** Removes what a container has outside of the store. */
  erase(id: string): void {
    for (const path of [this.paths(id).runDir, this.#volatile(id)]) rmSync(path, { recursive: true, force: true });
  }

  #volatile(id: string): string {
    return join(this.#context.store.runRoot, 's', id.slice(0, 12));
  }

  state(id: string): State {
    const known = this.#running.get(id);
    if (known === undefined) return readState(this.paths(id));
    return { name: isFrozen(known.started) ? 'paused' : 'running', started: known.started };
  }

  /** Whether it has processes, or will have again in a moment. */
  isUp(id: string): boolean {
    return isUp(this.state(id));
  }

  /** From the moment it runs until its end has been told. */
  add(record: ContainerRecord, running: Running, options: { readonly own: boolean }): void {
    const { id } = record;
    this.#running.set(id, running);
    // The one who started it tells of its end, in the journal too; several may have joined.
    if (!options.own) {
      void running.monitored.exited.then(() => {
        if (this.#running.get(id) === running) this.#running.delete(id);
      });
      return;
    }
    void running.monitored.exited.then(ended => {
      if (this.#running.get(id) === running) this.#running.delete(id);
      this.#context.emit('container:exit', { ...eventOf(record, ended?.finishedAt), status: statusOf(ended) });
    });
  }

  /** The conversation, if this process has one. */
  peek(id: string): Running | undefined {
    return this.#running.get(id);
  }

  /**
   * The conversation with a running container.
   *
   * @throws {@link InvalidStateError} when it does not run.
   */
  async require(record: ContainerRecord, call: string): Promise<Running> {
    const running = await this.join(record);
    if (running !== undefined) return running;
    throw new InvalidStateError({
      call,
      kind: 'container',
      ref: record.name,
      state: this.state(record.id).name,
      expected: ['running'],
    });
  }

  /** A conversation of one's own with a monitor; `undefined` when it is gone. */
  async visit(id: string): Promise<MonitoredProcess | undefined> {
    return joinMonitor(this.#context.helper, join(this.paths(id).runDir, 'monitor.sock'));
  }

  async join(record: ContainerRecord): Promise<Running | undefined> {
    const known = this.#running.get(record.id);
    if (known !== undefined) return known;
    const state = this.state(record.id);
    if (state.name !== 'running') return undefined;
    const monitored = await this.visit(record.id);
    if (monitored === undefined) return undefined;
    const other = this.#running.get(record.id);
    if (other !== undefined) {
      monitored.connection.destroy();
      return other;
    }
    const running = { monitored, started: state.started };
    this.add(record, running, { own: false });
    return running;
  }

  /** Hangs up where nothing depends on it. A container with lifetime `process` needs the conversation: it is its life. */
  close(): void {
    for (const [id, { monitored }] of this.#running) {
      if (this.#context.records.get(id)?.lifetime !== 'process') monitored.connection.destroy();
    }
    this.#running.clear();
  }
}

/** How it ended, as users see it. One whose monitor was killed was killed with it. */
export function statusOf(ended: Ended | undefined): ExitStatus {
  if (ended === undefined) return { exitCode: undefined, signal: 'SIGKILL', oomKilled: false, durationMs: 0 };
  const { exitCode, signal, oomKilled, durationMs } = ended;
  return { exitCode, signal, oomKilled, durationMs };
}
