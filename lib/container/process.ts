import { Writable, type Readable } from 'node:stream';

import { InvalidStateError, type ExitStatus } from '../errors.js';
import type { MonitoredProcess } from '../runtime/monitor.js';
import { signalNumber } from '../runtime/signals.js';
import type { AbortOptions } from '../types.js';
import { abortable } from '../util/abort.js';
import { endOf, standardInput } from './collect.js';
import { KeyFilter, parseDetachKeys } from './detach-keys.js';
import { Flow } from './flow.js';

/** A process in a container, with its streams. */
export interface Process extends AsyncDisposable {
  /** By which it is found again: a further process by `container.execOf(id)`; of the first one, the container's. */
  readonly id: string;
  /** As the host numbers it. */
  readonly pid: number;
  /** What it reads. Ending it is the end of file inside, except for a terminal. */
  readonly stdin: Writable;
  /** What it writes; with a terminal, all of it. Not reading holds the process back. */
  readonly stdout: Readable;
  /** What it complains of. Empty with a terminal. */
  readonly stderr: Readable;
  /** Sends a signal, `SIGTERM` if none is named. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Tells the terminal its size. Without one, nothing happens. */
  resize(size: { readonly columns: number; readonly rows: number }): Promise<void>;
  /** Resolves when it has ended and all output was handed over. A failure is a value here. */
  wait(options?: AbortOptions): Promise<ExitStatus>;
  /** Leaves it running: the streams end here, and disposing does nothing more. */
  detach(): Promise<void>;
  /** Resolves when it was left: by `detach`, or by the keys that were named for it. */
  readonly detached: Promise<void>;
}

/** What disposing of a process does: kill it (`spawn`) or let go of it (`attach`). */
export type OnDispose = 'kill' | 'detach';

/** What streams are made with. */
export interface StreamOptions {
  readonly id: string;
  readonly onDispose: OnDispose;
  readonly merged?: boolean | undefined;
  /** Absent: there are none. */
  readonly detachKeys?: string | undefined;
  /** Nothing can be written to it. */
  readonly readOnly?: boolean | undefined;
}

/** Makes streams of a conversation with a monitor. */
export function toProcess(monitored: MonitoredProcess, pid: number, options: StreamOptions): Process {
  return toFlowingProcess(monitored, pid, options).process;
}

/** The same, with the streams' tap. */
export function toFlowingProcess(
  monitored: MonitoredProcess,
  pid: number,
  { id, onDispose, merged = false, detachKeys, readOnly = false }: StreamOptions,
): { process: Process; flow: Flow } {
  const { connection } = monitored;
  const flow = new Flow(connection, merged);
  const { stdout, stderr } = flow;
  let tellDetached = (): void => {};
  const detached = new Promise<void>(resolve => (tellDetached = resolve));
  let hasLeft = false;
  const leave = (): void => {
    hasLeft = true;
    connection.op('disown');
    connection.end();
    flow.discard();
    flow.end();
    tellDetached();
  };
  const keys = detachKeys === undefined ? undefined : new KeyFilter(parseDetachKeys(detachKeys, 'process.stdin'));
  const stdin = readOnly ? nowhere() : standardInput(connection, keys, leave);
  // Counted, so that whoever else waits for this process and has heard enough does not let Node end.
  void monitored.holding(monitored.firstClosed);
  // Of a container that is started again, this is the one process; the next has its own.
  void monitored.firstClosed.then(() => {
    connection.op('detach');
    flow.end();
    stdin.destroy();
  });
  connection.on('fact', fact => {
    if (fact.fact === 'behind') flow.fail(behind(id));
  });
  const process: Process = {
    id,
    pid,
    stdin,
    stdout,
    stderr,
    detached,
    async kill(signal: NodeJS.Signals = 'SIGTERM') {
      connection.op('kill', signalNumber(signal));
    },
    async resize({ columns, rows }) {
      connection.op('resize', rows, columns);
    },
    async wait(options: AbortOptions = {}) {
      const left = detached.then(() => {
        throw new InvalidStateError({
          call: 'process.wait',
          kind: 'process',
          ref: id.slice(0, 12),
          state: 'left running',
          expected: ['attached'],
          remedy: 'Wait for the container, or for container.execOf(id)',
        });
      });
      left.catch(() => {}); // It may be left later, when nobody waits.
      return abortable(Promise.race([endOf(monitored.firstExited), left]), options.signal);
    },
    async detach() {
      if (!hasLeft) leave();
    },
    async [Symbol.asyncDispose]() {
      if (hasLeft) return;
      if (onDispose === 'kill') {
        connection.op('kill', signalNumber('SIGKILL'));
        flow.discard();
        await monitored.closed;
      } else {
        connection.destroy();
      }
    },
  };
  return { process, flow };
}

function behind(id: string): InvalidStateError {
  return new InvalidStateError({
    call: 'container.attach',
    kind: 'container',
    ref: id.slice(0, 12),
    state: 'writing faster than this reader reads',
    expected: ['read'],
    remedy: 'It was let go after patienceMs, and the container goes on; its log has what came since',
  });
}

function nowhere(): Writable {
  const stream = new Writable({ write: (_chunk, _encoding, done) => done() });
  stream.end();
  return stream;
}
