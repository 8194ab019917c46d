import { Readable, Writable } from 'node:stream';

import { ExitError, type ExitStatus, type ProcessResult } from '../errors.js';
import type { Connection } from '../host/helper.js';
import type { Ended, MonitoredProcess } from '../runtime/monitor.js';
import { signalNumber } from '../runtime/signals.js';
import type { AbortOptions } from '../types.js';
import { abortable, onAborted } from '../util/abort.js';
import type { ExecOptions } from './options.js';
import { statusOf } from './status.js';

/** Read ahead per stream before the process is held back, in bytes. */
const READ_AHEAD = 1 << 20;

/** A process in a container, with its streams. */
export interface Process extends AsyncDisposable {
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
}

/** What disposing of a process does: kill it (`spawn`) or let go of it (`attach`). */
export type OnDispose = 'kill' | 'detach';

/** Makes streams of a conversation with a monitor. */
export function toProcess(monitored: MonitoredProcess, pid: number, onDispose: OnDispose): Process {
  const { connection } = monitored;
  const flow = new Flow(connection);
  const stdout = flow.readable('stdout');
  const stderr = flow.readable('stderr');
  const stdin = writable(connection);
  // Counted, so that whoever else waits for this process and has heard enough does not let Node end.
  void monitored.holding(monitored.firstClosed);
  // Of a container that is started again, this is the one process; the next has its own.
  void monitored.firstClosed.then(() => {
    flow.discard();
    connection.op('detach');
    stdout.push(null);
    stderr.push(null);
    stdin.destroy();
  });
  const process: Process = {
    pid,
    stdin,
    stdout,
    stderr,
    async kill(signal: NodeJS.Signals = 'SIGTERM') {
      connection.op('kill', signalNumber(signal));
    },
    async resize({ columns, rows }) {
      connection.op('resize', rows, columns);
    },
    async wait(options: AbortOptions = {}) {
      return abortable(endOf(monitored.firstExited), options.signal);
    },
    async [Symbol.asyncDispose]() {
      if (onDispose === 'kill') {
        connection.op('kill', signalNumber('SIGKILL'));
        flow.discard();
        await monitored.closed;
      } else {
        connection.destroy();
      }
    },
  };
  return process;
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

function writable(connection: Connection): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      if (connection.stdin(chunk)) done();
      else connection.once('drain', () => done());
    },
    final(done) {
      connection.closeStdin();
      done();
    },
  });
}

/** Two streams on one conversation: when one is full, both wait, as the process would on a full pipe. */
class Flow {
  readonly #connection: Connection;
  readonly #full = new Set<string>();
  #discarding = false;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  readable(name: 'stdout' | 'stderr'): Readable {
    const stream = new Readable({
      highWaterMark: READ_AHEAD,
      read: () => {
        this.#full.delete(name);
        if (this.#full.size === 0) this.#connection.resume();
      },
    });
    this.#connection.on(name, bytes => {
      if (this.#discarding || stream.destroyed || stream.push(bytes)) return;
      this.#full.add(name);
      this.#connection.pause();
    });
    return stream;
  }

  /** Nobody will read any more; what comes is dropped, so that the end is seen. */
  discard(): void {
    this.#discarding = true;
    this.#connection.resume();
  }
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
