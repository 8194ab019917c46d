import { posix } from 'node:path';

import { volumeName } from './record.js';

/** Something of the host's, or fresh, at a path inside a container. */
export type Mount = BindMount | VolumeMount | TmpfsMount;

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
}

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
}

/** A file system in memory. */
export interface TmpfsMount {
  readonly type: 'tmpfs';
  /** Absolute. */
  readonly target: string;
  /** Half of the machine's memory when left out. */
  readonly sizeBytes?: number;
  /** Of its root. Default `0o1777`. */
  readonly mode?: number;
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
      return { ...mount, source: checkPath(`${where}.source`, mount.source) };
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
      return mount;
    default:
      mount satisfies never;
      throw new TypeError(
        `${where}.type: ${JSON.stringify((mount as { type?: unknown }).type)} is not bind, volume or tmpfs`,
      );
  }
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
