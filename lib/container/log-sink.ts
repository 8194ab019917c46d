import type { Writable } from 'node:stream';

import { InvalidStateError } from '../errors.js';
import type { MonitoredProcess } from '../runtime/monitor.js';
import type { LogOptionsOnCreate } from './options.js';
import type { ContainerRecord } from './record.js';

/** Where the output of containers with log driver `stream` goes: to streams of the process that created them. */
export class LogSinks {
  readonly #sinks = new Map<string, { readonly stdout: Writable; readonly stderr: Writable }>();

  add({ id }: ContainerRecord, log: LogOptionsOnCreate | undefined): void {
    if (log?.driver === 'stream') this.#sinks.set(id, { stdout: log.stdout, stderr: log.stderr ?? log.stdout });
  }

  /** @throws {@link InvalidStateError} in a process that has not created it. */
  check(record: ContainerRecord, call: string): void {
    if (record.config.log.driver !== 'stream' || this.#sinks.has(record.id)) return;
    throw new InvalidStateError({
      call,
      kind: 'container',
      ref: record.name,
      state: 'created by another process, with log driver stream',
      expected: ['started by the process whose stream it is'],
    });
  }

  /** Hands on what comes, from the first byte. A stream that is full holds the container back. */
  connect({ id }: ContainerRecord, { connection, closed }: MonitoredProcess): void {
    const sink = this.#sinks.get(id);
    if (sink === undefined) return;
    const full = new Set<Writable>();
    const write = (to: Writable, bytes: Buffer): void => {
      // One that is broken or ended takes nothing more, which is its owner's affair, not the container's.
      if (to.destroyed || to.writableEnded || to.write(bytes) || full.has(to)) return;
      full.add(to);
      connection.pause();
      const resume = (): void => {
        full.delete(to);
        to.off('drain', resume).off('close', resume);
        if (full.size === 0) connection.resume();
      };
      to.on('drain', resume).on('close', resume);
    };
    connection.on('stdout', bytes => write(sink.stdout, bytes));
    connection.on('stderr', bytes => write(sink.stderr, bytes));
    void closed.then(() => full.clear());
  }

  forget(id: string): void {
    this.#sinks.delete(id);
  }
}
