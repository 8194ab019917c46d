import { readFileSync } from 'node:fs';

import { SyscallError } from '../errors.js';
import { TICKS_PER_SECOND, neighboursOf, processEntry, processesOf, type ProcessEntry } from '../host/processes.js';
import { runPs } from '../host/ps.js';
import type { AbortOptions } from '../types.js';

/** How processes are listed. */
export interface TopOptions extends AbortOptions {
  /** What `ps` is told. @defaultValue `['-ef']`, as Docker */
  readonly psOptions?: readonly string[];
}

/** Processes, as `ps` lists them. */
export interface ProcessTable {
  /** The heading of each column: `UID`, `PID`, … */
  readonly titles: readonly string[];
  /** A row for each process, with pids of the host. What runs may name itself anything. */
  readonly processes: readonly (readonly string[])[];
}

/**
 * Lists the processes of a container with the host's `ps`, as Docker does: so it takes the same options. Where there is
 * none, `-ef` is answered from `/proc`.
 *
 * @param where - The container's cgroup, and the pid of its first process where there is no cgroup.
 */
export async function listProcesses(
  where: { readonly group: string | undefined; readonly pid: number },
  { psOptions = ['-ef'], signal }: TopOptions,
  call: string,
): Promise<ProcessTable> {
  signal?.throwIfAborted();
  checkOptions(psOptions, call);
  const pids = where.group === undefined ? neighboursOf(where.pid) : processesOf(where.group);
  if (pids.length === 0) return { titles: [], processes: [] };
  const abort = signal === undefined ? {} : { signal };
  // Some options do not go with a list of pids; then all are asked for, and those of others left out.
  let listed = await runPs([...psOptions, '-q', pids.join(',')], abort);
  if (listed.exitCode !== 0 && listed.exitCode !== undefined) listed = await runPs(psOptions, abort);
  if (listed.exitCode === undefined && psOptions.join(' ') === '-ef') return ownTable(pids);
  if (listed.exitCode !== 0) {
    throw new SyscallError({
      call,
      stage: 'ps',
      syscall: 'execve',
      errno: listed.exitCode === undefined ? 'ENOENT' : `exit ${listed.exitCode}`,
      path: `ps ${psOptions.join(' ')}`,
      remedy:
        listed.exitCode === undefined
          ? 'Install procps, or leave psOptions out: that much is answered without it'
          : listed.stderr.trim(),
    });
  }
  return parseTable(listed.stdout, new Set(pids.map(String)), call);
}

/**
 * As Docker: a column whose heading was changed to `PID` would have rows of other containers pass for this one's.
 */
function checkOptions(options: readonly string[], call: string): void {
  for (const option of options)
    if (typeof option !== 'string' || option.includes('\0'))
      throw new TypeError(`${call}: psOptions: expected words without NUL bytes, got ${JSON.stringify(option)}`);
  const renamed = /\s+([^\s]*)=\s*(PID[^\s]*)/.exec(` ${options.join(' ')}`);
  if (renamed !== null) throw new TypeError(`${call}: psOptions: specifying "${renamed[0].trim()}" is not allowed`);
}

/** The rows of those pids. The last column is the command and may have blanks. */
export function parseTable(text: string, pids: ReadonlySet<string>, call: string): ProcessTable {
  const [heading = '', ...lines] = text.split('\n');
  const titles = wordsOf(heading);
  const pidColumn = titles.indexOf('PID');
  if (pidColumn < 0) throw new TypeError(`${call}: psOptions: expected options that show the column PID`);
  const processes: string[][] = [];
  let wasOurs = false;
  for (const line of lines) {
    const words = wordsOf(line);
    if (words.length === 0) continue;
    const [pid = ''] = words.slice(pidColumn);
    // Options like `m` list threads below their process, without a pid of their own.
    const isThread = pid === '-';
    if (isThread ? !wasOurs : !pids.has(pid)) {
      wasOurs = false;
      continue;
    }
    wasOurs = true;
    const last = titles.length - 1;
    processes.push([...words.slice(0, last), words.slice(last).join(' ')]);
  }
  return { titles, processes };
}

function wordsOf(line: string): string[] {
  return line.split(/[\t\v\f\r ]+/).filter(word => word !== '');
}

/** What `ps -ef` would say. */
export function ownTable(pids: readonly number[], now = Date.now()): ProcessTable {
  const uptime = Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]);
  const names = userNames();
  const rows = pids.flatMap(pid => processEntry(pid) ?? []).map(entry => rowOf(entry, { uptime, names, now }));
  return { titles: ['UID', 'PID', 'PPID', 'C', 'STIME', 'TTY', 'TIME', 'CMD'], processes: rows };
}

function rowOf(
  entry: ProcessEntry,
  { uptime, names, now }: { uptime: number; names: ReadonlyMap<number, string>; now: number },
): string[] {
  const age = Math.max(0, uptime - entry.startTime / TICKS_PER_SECOND);
  const seconds = entry.ticks / TICKS_PER_SECOND;
  return [
    names.get(entry.uid) ?? String(entry.uid),
    String(entry.pid),
    String(entry.ppid),
    String(Math.min(99, age === 0 ? 0 : Math.floor((seconds / age) * 100))),
    startOf(new Date(now - age * 1000), new Date(now)),
    terminalOf(entry.tty),
    [seconds / 3600, (seconds / 60) % 60, seconds % 60]
      .map(part => String(Math.floor(part)).padStart(2, '0'))
      .join(':'),
    entry.command,
  ];
}

const months = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/** The time of one that began today, the day of one that began this year, else the year. */
function startOf(start: Date, now: Date): string {
  if (start.getFullYear() !== now.getFullYear()) return String(start.getFullYear());
  if (start.getMonth() === now.getMonth() && start.getDate() === now.getDate())
    return [start.getHours(), start.getMinutes()].map(part => String(part).padStart(2, '0')).join(':');
  return `${months[start.getMonth()]}${String(start.getDate()).padStart(2, '0')}`;
}

/** Majors 136 to 143 are pseudo terminals, 4 the consoles. */
function terminalOf(device: number): string {
  const major = (device >> 8) & 0xfff;
  const minor = (device & 0xff) | ((device >> 12) & 0xfff00);
  if (major >= 136 && major <= 143) return `pts/${(major - 136) * 256 + minor}`;
  return major === 4 ? `tty${minor}` : '?';
}

/** As the host names its users, which is how its `ps` names them. */
function userNames(): Map<number, string> {
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n').reverse();
  return new Map(
    lines.flatMap(line => {
      const [name = '', , uid = ''] = line.split(':');
      return name !== '' && /^\d+$/.test(uid) ? [[Number(uid), name] as const] : [];
    }),
  );
}
