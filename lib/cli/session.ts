import { constants } from 'node:os';

import type { Engine } from '../engine.js';
import type { EngineError } from '../errors.js';
import type { Globals } from './command.js';
import { PROGRAM } from './help.js';
import { UsageError } from './usage-error.js';

/** The user pressed Ctrl-C, or somebody asked this process to end. */
export class Interrupted {
  readonly exitCode: number;

  constructor(signal: NodeJS.Signals) {
    this.exitCode = 128 + constants.signals[signal];
  }
}

/** An engine for the time of one command. */
export interface Session {
  readonly engine: Engine;
  /** Fires with {@link Interrupted}. */
  readonly signal: AbortSignal;
  /** From now on signals are the command's own affair. */
  letSignalsGo(): void;
}

/** Opens the engine, has the work done, and closes it whatever happens. */
export async function withEngine<T>(globals: Globals, work: (session: Session) => Promise<T>): Promise<T> {
  const interrupt = new Interrupt();
  const { Engine } = await import('../engine.js');
  await using engine = await Engine.open({
    ...(globals.root === undefined ? {} : { root: globals.root }),
    ...(globals.runRoot === undefined ? {} : { runRoot: globals.runRoot }),
    logger: { debug: nothing, info: nothing, warn: warnOf(globals), error: warnOf(globals) },
  });
  try {
    return await work({ engine, signal: interrupt.signal, letSignalsGo: () => interrupt.off() });
  } finally {
    interrupt.off();
  }
}

/** Runs a command and turns what it throws into a message and an exit code. */
export async function supervise(request: {
  readonly run: () => Promise<number>;
  readonly debug: boolean;
  readonly failure: number;
}): Promise<number> {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', error => leaveQuietly(stream, error));
  try {
    return await request.run();
  } catch (error) {
    if (error instanceof Interrupted) return error.exitCode;
    complain(error, request.debug);
    return exitCodeOf(error, request.failure);
  }
}

/** Says on standard error what went wrong. */
export function complain(error: unknown, debug: boolean): void {
  const { message, stack } = error as Partial<EngineError>;
  if (error instanceof UsageError) process.stderr.write(`${PROGRAM}: ${error.message}\n`);
  else process.stderr.write(`${PROGRAM}: ${(debug ? stack : undefined) ?? message ?? String(error)}\n`);
}

/** A command on several things goes on after one that fails, as Docker's do. Resolves with the exit code. */
export async function eachOf(
  refs: readonly string[],
  globals: Globals,
  work: (ref: string) => Promise<string | undefined>,
): Promise<number> {
  let exitCode = 0;
  for (const ref of refs) {
    try {
      const line = await work(ref);
      if (line !== undefined) print(line);
    } catch (error) {
      if (error instanceof Interrupted) throw error;
      complain(error, globals.debug);
      exitCode = 1;
    }
  }
  return exitCode;
}

/** One line on standard output. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function exitCodeOf(error: unknown, failure: number): number {
  // Of a usage error and of a start that failed: what Docker's CLI exits with.
  const { exitCode } = error as { exitCode?: unknown };
  return typeof exitCode === 'number' && exitCode !== 0 ? exitCode : failure;
}

function warnOf({ debug }: Globals): (fields: object, message: string) => void {
  return (fields, message) => {
    process.stderr.write(`WARNING: ${message}\n`);
    const { error } = fields as { error?: Partial<EngineError> };
    if (debug && error?.stack !== undefined) process.stderr.write(`${error.stack}\n`);
  };
}

function nothing(): void {}

/** Whoever read our output has gone: to go on would be to talk to nobody. A program in C would have died of SIGPIPE. */
function leaveQuietly(stream: NodeJS.WriteStream, error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
  // A command with something to clean up listens itself.
  if (stream.listenerCount('error') === 1) process.exit(new Interrupted('SIGPIPE').exitCode);
}

const endings = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

class Interrupt {
  readonly #controller = new AbortController();
  readonly #listener = (signal: NodeJS.Signals): void => {
    // The second one is not waited for.
    this.off();
    this.#controller.abort(new Interrupted(signal));
  };

  constructor() {
    for (const signal of endings) process.on(signal, this.#listener);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  off(): void {
    for (const signal of endings) process.off(signal, this.#listener);
  }
}
