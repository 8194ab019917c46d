import type { Readable } from 'node:stream';

import type { Process } from '../container/process.js';
import type { ExitStatus } from '../errors.js';
import { signalNumber } from '../runtime/signals.js';
import { Interrupted } from './session.js';
import { rawMode, currentSize } from './terminal.js';

/** Which streams are connected, and how. */
export interface Streams {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** The process has a terminal. */
  readonly tty: boolean;
  /** Signals that this program gets go to the process. */
  readonly proxySignals: boolean;
  /** Its standard input ends with ours; else others can still write to it. */
  readonly endsInput: boolean;
}

/** How a conversation ended: with the process, or the user left. */
export type Outcome = ExitStatus | 'detached';

const proxied = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2', 'SIGALRM', 'SIGCONT'] as const;

/**
 * Connects a process in a container with the terminal, or the pipes, of this one until it has ended and its last byte is
 * written, or until the user leaves. `started` is waited for before the process is told anything; its failure is ours.
 */
export async function converse(
  inside: Process,
  streams: Streams,
  started: Promise<unknown> = Promise.resolve(),
): Promise<Outcome> {
  const undo: (() => void)[] = [];
  // Before the first byte of output: what is typed in answer to it is for the process.
  if (streams.stdin && streams.tty) undo.push(rawMode());
  const drained = Promise.all([
    forward(inside.stdout, streams.stdout && process.stdout),
    forward(inside.stderr, streams.stderr && process.stderr),
  ]);
  drained.catch(() => {}); // Heard of below, once it has started.
  try {
    // At once: a signal that comes before it has started is for it as well.
    if (streams.proxySignals) undo.push(proxySignals(inside, started));
    await started;
    undo.push(...connect(inside, streams));
    const left = inside.detached.then(() => 'detached' as const);
    return await Promise.race([left, ended(inside, drained)]);
  } finally {
    for (const each of undo) each();
  }
}

/** What the process of this program exits with. */
export function exitCodeOf(outcome: Outcome): number {
  if (outcome === 'detached') return 0;
  return outcome.exitCode ?? 128 + signalNumber(outcome.signal ?? 'SIGKILL');
}

async function ended(inside: Process, drained: Promise<unknown>): Promise<ExitStatus> {
  const over = Promise.all([inside.wait(), drained]);
  over.catch(() => {}); // It was left, and nobody waits any more.
  const [status] = await over;
  return status;
}

/**
 * Resolves when the last byte was handed on, and fails when there is nobody to hand it to any more. What nobody wants is
 * read all the same: it would hold the process back.
 */
function forward(from: Readable, to: NodeJS.WriteStream | false): Promise<void> {
  return new Promise((resolve, reject) => {
    from.once('close', resolve);
    if (to === false) {
      from.resume();
      return;
    }
    from.pipe(to, { end: false });
    to.once('error', () => {
      // What still comes must be read, or the end of it would not be seen.
      from.resume();
      reject(new Interrupted('SIGPIPE'));
    });
  });
}

function connect(inside: Process, streams: Streams): (() => void)[] {
  return [...(streams.tty ? [followSize(inside)] : []), ...(streams.stdin ? [forwardInput(inside, streams)] : [])];
}

function proxySignals(inside: Process, started: Promise<unknown>): () => void {
  const listener = (signal: NodeJS.Signals): void => {
    started.then(
      () => inside.kill(signal),
      () => {}, // Whoever waits for the start hears why there was none.
    );
  };
  for (const signal of proxied) process.on(signal, listener);
  return () => {
    for (const signal of proxied) process.off(signal, listener);
  };
}

function followSize(inside: Process): () => void {
  const listener = (): void => {
    const size = currentSize();
    if (size !== undefined) void inside.resize(size);
  };
  listener();
  process.stdout.on('resize', listener);
  return () => void process.stdout.off('resize', listener);
}

function forwardInput(inside: Process, { endsInput }: Streams): () => void {
  const { stdin } = process;
  // It may end at any moment, and then its input is nobody's any more.
  inside.stdin.on('error', () => stdin.unpipe());
  stdin.pipe(inside.stdin, { end: endsInput });
  return () => {
    stdin.unpipe();
    stdin.pause();
  };
}
