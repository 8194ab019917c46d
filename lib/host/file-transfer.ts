import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { decompress } from '../archive/compression.js';
import { SyscallError } from '../errors.js';
import { explainFiles } from './file-errors.js';
import { startFileJob, type FileJob } from './file-job.js';
import type { Fact } from './job.js';
import type { Plan } from './plan.js';

/** What was copied. */
export interface CopyReport {
  readonly entries: number;
  /** Of the files in it. */
  readonly bytes: number;
}

/** On whose behalf. */
export interface Transfer {
  readonly call: string;
  readonly signal?: AbortSignal | undefined;
}

/** One helper writes the archive, another unpacks it: nothing of it passes through this process. */
export async function pipeArchive(read: Plan, write: Plan, { call, signal }: Transfer): Promise<CopyReport> {
  const explain = explainFiles(call);
  const reader = startFileJob(read, { call, signal, stdout: 'lend', explain });
  const pipe = reader.stdout as Readable;
  let writer: FileJob;
  try {
    writer = startFileJob(write, { call, signal, stdin: pipe, explain });
  } catch (error) {
    reader.kill();
    throw error;
  }
  // Ours was only lent: while we held it, a writer that gave up would not be noticed.
  pipe.destroy();
  const [wrote, made] = await Promise.allSettled([
    writer.done.catch((error: unknown) => gaveUp(reader, error)),
    reader.done,
  ]);
  signal?.throwIfAborted();
  // A reader that stopped early makes the writer fail too, and the other way round: the first cause is what counts.
  if (made.status === 'rejected' && !isBrokenPipe(made.reason)) throw made.reason;
  if (wrote.status === 'rejected') throw wrote.reason;
  if (made.status === 'rejected') throw made.reason;
  return report(made.value);
}

function gaveUp(reader: FileJob, error: unknown): never {
  // What it has said by now is a cause; that it was killed is not.
  setImmediate(() => reader.kill());
  throw error;
}

function isBrokenPipe(error: unknown): boolean {
  return error instanceof SyscallError && (error.stage === 'archive-write' || error.syscall === 'exit');
}

/** Unpacks an archive, compressed or not, by a helper. */
export async function feedArchive(plan: Plan, archive: Readable, { call, signal }: Transfer): Promise<CopyReport> {
  const job = startFileJob(plan, { call, signal, stdin: 'pipe', explain: explainFiles(call) });
  await job.ready;
  const plain = decompress(archive, { call, source: 'the archive', ...(signal && { signal }) });
  let failure: { readonly reason: unknown } | undefined;
  pipeline(plain, job.stdin as Writable).catch((reason: unknown) => {
    failure = { reason };
    job.kill();
  });
  try {
    return report(await job.done);
  } catch (error) {
    signal?.throwIfAborted();
    // What was read from failed, and so the archive ended early. A helper that refuses it closes the pipe instead.
    const killed = error instanceof SyscallError && error.syscall === 'exit';
    throw killed && failure !== undefined ? failure.reason : error;
  } finally {
    // A source that has nothing to say does not notice that nobody listens any more: it is not waited for.
    archive.destroy();
  }
}

/** Writes what a helper archives to the caller's stream, which stays open. */
export async function drainArchive(plan: Plan, target: Writable, { call, signal }: Transfer): Promise<CopyReport> {
  const job = startFileJob(plan, { call, signal, stdout: 'pipe', explain: explainFiles(call) });
  await job.ready;
  // The target is the caller's: it is not ended, since more may be to come.
  const [drained, done] = await Promise.allSettled([
    pipeline(job.stdout as Readable, target, { end: false, ...(signal && { signal }) }).catch((error: unknown) =>
      gaveUp(job, error),
    ),
    job.done,
  ]);
  signal?.throwIfAborted();
  if (done.status === 'rejected' && !isBrokenPipe(done.reason)) throw done.reason;
  if (drained.status === 'rejected') throw drained.reason;
  if (done.status === 'rejected') throw done.reason;
  return report(done.value);
}

function report(facts: readonly Fact[]): CopyReport {
  const done = facts.find(({ fact }) => fact === 'done');
  return { entries: Number(done?.['entries'] ?? 0), bytes: Number(done?.['bytes'] ?? 0) };
}
