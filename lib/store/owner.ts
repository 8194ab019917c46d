import { randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';

/**
 * Which process something belongs to. A pid alone is not enough: pids are used again, so the start time and the boot go
 * with it, and the pid namespace, because a pid of another one cannot be judged from here.
 */
export interface Owner {
  readonly pid: number;
  /** Clock ticks after boot: field 22 of `/proc/<pid>/stat`. */
  readonly start: string;
  /** The first part of the kernel's boot id. */
  readonly boot: string;
  /** Inode of the pid namespace; empty where there is no `/proc`. */
  readonly namespace: string;
}

let own: Owner | undefined;

/** This process. */
export function self(): Owner {
  return (own ??= {
    pid: process.pid,
    start: readStat(process.pid)?.start ?? '0',
    boot: bootId(),
    namespace: pidNamespace(),
  });
}

/** One word without `.` and `/`, fit for file names and links. */
export function formatOwner(owner: Owner): string {
  return `${owner.pid}-${owner.start}-${owner.boot}-${owner.namespace}`;
}

/** Reads what {@link formatOwner} wrote; `undefined` when it is something else. */
export function parseOwner(text: string): Owner | undefined {
  const match = /^(\d+)-(\d+)-([0-9a-f]*)-(\d*)$/.exec(text);
  if (match === null) return undefined;
  const [, pid, start, boot, namespace] = match as unknown as [string, string, string, string, string];
  return { pid: Number(pid), start, boot, namespace };
}

/**
 * Whether that very process still runs. A zombie does not: it has let go of everything but its number. A process of
 * another pid namespace counts as running until the next boot, since nothing here can tell.
 */
export function isAlive(owner: Owner): boolean {
  const here = self();
  if (owner.boot !== here.boot) return false;
  if (owner.namespace !== here.namespace) return true;
  if (owner.pid === here.pid) return owner.start === here.start;
  const stat = readStat(owner.pid);
  return stat !== undefined && stat.start === owner.start && stat.state !== 'Z' && stat.state !== 'X';
}

/** A word that nobody else comes up with. */
export function nonce(): string {
  return randomBytes(8).toString('hex');
}

function readStat(pid: number): { state: string; start: string } | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    // ENOENT or ESRCH: no such process, and that is the answer.
    return undefined;
  }
  // The command name in field 2 may hold blanks and brackets; what follows the last bracket does not.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state, start] = [fields[0], fields[19]];
  return state === undefined || start === undefined ? undefined : { state, start };
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').slice(0, 8);
  } catch {
    // No /proc: then owners of an earlier boot are only told apart by their start time.
    return '';
  }
}

function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid').replace(/\D/g, '');
  } catch {
    // As above.
    return '';
  }
}
