import { readFileSync } from 'node:fs';

import type { ProcessSpec } from './spec.js';

/** `RLIMIT_…` of asm-generic/resource.h, by the names that ulimit has in Docker. */
export const ulimitNumbers = {
  cpu: 0,
  fsize: 1,
  data: 2,
  stack: 3,
  core: 4,
  rss: 5,
  nproc: 6,
  nofile: 7,
  memlock: 8,
  as: 9,
  locks: 10,
  sigpending: 11,
  msgqueue: 12,
  nice: 13,
  rtprio: 14,
  rttime: 15,
} as const satisfies Readonly<Record<string, number>>;

type Name = keyof typeof ulimitNumbers;

/** One limit as it was asked for; -1 is unlimited, and `hard` is as `soft` when it was left out. */
export type Ulimits = Readonly<Partial<Record<Name, { readonly soft: number; readonly hard?: number }>>>;

/** What `/proc/<pid>/limits` calls them, in the order of their numbers. */
const titles: readonly string[] = [
  'Max cpu time',
  'Max file size',
  'Max data size',
  'Max stack size',
  'Max core file size',
  'Max resident set',
  'Max processes',
  'Max open files',
  'Max locked memory',
  'Max address space',
  'Max file locks',
  'Max pending signals',
  'Max msgqueue size',
  'Max nice priority',
  'Max realtime priority',
  'Max realtime timeout',
];

const CAP_SYS_RESOURCE = 24n;

/**
 * The limits as the helper sets them. A hard limit can only be raised with CAP_SYS_RESOURCE; without it, what was asked for
 * is cut to what there is.
 *
 * @param warn - Told of each one that was cut.
 */
export function settleUlimits(ulimits: Ulimits, warn: (message: string) => void): ProcessSpec['rlimits'] {
  const names = Object.keys(ulimits) as Name[];
  if (names.length === 0) return [];
  const most = mayRaise() ? undefined : hardLimits();
  return names.map(name => {
    const { soft, hard = soft } = ulimits[name] as { soft: number; hard?: number };
    const resource = ulimitNumbers[name];
    const limit = most?.[resource] ?? Infinity;
    const what = `ulimits.${name}`;
    const settled = { resource, soft: atMost(soft, limit), hard: atMost(hard, limit), what };
    if (settled.hard !== hard) {
      warn(
        `${what}: this process may not raise the hard limit from ${limit} to ${hard === -1 ? 'unlimited' : hard}, ` +
          `since it lacks CAP_SYS_RESOURCE: it stays ${limit}`,
      );
    }
    return settled;
  });
}

function atMost(value: number, limit: number): number {
  return limit !== Infinity && (value === -1 || value > limit) ? limit : value;
}

function mayRaise(): boolean {
  const mask = /^CapEff:\s+([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return ((BigInt(`0x${mask}`) >> CAP_SYS_RESOURCE) & 1n) === 1n;
}

/** By number. The monitor is started with ours. */
function hardLimits(): number[] {
  const lines = readFileSync('/proc/self/limits', 'utf8').split('\n');
  return titles.map(title => {
    const [, hard] =
      lines
        .find(line => line.startsWith(title))
        ?.slice(title.length)
        .trim()
        .split(/\s+/) ?? [];
    return hard === undefined || hard === 'unlimited' ? Infinity : Number(hard);
  });
}
