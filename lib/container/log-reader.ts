import { SyscallError, type EngineError } from '../errors.js';
import type { Connection, Helper } from '../host/helper.js';
import { toSyscallError, type Fact } from '../host/job.js';
import { Plan } from '../host/plan.js';
import { onAborted } from '../util/abort.js';
import type { LogChunk, LogOptions } from './options.js';

/** Read ahead before the helper is held back, in bytes. */
const READ_AHEAD = 1 << 20;

/** Where a log is. */
export interface LogSource {
  readonly directory: string;
  /** Of the current file. */
  readonly name: string;
  readonly maxFiles: number;
  readonly driver: 'json-file' | 'local';
}

/** What is wanted of a log, and how. */
export interface LogRequest extends LogOptions {
  readonly call: string;
  /** Entries with all that is known of them, in place of the text alone. */
  readonly lines?: boolean;
  /** The time stands before each line, as `docker logs -t` shows it. */
  readonly timestamps?: boolean;
  /** Only what lies before this place, which the monitor told. */
  readonly upTo?: { readonly identity: string; readonly offset: string };
}

/** A log that can be read, and when nothing more comes. */
export interface OpenLog {
  readonly helper: Helper;
  readonly source: LogSource;
  /** Resolves when nothing more will be written than is in the log by then. */
  readonly ended: Promise<unknown>;
}

/**
 * Reads a log, over rotated files, oldest line first. It is the helper that reads: what Node can parse of such a file in a
 * second is half of what a container can write.
 */
export async function* readChunks(
  open: () => Promise<OpenLog>,
  request: LogRequest,
): AsyncGenerator<LogChunk, void, undefined> {
  request.signal?.throwIfAborted();
  const { helper, source, ended } = await open();
  const connection = await helper.send(planOf(source, request));
  const arrivals = new Arrivals(connection, request.call);
  const off = onAborted(request.signal, () => connection.destroy());
  if (request.follow === true) void ended.then(() => connection.op('end'));
  try {
    for (let taken = arrivals.take(); taken !== undefined; taken = arrivals.take()) {
      if (taken.length === 0) await arrivals.more();
      for (const chunk of taken) yield chunk;
    }
    request.signal?.throwIfAborted();
    arrivals.check();
  } finally {
    off();
    connection.destroy();
  }
}

function planOf(source: LogSource, request: LogRequest): Plan {
  const { follow, tail, since, until, stream, lines, timestamps, upTo, call } = request;
  if (tail !== undefined && (!Number.isSafeInteger(tail) || tail < 0))
    throw new TypeError(`${call}: tail: expected a number of lines, got ${String(tail)}`);
  const plan = new Plan()
    .op('mode', 'logs')
    .op('log-read', source.directory, source.name, source.maxFiles, source.driver);
  if (follow === true) plan.op('follow');
  if (tail !== undefined) plan.op('tail', tail);
  if (since !== undefined) plan.op('since', nanosOf(since));
  if (until !== undefined) plan.op('until', nanosOf(until, 999_999n));
  if (stream !== undefined) plan.op('stream', stream);
  if (lines === true) plan.op('lines');
  if (timestamps === true) plan.op('timestamps');
  if (upTo !== undefined) plan.op('upto', upTo.identity, upTo.offset);
  return plan;
}

/** A `Date` is a whole millisecond: its beginning, or with `more` its end. */
function nanosOf(time: Date | bigint, more = 0n): string {
  const nanos = typeof time === 'bigint' ? time : BigInt(Math.floor(time.getTime())) * 1_000_000n + more;
  // Unsigned in C; nothing was logged before 1970.
  return String(nanos < 0n ? 0n : nanos);
}

/** What has come and was not taken yet. */
class Arrivals {
  readonly #connection: Connection;
  readonly #call: string;
  #waiting: LogChunk[] = [];
  #length = 0;
  #closed = false;
  #done = false;
  #failure: EngineError | undefined;
  #wake = (): void => {};

  constructor(connection: Connection, call: string) {
    this.#connection = connection;
    this.#call = call;
    connection.on('stdout', bytes => this.#add({ stream: 'stdout', bytes }));
    connection.on('stderr', bytes => this.#add({ stream: 'stderr', bytes }));
    connection.on('fact', fact => this.#hear(fact));
    connection.on('close', () => {
      this.#closed = true;
      this.#wake();
    });
  }

  /** What has come; nothing, when it is for {@link more} to wait; `undefined` when that was all. */
  take(): readonly LogChunk[] | undefined {
    const taken = this.#waiting;
    if (taken.length === 0 && this.#closed) return undefined;
    if (this.#length > READ_AHEAD) this.#connection.resume();
    this.#waiting = [];
    this.#length = 0;
    return taken;
  }

  async more(): Promise<void> {
    await new Promise<void>(resolve => (this.#wake = resolve));
  }

  /** @throws when it ended before its end. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (!this.#done && !this.#connection.hungUp)
      throw new SyscallError({ call: this.#call, stage: 'logs', syscall: 'read', errno: 'EPIPE' });
  }

  #add(chunk: LogChunk): void {
    this.#waiting.push(chunk);
    this.#length += chunk.bytes.length;
    if (this.#length > READ_AHEAD) this.#connection.pause();
    this.#wake();
  }

  #hear(fact: Fact): void {
    if (fact.fact === 'done') this.#done = true;
    else if (fact.fact === 'error') this.#failure = toSyscallError(this.#call, fact);
  }
}
