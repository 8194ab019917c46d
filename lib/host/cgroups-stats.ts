import type { CgroupHost, Controller } from './cgroups.js';
import { readSmall } from './small-files.js';

/** What the groups of one container have counted. What a missing controller would have counted is 0 or `undefined`. */
export interface CgroupStats {
  readonly cpu: {
    /** Processor time since the groups were made. */
    readonly usedMicros: number;
    readonly userMicros: number;
    readonly systemMicros: number;
    /** Periods in which there was a quota to keep to. */
    readonly periods: number;
    /** Those of them in which it was used up. */
    readonly throttledPeriods: number;
    readonly throttledMicros: number;
  };
  readonly memory: {
    /** All that is charged to it, the cache of files included. */
    readonly totalBytes: number;
    /** The part of it that the kernel can have back at any time: cached files that were not used lately. */
    readonly cacheBytes: number;
    /** `undefined` when there is no limit. */
    readonly limitBytes: number | undefined;
  };
  readonly block: {
    readonly readBytes: number;
    readonly writtenBytes: number;
    readonly reads: number;
    readonly writes: number;
  };
  readonly processes: number;
  /** `undefined` when there is no limit. */
  readonly maxProcesses: number | undefined;
}

/** Above this, a limit of version 1 is none: the kernel rounds "no limit" down to a page. */
const NO_LIMIT = 2 ** 60;

/** Reads what the groups of a container have counted. Synchronous: a dozen files that are in memory anyway. */
export function readCgroupStats(
  { mode }: Pick<CgroupHost, 'mode'>,
  groups: ReadonlyMap<Controller, string>,
): CgroupStats {
  const read: Read = (controller, file) => {
    const group = groups.get(controller);
    return (group === undefined ? undefined : readSmall(`${group}/${file}`)) ?? '';
  };
  const common = { processes: Number(read('pids', 'pids.current')), maxProcesses: limit(read('pids', 'pids.max')) };
  return mode === 'v2' ? { ...v2(read), ...common } : { ...v1(read), ...common };
}

type Read = (controller: Controller, file: string) => string;
type Own = Omit<CgroupStats, 'processes' | 'maxProcesses'>;

function v1(read: Read): Own {
  const times = read('cpuacct', 'cpuacct.usage_user');
  const cpu = read('cpu', 'cpu.stat');
  const bytes = byOperation(read('blkio', 'blkio.throttle.io_service_bytes_recursive'));
  const operations = byOperation(read('blkio', 'blkio.throttle.io_serviced_recursive'));
  return {
    cpu: {
      usedMicros: micros(read('cpuacct', 'cpuacct.usage')),
      userMicros: micros(times),
      systemMicros: micros(read('cpuacct', 'cpuacct.usage_sys')),
      periods: field(cpu, 'nr_periods'),
      throttledPeriods: field(cpu, 'nr_throttled'),
      throttledMicros: Math.round(field(cpu, 'throttled_time') / 1000),
    },
    memory: {
      totalBytes: Number(read('memory', 'memory.usage_in_bytes')),
      cacheBytes: field(read('memory', 'memory.stat'), 'total_inactive_file'),
      limitBytes: limit(read('memory', 'memory.limit_in_bytes')),
    },
    block: {
      readBytes: bytes.read,
      writtenBytes: bytes.write,
      reads: operations.read,
      writes: operations.write,
    },
  };
}

function v2(read: Read): Own {
  const cpu = read('cpu', 'cpu.stat');
  const io = read('blkio', 'io.stat');
  return {
    cpu: {
      usedMicros: field(cpu, 'usage_usec'),
      userMicros: field(cpu, 'user_usec'),
      systemMicros: field(cpu, 'system_usec'),
      periods: field(cpu, 'nr_periods'),
      throttledPeriods: field(cpu, 'nr_throttled'),
      throttledMicros: field(cpu, 'throttled_usec'),
    },
    memory: {
      totalBytes: Number(read('memory', 'memory.current')),
      cacheBytes: field(read('memory', 'memory.stat'), 'inactive_file'),
      limitBytes: limit(read('memory', 'memory.max')),
    },
    block: {
      readBytes: sumOf(io, 'rbytes'),
      writtenBytes: sumOf(io, 'wbytes'),
      reads: sumOf(io, 'rios'),
      writes: sumOf(io, 'wios'),
    },
  };
}

/** The number behind a name at the beginning of a line. */
function field(text: string, name: string): number {
  const wanted = `${name} `;
  let at = text.startsWith(wanted) ? 0 : text.indexOf(`\n${wanted}`);
  if (at < 0) return 0;
  if (at > 0) at++;
  return parseInt(text.slice(at + wanted.length, at + wanted.length + 20), 10);
}

/** `8:0 rbytes=4096 wbytes=0 …`, a line for each device. */
function sumOf(text: string, name: string): number {
  let sum = 0;
  for (const [, number] of text.matchAll(new RegExp(`\\b${name}=(\\d+)`, 'g'))) sum += Number(number);
  return sum;
}

/** `8:0 Read 4096`, lines for each device and operation, and sums that would count twice. */
function byOperation(text: string): { readonly read: number; readonly write: number } {
  const sum = { read: 0, write: 0 };
  if (text.length <= 'Total 0\n'.length) return sum;
  for (const [, operation, number] of text.matchAll(/^\d+:\d+ (Read|Write) (\d+)$/gm))
    sum[operation === 'Read' ? 'read' : 'write'] += Number(number);
  return sum;
}

function micros(nanoseconds: string): number {
  return Math.round(Number(nanoseconds) / 1000);
}

function limit(text: string): number | undefined {
  const word = text.trim();
  if (word === '' || word === 'max') return undefined;
  return Number(word) >= NO_LIMIT ? undefined : Number(word);
}
