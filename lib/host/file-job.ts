import { spawn, type StdioOptions } from 'node:child_process';
import { PassThrough, type Readable, type Writable } from 'node:stream';

import { SyscallError } from '../errors.js';
import { onAborted } from '../util/abort.js';
import { helperPath } from './binary.js';
import { toSyscallError, type Fact } from './job.js';
import type { Plan } from './plan.js';

/**
 * Where a stream of the helper comes from or goes to: `lend` is a pipe that is to be another's stdin, and must be given on
 * at once; any other stream must have a descriptor of its own.
 */
export type Channel = 'ignore' | 'pipe' | 'lend' | number | Readable | Writable;

export interface FileJobOptions {
  readonly signal?: AbortSignal | undefined;
  /** The user's call, for messages. */
  readonly call: string;
  readonly stdin?: Channel;
  readonly stdout?: Channel;
  /** `files`, or `layer` for making one. @defaultValue `'files'` */
  readonly mode?: 'files' | 'layer';
  /** What a failure is thrown as. Default: {@link toSyscallError}. */
  readonly explain?: (fact: Fact) => Error;
}

/** The helper at work on files. */
export interface FileJob {
  /** There when `stdin` is `'pipe'`. */
  readonly stdin: Writable | undefined;
  /** There when `stdout` is `'pipe'` or `'lend'`. */
  readonly stdout: Readable | undefined;
  /** Resolves when it is where it works and can be fed; rejects as `done` does. */
  readonly ready: Promise<void>;
  /** Resolves with all facts when it has ended well. */
  readonly done: Promise<Fact[]>;
  /** Kills it. */
  kill(): void;
}

/**
 * Starts the helper on one job of mode `files`, as a process of its own, whose standard streams are for content. It is
 * killed when the signal fires.
 */
export function startFileJob(plan: Plan, options: FileJobOptions): FileJob {
  const { call, signal, mode = 'files' } = options;
  signal?.throwIfAborted();
  const out = options.stdout === 'lend' ? 'pipe' : (options.stdout ?? 'ignore');
  const stdio = [options.stdin ?? 'ignore', out, 'pipe', 'pipe', 'pipe'] as StdioOptions;
  const child = spawn(helperPath(), [mode], { stdio, env: {} });
  const [stdin, stdout, stderr, wire, said] = child.stdio as unknown as [
    Writable | null,
    Readable | null,
    Readable,
    Writable,
    Readable,
  ];
  // A helper that failed early closes its ends; its fact says why, EPIPE would only hide it.
  for (const stream of [stdin, wire]) stream?.on('error', () => {});
  wire.end(plan.encode());
  let [text, complaint] = ['', ''];
  let onReady = (): void => {};
  const isReady = new Promise<void>(resolve => (onReady = resolve));
  said.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    if (text.startsWith('{"fact":"ready"}\n')) onReady();
  });
  stderr.setEncoding('utf8').on('data', (chunk: string) => (complaint = (complaint + chunk).slice(-4000)));
  const off = onAborted(signal, () => child.kill('SIGKILL'));
  const ended = new Promise<{ readonly code: number | null; readonly killed: string | null }>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, killed) => resolve({ code, killed }));
  });
  const told = new Promise<void>(resolve => said.on('close', resolve));
  // Not `close` of the child: what it wrote may be waiting for a slow reader, who wants to know how it went.
  const done = Promise.all([ended, told]).then(([{ code, killed }]) => {
    off();
    signal?.throwIfAborted();
    const facts = text.split('\n').flatMap(line => (line === '' ? [] : [JSON.parse(line) as Fact]));
    const error = facts.find(({ fact }) => fact === 'error');
    if (error !== undefined) throw options.explain?.(error) ?? toSyscallError(call, error);
    if (code === 0) return facts;
    const errno = killed ?? `status ${code}`;
    throw new SyscallError({ call, stage: mode, syscall: 'exit', errno, path: complaint.trim() });
  });
  done.catch(() => off()); // Awaited by the caller, perhaps after it has written.
  const ready = Promise.race([isReady, done.then(() => {})]);
  ready.catch(() => {}); // For who asks.
  const kill = (): void => void child.kill('SIGKILL');
  return {
    stdin: stdin ?? undefined,
    stdout: options.stdout === 'pipe' ? kept(stdout) : (stdout ?? undefined),
    ready,
    done,
    kill,
  };
}

/** Runs a job that has no content to its end. */
export async function runFileJob(plan: Plan, options: FileJobOptions): Promise<Fact[]> {
  return startFileJob(plan, options).done;
}

/** Node throws away what a child that has ended wrote, unless somebody reads it by then. */
function kept(stdout: Readable | null): Readable | undefined {
  if (stdout === null) return undefined;
  const through = new PassThrough({ highWaterMark: 1 << 20 });
  stdout.on('error', error => through.destroy(error));
  // Whoever stops reading lets the child know.
  through.on('close', () => stdout.destroy());
  return stdout.pipe(through);
}
