import { posix } from 'node:path';

import type { Labels } from '../types.js';
import { volumeName } from './record.js';

/** The largest uid, gid and number of inodes that a tmpfs takes. */
const MAX_ID = 0xffff_fffe;

/** Something of the host's, of an image's, or fresh, at a path inside a container. */
export type Mount = BindMount | VolumeMount | TmpfsMount | ImageMount;

/** A directory or file of the host. */
export interface BindMount {
  readonly type: 'bind';
  /** Absolute. */
  readonly source: string;
  /** Absolute. */
  readonly target: string;
  /** Default `false`. */
  readonly readOnly?: boolean;
  /** Makes the source, a directory, if it is not there: what `docker run -v` does. Default `false`. */
  readonly createSource?: boolean;
  /**
   * What of the mounts below the source comes along: all of them, read-only ones where the mount is (`enabled`, the default,
   * and `readonly`, which says so); all of them as they are (`writable`); none (`disabled`).
   */
  readonly recursive?: 'enabled' | 'disabled' | 'writable' | 'readonly';
  /**
   * Whether mounts that the host makes later come in (`rslave`), go both ways (`rshared`), or neither. What begins with
   * `r` holds for the mounts below the source, too. Default `'rprivate'`.
   */
  readonly propagation?: Propagation;
  /**
   * The container writes into a layer of its own, which is thrown away when it is started again or removed: the source stays
   * as it is. What Podman's `:O` does. Default `false`.
   */
  readonly overlay?: boolean;
}

/** As mount(2) calls them: https://docs.kernel.org/filesystems/sharedsubtree.html */
export type Propagation = 'private' | 'rprivate' | 'shared' | 'rshared' | 'slave' | 'rslave';

/** A volume. */
export interface VolumeMount {
  readonly type: 'volume';
  /** Its name; made if there is none of that name. Without one, a volume that goes with the container. */
  readonly source?: string;
  /** Absolute. */
  readonly target: string;
  /** Default `false`. */
  readonly readOnly?: boolean;
  /** A directory inside of the volume, which must be there. */
  readonly subpath?: string;
  /** An empty volume stays empty, whatever the image has at the target. Default `false`. */
  readonly noCopy?: boolean;
  /** Labels of the volume, if it has to be made. */
  readonly labels?: Labels;
  /** Options of the volume, if it has to be made: see `volumes.create`. */
  readonly driverOptions?: Readonly<Record<string, string>>;
}

/** A file system in memory. */
export interface TmpfsMount {
  readonly type: 'tmpfs';
  /** Absolute. */
  readonly target: string;
  /** Default `false`. */
  readonly readOnly?: boolean;
  /** Half of the machine's memory when left out. */
  readonly sizeBytes?: number;
  /** Of its root. Default `0o1777`. */
  readonly mode?: number;
  /** Owner of its root. Default: 0. */
  readonly uid?: number;
  /** Group of its root. Default: 0. */
  readonly gid?: number;
  /** How many files and directories fit. Default: as many as half of the machine's memory has pages. */
  readonly maxInodes?: number;
  /** Programs in it may be executed. Default `false`. */
  readonly exec?: boolean;
  /** Set-user-ID bits count. Default `false`. */
  readonly suid?: boolean;
  /** Device nodes in it work. Default `false`. */
  readonly dev?: boolean;
}

/** The files of an image, read-only. */
export interface ImageMount {
  readonly type: 'image';
  /** A reference or an id; it has to be in the store. */
  readonly source: string;
  /** Absolute. */
  readonly target: string;
  /** A file or directory of the image. Default: all of it. */
  readonly subpath?: string;
}

/**
 * Checks the mounts of a container without looking at the disk: absolute targets, none twice, none at `/`.
 *
 * @returns The same mounts with plain paths: no `//`, `.`, `..` or `/` at the end.
 * @throws `TypeError` naming the field and its value.
 */
export function checkMounts(call: string, mounts: readonly Mount[]): Mount[] {
  const targets = new Set<string>();
  return mounts.map((mount, index) => {
    const where = `${call}: mounts[${index}]`;
    const target = checkPath(`${where}.target`, mount.target);
    if (target === '/') throw new TypeError(`${where}.target: "/" is the container's root; mount below it`);
    if (targets.has(target)) throw new TypeError(`${where}.target: ${JSON.stringify(target)} is mounted twice`);
    targets.add(target);
    return checkMount(where, { ...mount, target });
  });
}

function checkMount(where: string, mount: Mount): Mount {
  switch (mount.type) {
    case 'bind':
      return checkBind(where, { ...mount, source: checkPath(`${where}.source`, mount.source) });
    case 'volume':
      if (mount.source !== undefined && !volumeName.test(mount.source))
        throw new TypeError(
          `${where}.source: ${JSON.stringify(mount.source)} is no volume name; a path is mounted with type: 'bind'`,
        );
      return mount.subpath === undefined
        ? mount
        : { ...mount, subpath: checkSubpath(`${where}.subpath`, mount.subpath) };
    case 'tmpfs':
      checkNumber(`${where}.sizeBytes`, mount.sizeBytes, Number.MAX_SAFE_INTEGER);
      checkNumber(`${where}.mode`, mount.mode, 0o7777);
      for (const name of ['uid', 'gid', 'maxInodes'] as const) checkNumber(`${where}.${name}`, mount[name], MAX_ID);
      return mount;
    case 'image':
      if (typeof mount.source !== 'string' || mount.source === '')
        throw new TypeError(`${where}.source: ${JSON.stringify(mount.source)} is no image`);
      return mount.subpath === undefined
        ? mount
        : { ...mount, subpath: checkSubpath(`${where}.subpath`, mount.subpath) };
    default:
      mount satisfies never;
      throw new TypeError(
        `${where}.type: ${JSON.stringify((mount as { type?: unknown }).type)} is not bind, volume, tmpfs or image`,
      );
  }
}

function checkBind(where: string, mount: BindMount): BindMount {
  const { recursive = 'enabled', propagation = 'rprivate', overlay = false, readOnly = false } = mount;
  checkWord(`${where}.recursive`, recursive, ['enabled', 'disabled', 'writable', 'readonly']);
  checkWord(`${where}.propagation`, propagation, ['private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave']);
  // As Docker: read-only for ever cannot be promised of mounts that come in later.
  if (recursive === 'readonly' && !(readOnly && propagation === 'rprivate'))
    throw new TypeError(`${where}.recursive: 'readonly' goes with readOnly: true and propagation: 'rprivate' only`);
  if (recursive === 'writable' && !readOnly)
    throw new TypeError(`${where}.recursive: 'writable' says how a read-only mount is; add readOnly: true`);
  if (overlay && (readOnly || mount.recursive !== undefined || mount.propagation !== undefined))
    throw new TypeError(`${where}.overlay: is written to, and of one file system: it goes with no other option`);
  return mount;
}

function checkWord(where: string, value: string, words: readonly string[]): void {
  if (!words.includes(value)) throw new TypeError(`${where}: ${JSON.stringify(value)} is none of ${words.join(', ')}`);
}

function checkPath(where: string, path: string): string {
  if (typeof path !== 'string' || !path.startsWith('/') || path.includes('\0'))
    throw new TypeError(`${where}: ${JSON.stringify(path)} is no absolute path`);
  const plain = posix.normalize(path);
  return plain.length > 1 && plain.endsWith('/') ? plain.slice(0, -1) : plain;
}

function checkSubpath(where: string, path: string): string {
  const plain = posix.normalize(path);
  if (path === '' || path.includes('\0') || plain.startsWith('/') || plain === '..' || plain.startsWith('../'))
    throw new TypeError(`${where}: ${JSON.stringify(path)} is no relative path inside of the volume`);
  return plain.endsWith('/') ? plain.slice(0, -1) : plain;
}

function checkNumber(where: string, value: number | undefined, most: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= 0 && value <= most)) return;
  throw new TypeError(`${where}: ${JSON.stringify(value)} is not between 0 and ${most}`);
}
