import { Readable, Writable } from 'node:stream';

import { ExitError, InvalidStateError, type ExitStatus, type ProcessResult } from '../errors.js';
import type { Connection } from '../host/helper.js';
import type { Ended, MonitoredProcess } from '../runtime/monitor.js';
import { signalNumber } from '../runtime/signals.js';
import type { AbortOptions } from '../types.js';
import { abortable, onAborted } from '../util/abort.js';
import { KeyFilter, parseDetachKeys } from './detach-keys.js';
import { Flow } from './flow.js';
import type { ExecOptions } from './options.js';
import { statusOf } from './status.js';

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
  const keys = detachKeys === undefined ? undefined : parseDetachKeys(detachKeys, 'process.stdin');
  const stdin = readOnly ? nowhere() : writable(connection, keys, leave);
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

/** The status, also of a process whose monitor was killed with it. */
async function endOf(exited: Promise<Ended | undefined>): Promise<ExitStatus> {
  return statusOf(await exited);
}

/**
 * Feeds and reads a process to its end.
 *
 * @throws {@link ExitError} when it failed, unless `reject` is `false`.
 * @throws the signal's reason, after the process was killed and has ended.
 */
export async function collect(
  monitored: MonitoredProcess,
  command: readonly string[],
  call: string,
  options: Pick<ExecOptions, 'input' | 'reject' | 'maxOutputBytes' | 'signal'>,
): Promise<ProcessResult> {
  const { connection } = monitored;
  const stdout = new Collector(options.maxOutputBytes);
  const stderr = new Collector(options.maxOutputBytes);
  connection.on('stdout', bytes => stdout.add(bytes));
  connection.on('stderr', bytes => stderr.add(bytes));
  const off = onAborted(options.signal, () => connection.op('kill', signalNumber('SIGKILL')));
  try {
    await monitored.holding(monitored.started);
    if (options.input !== undefined) feed(connection, options.input);
    const status = await monitored.holding(endOf(monitored.exited));
    await monitored.holding(monitored.closed);
    options.signal?.throwIfAborted();
    const result: ProcessResult = {
      command,
      ...status,
      stdout: stdout.text(),
      stderr: stderr.text(),
      truncated: stdout.truncated || stderr.truncated,
    };
    if (status.exitCode !== 0 && options.reject !== false) throw new ExitError(call, result);
    return result;
  } finally {
    off();
  }
}

/** Writes the input, as fast as it is taken, then closes. An input that breaks off kills the process: half of it is not what was meant. */
function feed(connection: Connection, input: string | Uint8Array | Readable): void {
  const source = typeof input === 'string' || input instanceof Uint8Array ? Readable.from([Buffer.from(input)]) : input;
  const sink = writable(connection);
  sink.on('error', () => {});
  source.on('error', () => connection.op('kill', signalNumber('SIGKILL')));
  source.pipe(sink);
}

/** @param keys - Those that mean to leave; they and what follows are not passed on. */
function writable(connection: Connection, keys?: Buffer, leave: () => void = () => {}): Writable {
  const filter = keys === undefined ? undefined : new KeyFilter(keys);
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      const { passed, left } = filter?.take(chunk) ?? { passed: chunk, left: false };
      const isTaken = connection.stdin(passed);
      if (left) leave();
      if (left || isTaken) done();
      else connection.once('drain', () => done());
    },
    final(done) {
      connection.closeStdin();
      done();
    },
  });
}

function nowhere(): Writable {
  const stream = new Writable({ write: (_chunk, _encoding, done) => done() });
  stream.end();
  return stream;
}

class Collector {
  readonly #chunks: Buffer[] = [];
  readonly #limit: number;
  #length = 0;
  truncated = false;

  constructor(limit = 10_485_760) {
    this.#limit = limit;
  }

  add(bytes: Buffer): void {
    const kept = bytes.subarray(0, this.#limit - this.#length);
    this.truncated ||= kept.length < bytes.length;
    // A copy: a slice would keep the whole buffer that it came in.
    if (kept.length > 0) this.#chunks.push(Buffer.from(kept));
    this.#length += kept.length;
  }

  text(): string {
    return Buffer.concat(this.#chunks, this.#length).toString('utf8');
  }
}
