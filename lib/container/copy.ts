import { lstatSync, readlinkSync, realpathSync, statSync, type Stats } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Readable, type Writable } from 'node:stream';

import { ConflictError, NotFoundError, SyscallError, errorCode } from '../errors.js';
import { drainArchive, feedArchive, pipeArchive, type CopyReport } from '../host/file-transfer.js';
import { Plan } from '../host/plan.js';
import type { AbortOptions } from '../types.js';
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

export type { CopyReport };

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
    pipeArchive(new Plan().op('archive', from.read, move.name), plan.op('extract', move.directory, owners), {
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
  const view = { call, signal, access: 'read', mounts: true } as const;
  if (typeof target !== 'string') {
    // As Docker: in a stream, what a link led to has its own name.
    const own = splitPath(from.path).base || '.';
    return inView(of, view, plan => drainArchive(plan.op('archive', from.path, own), target, { call, signal }));
  }
  const name = splitPath(given).base || '.';
  const move = planCopy({ ...from, name }, hostDestination(target, call));
  if ('refused' in move) throw refusal(call, target, move.refused);
  const owners = options.owner === 'source' ? 'keep' : 'ignore';
  return inView(of, view, plan =>
    pipeArchive(
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
  if (type === 'block' || type === 'character') {
    const reason = `is a ${type} device, which is not replaced`;
    throw new ConflictError({ call: options.call, kind: 'file', ref: path, reason, usedBy: [] });
  }
  return { path: found.path, exists: type !== undefined, isDirectory: type === 'directory' };
}

async function sourceIn(of: FilesOf, path: string, followLink: boolean, options: Calling): Promise<CopyEnd> {
  const found = followLink ? await follow(of, path, options) : { path, stat: await tryStat(of, path, options) };
  const type = found.stat?.type;
  const bare = path.replace(/\/\.?$/, '');
  if (type === undefined && bare !== path && bare !== '' && (await tryStat(of, bare, options)) !== undefined) {
    const reason = 'is not a directory';
    throw new ConflictError({ call: options.call, kind: 'file', ref: path, reason, usedBy: [] });
  }
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
  if (stat?.isBlockDevice() === true || stat?.isCharacterDevice() === true) {
    const reason = 'is a device, which is not replaced';
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
