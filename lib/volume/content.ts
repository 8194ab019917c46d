import { chmodSync, chownSync, mkdirSync, readdirSync, renameSync, statSync, utimesSync } from 'node:fs';
import { PassThrough, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import type { Transfer } from '../host/file-transfer.js';
import { Plan } from '../host/plan.js';
import type { AbortOptions } from '../types.js';

/** A tar archive of a directory: what is in it, with owners, modes, times and attributes, by a helper that cannot leave it. */
export function exportContent(directory: () => string, call: string, { signal }: AbortOptions): Readable {
  const out = new PassThrough({ highWaterMark: 1 << 20 });
  void write(out, directory, { call, signal }).catch((error: unknown) => out.destroy(error as Error));
  return out;
}

async function write(out: PassThrough, directory: () => string, { call, signal }: Transfer): Promise<void> {
  // Whoever stops reading ends it.
  const left = new AbortController();
  out.once('close', () => left.abort());
  const both = signal === undefined ? left.signal : AbortSignal.any([signal, left.signal]);
  const [{ startFileJob }, { explainFiles }] = await Promise.all([
    import('../host/file-job.js'),
    import('../host/file-errors.js'),
  ]);
  const job = startFileJob(reading(directory()), { call, signal: both, stdout: 'pipe', explain: explainFiles(call) });
  await job.ready;
  await pipeline(job.stdout as Readable, out, { end: false });
  await job.done;
  out.end();
}

/** Unpacks an archive, compressed or not, over what a directory has. */
export async function importContent(
  directory: string,
  source: Readable | AsyncIterable<Uint8Array>,
  transfer: Transfer,
): Promise<void> {
  const { feedArchive } = await import('../host/file-transfer.js');
  const archive = source instanceof Readable ? source : Readable.from(source);
  await feedArchive(writing(directory), archive, transfer);
}

/** Copies what is in one directory to another, which is empty. */
export async function copyContent(from: string, to: string, transfer: Transfer): Promise<void> {
  const { pipeArchive } = await import('../host/file-transfer.js');
  await pipeArchive(reading(from), writing(to), transfer);
  adoptAttributes(to, from);
}

/** Gives a directory the owner, the mode and the time of another: an archive says nothing of where it is unpacked. */
export function adoptAttributes(directory: string, from: string): void {
  const { uid, gid, mode, atime, mtime } = statSync(from);
  chownSync(directory, uid, gid);
  chmodSync(directory, mode & 0o7777);
  utimesSync(directory, atime, mtime);
}

function reading(directory: string): Plan {
  return new Plan().op('target', directory).op('archive', '/.', '.');
}

function writing(directory: string): Plan {
  return new Plan().op('target', directory).op('extract', '.', 'keep');
}

/**
 * Has an empty directory filled beside where it is to be and then put in its place: a kill in between leaves it empty, never
 * half full. One that somebody looks at already is filled where it is.
 */
export async function fillDirectory(
  directory: string,
  options: { readonly aside: string; readonly inPlace: boolean; readonly discard: (path: string) => unknown },
  fill: (directory: string) => Promise<void>,
): Promise<void> {
  if (options.inPlace) return fill(directory);
  options.discard(options.aside);
  mkdirSync(options.aside, { mode: 0o755 });
  try {
    await fill(options.aside);
    renameSync(options.aside, directory);
  } catch (error) {
    options.discard(options.aside);
    throw error;
  }
}

/** Whether there is nothing in it. */
export function isEmpty(directory: string): boolean {
  return readdirSync(directory).length === 0;
}
