import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';

import { findProgram } from '../archive/program.js';
import { errorCode } from '../errors.js';

/** `size` ids, from `container` inside a user namespace to `host` outside. */
export interface MappedRange {
  readonly container: number;
  readonly host: number;
  readonly size: number;
}

/** Which ids this user can give to containers, from most to least. */
export type IdSource =
  /** Any: no user namespace is needed. */
  | { readonly kind: 'root' }
  /** Its own and the subordinate ones, through newuidmap and newgidmap. */
  | {
      readonly kind: 'subordinate';
      readonly uids: readonly MappedRange[];
      readonly gids: readonly MappedRange[];
      readonly newuidmap: string;
      readonly newgidmap: string;
    }
  /** Its own alone, as root inside; every other owner cannot be represented. */
  | {
      readonly kind: 'single';
      readonly uids: readonly MappedRange[];
      readonly gids: readonly MappedRange[];
      readonly reason: string;
      readonly remedy: string;
    };

/** Reads what this user may map, from `/etc/subuid`, `/etc/subgid` and the programs of the package uidmap. */
export function describeIds(): IdSource {
  if (process.geteuid?.() === 0) return { kind: 'root' };
  const { uid, gid, username } = userInfo();
  const subuids = parseSubordinate(readIfThere('/etc/subuid'), username, uid);
  // The group file is keyed by the user as well; subgid(5).
  const subgids = parseSubordinate(readIfThere('/etc/subgid'), username, uid);
  const [newuidmap, newgidmap] = [findProgram('newuidmap'), findProgram('newgidmap')];
  if (subuids.length > 0 && subgids.length > 0 && newuidmap !== undefined && newgidmap !== undefined) {
    return { kind: 'subordinate', uids: rootMap(uid, subuids), gids: rootMap(gid, subgids), newuidmap, newgidmap };
  }
  const files = subuids.length === 0 || subgids.length === 0;
  return {
    kind: 'single',
    uids: rootMap(uid, []),
    gids: rootMap(gid, []),
    reason: files
      ? `${username} has no ranges in /etc/subuid and /etc/subgid`
      : 'there is no newuidmap or newgidmap program',
    remedy: files
      ? `as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${username}`
      : 'install it (Debian: apt-get install uidmap)',
  };
}

/** Ids on the host: from `start`, `count` of them. */
export interface SubordinateRange {
  readonly start: number;
  readonly count: number;
}

/** The ranges of one user, by name or id; lines that are none are passed over, as newuidmap does. See subuid(5). */
export function parseSubordinate(text: string, name: string, id: number): SubordinateRange[] {
  return text.split('\n').flatMap(line => {
    const [owner, start = '', count = ''] = line.trim().split(':');
    const own = owner === name || owner === String(id);
    return own && /^\d+$/.test(start) && /^[1-9]\d*$/.test(count) ? { start: Number(start), count: Number(count) } : [];
  });
}

/** The user as root inside, its subordinate ids behind it from 1 on. */
export function rootMap(id: number, ranges: readonly SubordinateRange[]): MappedRange[] {
  const map: MappedRange[] = [{ container: 0, host: id, size: 1 }];
  let next = 1;
  for (const { start, count } of ranges) {
    map.push({ container: next, host: start, size: count });
    next += count;
  }
  return map;
}

/** The id outside that an id inside is; `undefined` when the map does not have it. */
export function hostId(map: readonly MappedRange[], id: number): number | undefined {
  const range = map.find(({ container, size }) => id >= container && id < container + size);
  return range === undefined ? undefined : range.host + id - range.container;
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return '';
    throw error;
  }
}
