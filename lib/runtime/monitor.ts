import type { ExitStatus } from '../errors.js';
import type { Connection, Helper } from '../host/helper.js';
import type { Fact } from '../host/job.js';
import { signalName } from './signals.js';

/** What the monitor says when the process runs. */
export interface Started {
  readonly pid: number;
  /** Clock ticks since boot. */
  readonly startTime: number;
  readonly monitor: number;
  readonly monitorStartTime: number;
  readonly startedAt: Date;
  /** How often its monitor has started it again. */
  readonly restarts: number;
  /** The kernel's file that says whether it is frozen, and the line that says so. Absent where there is no freezer. */
  readonly freezer?: { readonly path: string; readonly done: string };
}

/** How it ended, and when. */
export interface Ended extends ExitStatus {
  readonly startedAt: Date;
  readonly finishedAt: Date;
  /** How often its monitor had started it again. */
  readonly restarts: number;
  /** It is started again after so long. */
  readonly restartInMs?: number;
}

/** The error fact of a start that failed. */
export class StartFailure {
  constructor(readonly fact: Fact) {}
}

/**
 * A process with its parent outside: a container's first process and its monitor, or an exec. Facts become promises.
 * Whoever wants the output listens to {@link MonitoredProcess.connection} before the next turn of the event loop.
 */
export class MonitoredProcess {
  readonly connection: Connection;
  /** Rejects with a {@link StartFailure}. */
  readonly started: Promise<Started>;
  /** It has ended for good. `undefined` when the conversation broke off without a word: the monitor was killed. */
  readonly exited: Promise<Ended | undefined>;
  /** The process that ran when this conversation began has ended; another may follow it. */
  readonly firstExited: Promise<Ended | undefined>;
  /** All that it wrote was read, too. */
  readonly firstClosed: Promise<void>;
  /** All was said and cleaned up. */
  readonly closed: Promise<void>;
  /** The process that runs now; `undefined` before the first fact of it, and between two. */
  current: Started | undefined;
  /** How the last one ended. */
  last: Ended | undefined;
  #waiting = 0;
  #next: { readonly promise: Promise<Ended | undefined>; readonly resolve: (ended: Ended | undefined) => void };

  constructor(connection: Connection) {
    this.connection = connection;
    let begin: (started: Started) => void = () => {};
    let refuse: (failure: StartFailure) => void = () => {};
    let end: (ended: Ended | undefined) => void = () => {};
    this.started = new Promise((resolve, reject) => {
      begin = resolve;
      refuse = reject;
    });
    this.started.catch(() => {}); // It has its own reader, who may come later.
    this.exited = new Promise(resolve => (end = resolve));
    this.#next = deferred();
    this.firstExited = this.#next.promise;
    const tell = (ended: Ended | undefined): void => {
      this.current = undefined;
      this.last = ended ?? this.last;
      const { resolve } = this.#next;
      this.#next = deferred();
      resolve(ended);
      if (ended?.restartInMs === undefined) end(ended);
    };
    connection.on('fact', fact => {
      if (fact.fact === 'started') begin((this.current = toStarted(fact)));
      else if (fact.fact === 'exit') tell(toEnded(fact));
      // It was to be started again, and then was not.
      else if (fact.fact === 'over') {
        this.#next.resolve(this.last);
        end(this.last);
      } else if (fact.fact === 'error') refuse(new StartFailure(fact));
    });
    this.closed = new Promise(resolve => {
      connection.on('close', () => {
        refuse(
          new StartFailure({
            fact: 'error',
            stage: 'monitor',
            syscall: 'read',
            errno: 'EPIPE',
            path: 'the monitor ended without a word',
          }),
        );
        tell(undefined);
        resolve();
      });
    });
    this.firstClosed = Promise.race([
      this.closed,
      this.firstExited.then(async ended => (ended?.restartInMs === undefined ? this.closed : undefined)),
    ]);
    connection.hold(false);
  }

  /** The next end of a process of it, whether another follows or not. */
  async nextExit(): Promise<Ended | undefined> {
    return this.connection.closed ? this.last : this.#next.promise;
  }

  /** Waits with Node kept alive; a container that nobody waits for does not. */
  async holding<T>(promise: Promise<T>): Promise<T> {
    if (this.#waiting++ === 0) this.connection.hold(true);
    try {
      return await promise;
    } finally {
      if (--this.#waiting === 0) this.connection.hold(false);
    }
  }
}

function deferred(): {
  readonly promise: Promise<Ended | undefined>;
  readonly resolve: (ended: Ended | undefined) => void;
} {
  let resolve: (ended: Ended | undefined) => void = () => {};
  const promise = new Promise<Ended | undefined>(done => (resolve = done));
  return { promise, resolve };
}

/** Joins the conversation of a container that somebody else started. `undefined` when its monitor is gone. */
export async function joinMonitor(helper: Helper, socketPath: string): Promise<MonitoredProcess | undefined> {
  try {
    return new MonitoredProcess(await helper.join(socketPath));
  } catch {
    // ENOENT, ECONNREFUSED: it has ended between the look and the call, and what it recorded tells how.
    return undefined;
  }
}

/** Reads the fact, or the file in the run directory, that tells of a start. */
export function toStarted(fact: Readonly<Record<string, unknown>>): Started {
  const { freezer, frozen } = fact;
  return {
    pid: Number(fact['pid']),
    startTime: Number(fact['startTime']),
    monitor: Number(fact['monitor']),
    monitorStartTime: Number(fact['monitorStartTime']),
    startedAt: new Date(Number(fact['startedAtMs'] ?? Date.now())),
    restarts: Number(fact['restarts'] ?? 0),
    ...(typeof freezer === 'string' && typeof frozen === 'string' ? { freezer: { path: freezer, done: frozen } } : {}),
  };
}

/** Reads the fact, or the exit file, that tells of an end. */
export function toEnded(fact: Readonly<Record<string, unknown>>): Ended {
  const signal = Number(fact['signal'] ?? 0);
  return {
    exitCode: signal > 0 ? undefined : Number(fact['exitCode']),
    signal: signal > 0 ? signalName(signal) : undefined,
    oomKilled: fact['oomKilled'] === true,
    durationMs: Number(fact['durationMs']),
    startedAt: new Date(Number(fact['startedAtMs'] ?? 0)),
    finishedAt: new Date(Number(fact['finishedAtMs'] ?? Date.now())),
    restarts: Number(fact['restarts'] ?? 0),
    ...(fact['restartInMs'] === undefined ? {} : { restartInMs: Number(fact['restartInMs']) }),
  };
}
