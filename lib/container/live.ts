import { rmSync, rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';

import { InvalidStateError } from '../errors.js';
import { joinMonitor, type MonitoredProcess, type Started } from '../runtime/monitor.js';
import { writeFileAtomic } from '../util/files.js';
import type { ContainerContext } from './context.js';
import { permit, type Operation } from './operations.js';
import type { ContainerRecord } from './record.js';
import { isFrozen, isUp, readIntent, readState, type Intent, type State, type StatePaths } from './state.js';

/** A container that is up, with the conversation with its monitor. */
export interface Running {
  readonly monitored: MonitoredProcess;
  /** The process that runs, or ran last. */
  readonly started: Started;
}

/**
 * The containers that this process talks to. Whoever holds a handle of the same container shares the conversation; one
 * that another process started is joined when it is first needed.
 */
export class Live {
  readonly #context: ContainerContext;
  readonly #running = new Map<string, Conversation>();

  constructor(context: ContainerContext) {
    this.#context = context;
  }

  paths(id: string): StatePaths {
    const directory = this.#context.records.directory(id);
    return {
      runDir: join(this.#context.store.runRoot, 'c', id.slice(0, 12)),
      exitFiles: [this.#volatile(id), directory].map(path => join(path, 'exit.json')),
      removing: join(directory, 'removing'),
      intent: join(directory, 'intent.json'),
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
    rmSync(this.paths(id).runDir, { recursive: true, force: true });
    removeFlat(this.#volatile(id), VOLATILE);
  }

  #volatile(id: string): string {
    return join(this.#context.store.runRoot, 's', id.slice(0, 12));
  }

  state(id: string): State {
    const known = this.#running.get(id);
    // Whether it is being removed, only the file tells; there is none of a container that runs well.
    if (known === undefined || known.isLeaving) return readState(this.paths(id));
    const { current, last } = known.monitored;
    if (current === undefined && last !== undefined) return { name: 'restarting', ended: last };
    return { name: isFrozen(known.started) ? 'paused' : 'running', started: known.started };
  }

  /** Whether it has processes, or will have again in a moment. */
  isUp(id: string): boolean {
    return isUp(this.state(id));
  }

  /** The name of the container that a process is the monitor of. Slow; for messages. */
  containerOf(monitor: number): string | undefined {
    return this.#context.records.list().find(({ id }) => {
      const state = this.state(id);
      return 'started' in state && state.started.monitor === monitor;
    })?.name;
  }

  /** What the user last asked for, where that is remembered. */
  intent(id: string): Intent | undefined {
    return readIntent(this.paths(id));
  }

  /** Remembers over a reboot what the user asked for. Synced only where something depends on it. */
  remember(record: ContainerRecord, intent: Intent): void {
    const paths = this.paths(record.id);
    if (record.lifetime !== 'detached' || readIntent(paths)?.stopped === intent.stopped) return;
    writeFileAtomic(paths.intent, JSON.stringify(intent), { durable: record.config.restart !== undefined });
  }

  /** From the moment it runs until its end has been told. */
  add(record: Pick<ContainerRecord, 'id'>, running: Running): void {
    const conversation = new Conversation(running);
    this.#running.set(record.id, conversation);
    void running.monitored.exited.then(() => {
      if (this.#running.get(record.id) === conversation) this.#running.delete(record.id);
    });
  }

  /** As {@link Live.isUp}, but whatever is known from conversations: only what is there counts. */
  isSeenUp(id: string): boolean {
    return isUp(readState(this.paths(id)));
  }

  /** It is being removed: from now on the file tells. */
  leave(id: string): void {
    const known = this.#running.get(id);
    if (known !== undefined) known.isLeaving = true;
  }

  /** The conversation, if this process has one. */
  peek(id: string): Running | undefined {
    return this.#running.get(id);
  }

  /**
   * The conversation with a container in which something can be done now.
   *
   * @throws {@link InvalidStateError} when its state does not allow the operation.
   */
  async require(record: ContainerRecord, call: string, operation: Operation = 'exec'): Promise<Running> {
    permit(operation, this.state(record.id), { call, ref: record.name });
    const running = await this.join(record);
    if (running !== undefined) return running;
    // It ended between the look and the call.
    const state = this.state(record.id).name;
    throw new InvalidStateError({ call, kind: 'container', ref: record.name, state, expected: ['running'] });
  }

  /** A conversation of one's own with a monitor; `undefined` when it is gone. */
  async visit(id: string): Promise<MonitoredProcess | undefined> {
    return joinMonitor(this.#context.helper, join(this.paths(id).runDir, 'monitor.sock'));
  }

  /** The conversation with a container that is up: also when it stands still, or is about to be started again. */
  async join(record: ContainerRecord): Promise<Running | undefined> {
    const known = this.#running.get(record.id);
    if (known !== undefined) return known;
    // Before the look at the state: what changes after it is told.
    const monitored = this.isUp(record.id) ? await this.visit(record.id) : undefined;
    if (monitored === undefined) return undefined;
    const other = this.#running.get(record.id);
    const state = readState(this.paths(record.id));
    if (other !== undefined || !isUp(state)) {
      monitored.connection.destroy();
      return other;
    }
    const started = 'started' in state ? state.started : undefined;
    if (state.name === 'restarting') monitored.last ??= state.ended;
    else monitored.current ??= started;
    const running = { monitored, started: started ?? UNKNOWN };
    this.add(record, running);
    return this.#running.get(record.id);
  }

  /** Hangs up where nothing depends on it. A container with lifetime `process` needs the conversation: it is its life. */
  close(): void {
    for (const [id, { monitored }] of this.#running) {
      if (this.#context.records.get(id)?.lifetime !== 'process') monitored.connection.destroy();
    }
    this.#running.clear();
  }
}

/** What is in the directory of a container that ends with its owner. */
const VOLATILE = ['exit.json', 'hosts', 'hostname', 'resolv.conf'] as const;

/** Removes a directory that has these files and, mostly, no others: for those a walk asks the kernel three times as much. */
function removeFlat(directory: string, files: readonly string[]): void {
  try {
    for (const file of files) unlinkSync(join(directory, file));
    rmdirSync(directory);
  } catch {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Of a container that was joined between two runs. */
const UNKNOWN: Started = {
  pid: 0,
  startTime: 0,
  monitor: 0,
  monitorStartTime: 0,
  startedAt: new Date(0),
  restarts: 0,
};

class Conversation implements Running {
  readonly monitored: MonitoredProcess;
  readonly #first: Started;
  isLeaving = false;

  constructor({ monitored, started }: Running) {
    this.monitored = monitored;
    this.#first = started;
  }

  get started(): Started {
    return this.monitored.current ?? this.#first;
  }
}
