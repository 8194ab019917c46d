import { lstatSync, readlinkSync, realpathSync, statSync, type Stats } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { decompress } from '../archive/compression.js';
import { ConflictError, NotFoundError, SyscallError, errorCode } from '../errors.js';
import { startFileJob, type FileJob } from '../host/file-job.js';
import type { Fact } from '../host/job.js';
import { Plan } from '../host/plan.js';
import type { AbortOptions } from '../types.js';
import { explainFiles } from './copy-errors.js';
import {
  assertsDirectory,
  cleanPath,
  containerPath,
  linkTarget,
  planCopy,
  specifiesCurrent,
  splitPath,
} from './copy-paths.js';
import type { CopyEnd } from './copy-paths.js';
import { statFile, type FileStat } from './fs-stat.js';
import { userOf } from './spec.js';
import { inView, type FilesOf } from './view.js';

/** How files are copied into a container. */
export interface CopyInOptions extends AbortOptions {
  /**
   * Whose the copies are: `'source'` keeps the numbers of user and group; `'user'` is the one that the container runs as.
   *
   * @defaultValue `'source'`, as Docker
   */
  readonly owner?: 'source' | 'user' | { readonly uid: number; readonly gid: number };
  /** Of a source that is a symbolic link: what it leads to, and not the link. @defaultValue `false` */
  readonly followLink?: boolean;
}

/** How files are copied out of a container. */
export interface CopyOutOptions extends AbortOptions {
  /** Whose the copies are: this process's user, or the numbers that they have inside. @defaultValue `'self'`, as Docker */
  readonly owner?: 'self' | 'source';
  /** Of a source that is a symbolic link: what it leads to, and not the link. @defaultValue `false` */
  readonly followLink?: boolean;
}

/** What was copied. */
export interface CopyReport {
  readonly entries: number;
  /** Of the files in it. */
  readonly bytes: number;
}

const MAX_LINKS = 40;

/** See `Container.copyIn`. */
export async function copyIn(
  of: FilesOf,
  source: string | Uint8Array | Readable,
  target: string,
  options: CopyInOptions,
): Promise<CopyReport> {
  const call = 'container.copyIn';
  const { signal } = options;
  signal?.throwIfAborted();
  checkPath(call, target);
  const owners = ownersIn(of, options.owner ?? 'source', call);
  const destination = await destinationIn(of, containerPath(target), { call, signal });
  if (typeof source !== 'string') {
    if (!destination.isDirectory) throw notDirectory(call, of, target);
    const archive = source instanceof Readable ? source : Readable.from([Buffer.from(source)]);
    return inView(of, { call, signal, access: 'write', mounts: true }, plan =>
      feedArchive(plan.op('extract', destination.path, owners), archive, { call, signal }),
    );
  }
  const from = hostSource(source, options.followLink === true, call);
  const move = planCopy(from, destination);
  if ('refused' in move) throw refusal(call, target, move.refused);
  return inView(of, { call, signal, access: 'write', mounts: true }, plan =>
    pipeJobs(new Plan().op('archive', from.read, move.name), plan.op('extract', move.directory, owners), {
      call,
      signal,
    }),
  );
}

/** See `Container.copyOut`. */
export async function copyOut(
  of: FilesOf,
  source: string,
  target: string | Writable,
  options: CopyOutOptions,
): Promise<CopyReport> {
  const call = 'container.copyOut';
  const { signal } = options;
  signal?.throwIfAborted();
  checkPath(call, source);
  const given = containerPath(source);
  const from = await sourceIn(of, given, options.followLink === true, { call, signal });
  const name = splitPath(given).base || '.';
  const view = { call, signal, access: 'read', mounts: true } as const;
  if (typeof target !== 'string') {
    return inView(of, view, plan => drainArchive(plan.op('archive', from.path, name), target, { call, signal }));
  }
  const move = planCopy({ ...from, name }, hostDestination(target, call));
  if ('refused' in move) throw refusal(call, target, move.refused);
  const owners = options.owner === 'source' ? 'keep' : 'ignore';
  return inView(of, view, plan =>
    pipeJobs(
      plan.op('archive', from.path, move.name),
      new Plan().op('target', move.directory).op('extract', '.', owners),
      {
        call,
        signal,
      },
    ),
  );
}

// ── inside ──────────────────────────────────────────────────────────────────

interface Calling {
  readonly call: string;
  readonly signal: AbortSignal | undefined;
}

async function tryStat(of: FilesOf, path: string, options: Calling): Promise<FileStat | undefined> {
  try {
    return await statFile(of, path, { ...options, follow: false });
  } catch (error) {
    if (error instanceof SyscallError && (error.errno === 'ENOENT' || error.errno === 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** Where a path leads: links are followed by hand, since the path is what is archived in the end. */
async function follow(
  of: FilesOf,
  path: string,
  options: Calling,
): Promise<{ path: string; stat: FileStat | undefined }> {
  let at = path;
  for (let links = 0; ; links++) {
    const stat = await tryStat(of, at, options);
    if (stat?.type !== 'symlink' || links === MAX_LINKS) return { path: at, stat };
    at = linkTarget(at, stat.target ?? '');
  }
}

async function destinationIn(of: FilesOf, path: string, options: Calling): Promise<CopyEnd> {
  const found = await follow(of, path, options);
  const type = found.stat?.type;
  if (type !== undefined && type !== 'directory' && type !== 'file') {
    throw new ConflictError({
      call: options.call,
      kind: 'file',
      ref: path,
      reason: `is a ${type}: the destination must be a directory or a regular file`,
      usedBy: [],
    });
  }
  return { path: found.path, exists: type !== undefined, isDirectory: type === 'directory' };
}

async function sourceIn(of: FilesOf, path: string, followLink: boolean, options: Calling): Promise<CopyEnd> {
  const found = followLink ? await follow(of, path, options) : { path, stat: await tryStat(of, path, options) };
  const type = found.stat?.type;
  if (type === undefined)
    throw new NotFoundError({ call: options.call, kind: 'file', ref: `${of.record.name}:${path}` });
  return { path: found.path, exists: true, isDirectory: type === 'directory' };
}

function ownersIn(of: FilesOf, owner: NonNullable<CopyInOptions['owner']>, call: string): string {
  if (owner === 'source') return 'keep';
  const { uid, gid } = owner === 'user' ? userOf(of.context, of.record, of.record.config.user, call) : owner;
  for (const id of [uid, gid]) {
    if (!Number.isInteger(id) || id < 0 || id >= 2 ** 32 - 1) {
      throw new TypeError(`${call}: owner: expected numbers of a user and a group, got ${String(id)}`);
    }
  }
  return `${uid}:${gid}`;
}

// ── on the host ─────────────────────────────────────────────────────────────

/** @returns `read`: what the helper is to open. */
function hostSource(source: string, followLink: boolean, call: string): CopyEnd & { name: string; read: string } {
  checkPath(call, source);
  const path = cleanPath(source.startsWith('/') ? source : `${process.cwd()}/${source}`);
  const stat = hostStat(path, followLink || assertsDirectory(path), call);
  if (stat === undefined) throw new NotFoundError({ call, kind: 'file', ref: path });
  const read = followLink && !specifiesCurrent(path) ? realpathSync.native(path) : path;
  return { path, exists: true, isDirectory: stat.isDirectory(), name: splitPath(path).base, read };
}

/** A link at the destination is followed, also to where nothing is yet; what is above it must be there. */
function hostDestination(target: string, call: string): CopyEnd {
  checkPath(call, target);
  let path = cleanPath(target.startsWith('/') ? target : `${process.cwd()}/${target}`);
  let stat = hostStat(path, false, call);
  for (let links = 0; stat?.isSymbolicLink() === true && links < MAX_LINKS; links++) {
    path = resolve(dirname(path), readlinkSync(path));
    stat = hostStat(path, false, call);
  }
  const above = splitPath(path).directory;
  if (stat === undefined && hostStat(above, true, call)?.isDirectory() !== true) {
    const remedy = 'Make the directory first';
    throw new NotFoundError({ call, kind: 'file', ref: above, remedy });
  }
  if (stat !== undefined && !stat.isDirectory() && !stat.isFile()) {
    const reason = 'is neither a directory nor a regular file';
    throw new ConflictError({ call, kind: 'file', ref: path, reason, usedBy: [] });
  }
  return { path, exists: stat !== undefined, isDirectory: stat?.isDirectory() === true };
}

function hostStat(path: string, followLink: boolean, call: string): Stats | undefined {
  try {
    return followLink ? statSync(path) : lstatSync(path);
  } catch (error) {
    const errno = errorCode(error);
    if (errno === 'ENOENT') return undefined;
    throw new SyscallError({ call, stage: 'copy', syscall: 'stat', errno: errno ?? 'EUNKNOWN', path, cause: error });
  }
}

function checkPath(call: string, path: string): void {
  if (typeof path === 'string' && path !== '' && !path.includes('\0')) return;
  throw new TypeError(`${call}: path: expected text without NUL, not empty, got ${JSON.stringify(path)}`);
}

function notDirectory(call: string, of: FilesOf, path: string): ConflictError {
  const reason = 'an archive can only be unpacked into a directory that is there';
  return new ConflictError({ call, kind: 'file', ref: `${of.record.name}:${path}`, reason, usedBy: [] });
}

function refusal(call: string, path: string, reason: string): ConflictError | NotFoundError {
  if (reason === 'no such directory') return new NotFoundError({ call, kind: 'file', ref: path });
  const remedy = 'The destination is a file';
  return new ConflictError({ call, kind: 'file', ref: path, reason, usedBy: [], remedy });
}

// ── moving bytes ────────────────────────────────────────────────────────────

/** One helper writes the archive, another unpacks it: nothing of it passes through this process. */
async function pipeJobs(read: Plan, write: Plan, { call, signal }: Calling): Promise<CopyReport> {
  const explain = explainFiles(call);
  const reader = startFileJob(read, { call, signal, stdout: 'pipe', explain });
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

async function feedArchive(plan: Plan, archive: Readable, { call, signal }: Calling): Promise<CopyReport> {
  const job = startFileJob(plan, { call, signal, stdin: 'pipe', explain: explainFiles(call) });
  await job.ready;
  const plain = decompress(archive, { call, source: 'the archive', ...(signal && { signal }) });
  // A source that has nothing to say does not notice that nobody listens any more.
  const over = new AbortController();
  const ended = (): void => over.abort();
  job.done.then(ended, ended);
  const feeding = pipeline(plain, job.stdin as Writable, { signal: over.signal });
  const [fed, done] = await Promise.allSettled([feeding.catch((error: unknown) => gaveUp(job, error)), job.done]);
  signal?.throwIfAborted();
  // What was read from failed: then the archive ended early. A helper that refuses it closes the pipe instead.
  if (
    fed.status === 'rejected' &&
    !['EPIPE', 'ABORT_ERR'].includes(errorCode(fed.reason) ?? '') &&
    done.status === 'rejected'
  ) {
    throw done.reason instanceof SyscallError && done.reason.syscall === 'exit' ? fed.reason : done.reason;
  }
  if (done.status === 'rejected') throw done.reason;
  return report(done.value);
}

async function drainArchive(plan: Plan, target: Writable, { call, signal }: Calling): Promise<CopyReport> {
  const job = startFileJob(plan, { call, signal, stdout: 'pipe', explain: explainFiles(call) });
  await job.ready;
  // The target is the caller's: it is not ended, since more may be to come.
  const [drained, done] = await Promise.allSettled([
    pipeline(job.stdout as Readable, target, { end: false }).catch((error: unknown) => gaveUp(job, error)),
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
