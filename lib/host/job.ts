import { spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';

import { SyscallError } from '../errors.js';
import { onAborted } from '../util/abort.js';
import { helperPath } from './binary.js';
import type { Plan } from './plan.js';

/** One line from the helper: what happened, in its words. */
export interface Fact {
  readonly fact: string;
  readonly [key: string]: unknown;
}

export interface JobOptions {
  readonly signal?: AbortSignal | undefined;
  /** The user's call, for error messages. */
  readonly call?: string;
  /** Called with each fact as it comes. */
  readonly onFact?: (fact: Fact) => void;
}

/** A helper at work: write to `stdin` if the mode reads it, and await `done`. */
export interface Job {
  readonly stdin: Writable;
  /** Resolves with all facts when the helper has ended well; rejects with the {@link SyscallError} it reported. */
  readonly done: Promise<Fact[]>;
}

/** Starts a mode of the helper as a process of its own. It is killed when the signal fires. */
export function startJob(mode: string, plan: Plan, options: JobOptions = {}): Job {
  const call = options.call ?? `helper ${mode}`;
  options.signal?.throwIfAborted();
  const child = spawn(helperPath(), [mode], { stdio: ['pipe', 'pipe', 'pipe', 'pipe'], env: {} });
  const [stdin, stdout, stderr, wire] = child.stdio as unknown as [Writable, Readable, Readable, Writable];
  // A helper that failed early closes its ends; its fact says why, EPIPE would only hide it.
  wire.on('error', () => {});
  stdin.on('error', () => {});
  wire.end(plan.encode());

  const facts: Fact[] = [];
  let complaint = '';
  eachLine(stdout, line => {
    const fact = JSON.parse(line) as Fact;
    facts.push(fact);
    options.onFact?.(fact);
  });
  stderr.setEncoding('utf8').on('data', (text: string) => (complaint = (complaint + text).slice(-4000)));
  const off = onAborted(options.signal, () => child.kill('SIGKILL'));

  const done = new Promise<Fact[]>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      off();
      if (options.signal?.aborted) return reject(options.signal.reason as Error);
      const error = facts.find(fact => fact.fact === 'error');
      if (error !== undefined) return reject(toSyscallError(call, error));
      if (code === 0) return resolve(facts);
      reject(
        new SyscallError({
          call,
          stage: mode,
          syscall: 'exit',
          errno: signal ?? `status ${code}`,
          path: complaint.trim(),
        }),
      );
    });
  });
  // The caller may still be writing when it fails; it awaits `done` in the end.
  done.catch(() => {});
  return { stdin, done };
}

/** Runs a mode of the helper to its end. */
export async function runJob(
  mode: string,
  plan: Plan,
  options: JobOptions & { readonly stdin?: Readable } = {},
): Promise<Fact[]> {
  const job = startJob(mode, plan, options);
  if (options.stdin === undefined) job.stdin.end();
  else options.stdin.pipe(job.stdin);
  return job.done;
}

/** The helper's error fact as what the library throws. */
export function toSyscallError(call: string, fact: Fact, remedy?: string): SyscallError {
  return new SyscallError({
    call,
    stage: String(fact['stage'] ?? 'helper'),
    syscall: String(fact['syscall'] ?? 'unknown'),
    errno: String(fact['errno'] ?? 'EUNKNOWN'),
    path: String(fact['path'] ?? ''),
    ...(remedy === undefined ? {} : { remedy }),
  });
}

function eachLine(stream: Readable, onLine: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  });
}
