import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

import { errorCode } from '../errors.js';
import { readSmall } from './small-files.js';

/** A process of the host, as `/proc` tells of it. */
export interface ProcessEntry {
  readonly pid: number;
  readonly ppid: number;
  readonly uid: number;
  /** In clock ticks since boot. */
  readonly startTime: number;
  /** Processor time, in clock ticks. */
  readonly ticks: number;
  /** The number of its terminal, 0 for none. */
  readonly tty: number;
  /** Its words, or its name in brackets where it has none. */
  readonly command: string;
}

/** As long as a tick is on every Linux machine since 2.6: `sysconf(_SC_CLK_TCK)`. */
export const TICKS_PER_SECOND = 100;

/** The processes of a cgroup and of those below it, in order. */
export function processesOf(group: string): number[] {
  const own = (readSmall(`${group}/cgroup.procs`) ?? '').split('\n').filter(line => line !== '');
  return [...own.map(Number), ...subdirectories(group).flatMap(processesOf)].sort((a, b) => a - b);
}

/** The processes in the same pid namespace as this one, where there is no cgroup that would tell. */
export function neighboursOf(pid: number): number[] {
  const namespace = namespaceOf(pid);
  if (namespace === undefined) return [];
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(Number)
    .filter(other => namespaceOf(other) === namespace)
    .sort((a, b) => a - b);
}

/** `undefined` for one that has ended. */
export function processEntry(pid: number): ProcessEntry | undefined {
  const stat = readSmall(`/proc/${pid}/stat`);
  const status = readSmall(`/proc/${pid}/status`);
  const words = readText(`/proc/${pid}/cmdline`);
  if (stat === undefined || status === undefined || words === undefined) return undefined;
  // The name is in parentheses and may itself have any of these.
  const open = stat.indexOf('(');
  const close = stat.lastIndexOf(')');
  const fields = stat.slice(close + 2).split(' ');
  const name = stat.slice(open + 1, close);
  const command = words.replace(/\0+$/, '').replaceAll('\0', ' ');
  return {
    pid,
    ppid: Number(fields[1]),
    uid: Number(/^Uid:\t\d+\t(\d+)/m.exec(status)?.[1] ?? 0),
    startTime: Number(fields[19]),
    ticks: Number(fields[11]) + Number(fields[12]),
    tty: Number(fields[4]),
    command: command === '' ? `[${name}]${fields[0] === 'Z' ? ' <defunct>' : ''}` : command,
  };
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ESRCH') return undefined;
    throw error;
  }
}

function namespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return undefined; // It has ended, or is not ours to look into: then it is not the container's either.
  }
}

function subdirectories(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true }).flatMap(entry =>
      entry.isDirectory() ? `${path}/${entry.name}` : [],
    );
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}
