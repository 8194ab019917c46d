import { InvalidStateError, NotFoundError, type ExitStatus } from '../errors.js';
import type { Helper } from '../host/helper.js';
import { joinMonitor, type MonitoredProcess } from '../runtime/monitor.js';
import { signalNumber } from '../runtime/signals.js';
import type { AbortOptions } from '../types.js';
import { abortable } from '../util/abort.js';
import { recordFile, readExec, type ExecInfo } from './exec-record.js';
import type { TerminalSize } from './options.js';

/** A further process in a container, found again by its id: by any process that opens the store. */
export class Exec {
  /** 64 hexadecimal digits. */
  readonly id: string;
  readonly #helper: Helper;
  readonly #file: string;

  /** @internal */
  constructor(helper: Helper, runDir: string, id: string) {
    this.id = id;
    this.#helper = helper;
    this.#file = recordFile(runDir, id);
  }

  /**
   * What is known of it now.
   *
   * @throws {@link NotFoundError} when it ended long ago, or its container is gone.
   */
  async inspect(options: AbortOptions = {}): Promise<ExecInfo> {
    options.signal?.throwIfAborted();
    return this.#info('exec.inspect');
  }

  /** Sends a signal, by name or number; `SIGTERM` if none is named. @throws {@link InvalidStateError} when it has ended. */
  async kill(signal: NodeJS.Signals | number = 'SIGTERM'): Promise<void> {
    const number = signalNumber(signal);
    await this.#tell('exec.kill', monitored => monitored.connection.op('kill', number));
  }

  /** Tells its terminal the size. Without one, nothing happens. @throws {@link InvalidStateError} when it has ended. */
  async resize({ columns, rows }: TerminalSize): Promise<void> {
    await this.#tell('exec.resize', monitored => monitored.connection.op('resize', rows, columns));
  }

  /** Resolves when it has ended. A failure is a value here. */
  async wait(options: AbortOptions = {}): Promise<ExitStatus> {
    options.signal?.throwIfAborted();
    const monitored = await this.#join();
    if (monitored !== undefined) {
      try {
        await abortable(monitored.holding(monitored.closed), options.signal);
      } finally {
        monitored.connection.destroy();
      }
    }
    const { exit } = this.#info('exec.wait');
    if (exit !== undefined) return exit;
    throw new InvalidStateError({
      call: 'exec.wait',
      kind: 'process',
      ref: this.id.slice(0, 12),
      state: 'running, but not to be reached',
      expected: ['exited'],
    });
  }

  async #tell(call: string, say: (monitored: MonitoredProcess) => void): Promise<void> {
    const monitored = await this.#join();
    if (monitored === undefined) {
      const state = this.#info(call).running ? 'running, but not to be reached' : 'exited';
      throw new InvalidStateError({
        call,
        kind: 'process',
        ref: this.id.slice(0, 12),
        state,
        expected: ['running'],
      });
    }
    say(monitored);
    monitored.connection.end();
  }

  async #join(): Promise<MonitoredProcess | undefined> {
    return joinMonitor(this.#helper, `${this.#file}.sock`);
  }

  #info(call: string): ExecInfo {
    const info = readExec(this.#file);
    if (info !== undefined) return info;
    throw new NotFoundError({
      call,
      kind: 'process',
      ref: this.id.slice(0, 12),
      remedy: 'It ended long ago, or its container is gone',
    });
  }
}
