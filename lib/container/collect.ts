import { Readable, Writable } from 'node:stream';

import { ExitError, type ExitStatus, type ProcessResult } from '../errors.js';
import type { Connection } from '../host/helper.js';
import type { Ended, MonitoredProcess } from '../runtime/monitor.js';
import { signalNumber } from '../runtime/signals.js';
import { onAborted } from '../util/abort.js';
import type { KeyFilter } from './detach-keys.js';
import type { ExecOptions } from './options.js';
import { statusOf } from './status.js';

/** The status, also of a process whose monitor was killed with it. */
export async function endOf(exited: Promise<Ended | undefined>): Promise<ExitStatus> {
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
  const sink = standardInput(connection);
  sink.on('error', () => {});
  source.on('error', () => connection.op('kill', signalNumber('SIGKILL')));
  source.pipe(sink);
}

/**
 * Writes to a process, as fast as it takes it.
 *
 * @param filter - Finds the keys that mean to leave; they and what follows are not passed on.
 */
export function standardInput(
  connection: Connection,
  filter?: Pick<KeyFilter, 'take'>,
  leave: () => void = () => {},
): Writable {
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
