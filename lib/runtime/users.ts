import { LimitError, NotFoundError } from '../errors.js';

/** Who a process in a container runs as. */
export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups, the primary one first, as Docker sets them. */
  readonly groups: readonly number[];
  /** For `HOME`; `/` when the user is in no passwd file. */
  readonly home: string;
  /** The login name, where there is one. */
  readonly name?: string;
}

export interface UserFiles {
  /** The text of the container's `/etc/passwd`; absent when it has none. */
  readonly passwd?: string | undefined;
  /** The text of the container's `/etc/group`. */
  readonly group?: string | undefined;
}

interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

const MAXIMUM_ID = 2 ** 31 - 1;

/**
 * Resolves `name`, `uid`, `name:group`, `uid:gid` or nothing (root) against a container's own files, as Docker does:
 * digits are always an id; an id needs no entry, a name does; supplementary groups are those that list the user, unless a
 * group is given.
 *
 * @param options.extraGroups - Names or ids to add, as `--group-add`.
 * @throws {@link NotFoundError} for a name that is not there.
 * @throws {@link LimitError} for an id above 2147483647.
 */
export function resolveUser(
  user: string,
  files: UserFiles,
  options: { call?: string; extraGroups?: readonly string[] } = {},
): ResolvedUser {
  const call = options.call ?? 'container.start';
  const [userPart = '', groupPart = ''] = splitOnce(user);
  const found = parsePasswd(files.passwd ?? '').find(entry =>
    matches(entry.name, entry.uid, userPart === '' ? '0' : userPart),
  );
  const uid = found?.uid ?? idOf(userPart === '' ? '0' : userPart, call, 'user', 'passwd');
  const groups = parseGroup(files.group ?? '');
  const gid = groupPart === '' ? (found?.gid ?? 0) : groupId(groupPart, groups, call);
  const supplementary =
    groupPart === '' && found !== undefined
      ? groups.filter(group => group.members.includes(found.name)).map(group => group.gid)
      : [];
  const usual = [gid, ...supplementary];
  const extra = (options.extraGroups ?? []).map(group => groupId(group, groups, call));
  return {
    uid,
    gid,
    groups: [...usual, ...new Set(extra.filter(id => !usual.includes(id)))],
    home: found === undefined ? '/' : found.home,
    ...(found === undefined ? {} : { name: found.name }),
  };
}

function splitOnce(user: string): [string, string] {
  const colon = user.indexOf(':');
  return colon < 0 ? [user, ''] : [user.slice(0, colon), user.slice(colon + 1)];
}

function matches(name: string, id: number, wanted: string): boolean {
  return /^\d+$/.test(wanted) ? id === Number(wanted) : name === wanted;
}

function groupId(wanted: string, groups: readonly GroupEntry[], call: string): number {
  return groups.find(group => matches(group.name, group.gid, wanted))?.gid ?? idOf(wanted, call, 'group', 'group');
}

/** Digits stand for themselves; a name has to be in the file, and was not. */
function idOf(text: string, call: string, kind: 'user' | 'group', file: string): number {
  if (!/^\d+$/.test(text)) {
    throw new NotFoundError({
      call,
      kind,
      ref: text,
      remedy: `unable to find ${kind} ${text}: no matching entries in ${file} file`,
    });
  }
  const id = Number(text);
  if (id <= MAXIMUM_ID) return id;
  throw new LimitError({
    call,
    what: `${kind} ${text}`,
    reason: `uids and gids must be in range 0-${MAXIMUM_ID}`,
    limit: MAXIMUM_ID,
  });
}

/** See passwd(5). Lines without numbers where numbers belong (NIS, comments) are no users. */
function parsePasswd(text: string): PasswdEntry[] {
  return lines(text).flatMap(([name = '', , uid = '', gid = '', , home = '']) =>
    name !== '' && isId(uid) && isId(gid) ? { name, uid: Number(uid), gid: Number(gid), home } : [],
  );
}

/** See group(5). */
function parseGroup(text: string): GroupEntry[] {
  return lines(text).flatMap(([name = '', , gid = '', members = '']) =>
    name !== '' && isId(gid) ? { name, gid: Number(gid), members: members.split(',') } : [],
  );
}

function isId(text: string): boolean {
  return /^\d+$/.test(text) && Number(text) <= MAXIMUM_ID;
}

function lines(text: string): string[][] {
  return text.split('\n').map(line => line.trim().split(':'));
}
