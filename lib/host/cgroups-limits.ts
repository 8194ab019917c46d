import { readdirSync } from 'node:fs';

import { LimitError, UnsupportedError, errorCode } from '../errors.js';
import type { Features, Resources } from '../types.js';
import type { CgroupHost, Controller } from './cgroups.js';
import { blockDevice } from './cgroups-devices.js';

/** As Docker: with less, not even the first process starts. */
const MINIMUM_MEMORY = 6 * 1024 * 1024;

interface Bound {
  readonly controller: Controller;
  readonly feature: keyof Features;
  /** Smallest and largest number; absent for text. */
  readonly range?: readonly [minimum: number, maximum: number];
  /** A number outside the range that means "no limit". */
  readonly unlimited?: readonly number[];
  readonly whole?: false;
  /** For what is no number. */
  readonly check?: Check;
}

type Check = (host: CgroupHost, option: keyof Resources, value: unknown, call: string) => void;

/** One row per option; the ranges are Docker's and the kernel's. */
const bounds: Readonly<Record<keyof Resources, Bound>> = {
  memoryBytes: { controller: 'memory', feature: 'memoryLimit', range: [MINIMUM_MEMORY, Number.MAX_SAFE_INTEGER] },
  memorySwapBytes: {
    controller: 'memory',
    feature: 'memoryLimit',
    range: [MINIMUM_MEMORY, Number.MAX_SAFE_INTEGER],
    unlimited: [-1],
  },
  memoryReservationBytes: {
    controller: 'memory',
    feature: 'memoryLimit',
    range: [MINIMUM_MEMORY, Number.MAX_SAFE_INTEGER],
  },
  cpus: { controller: 'cpu', feature: 'cpuLimit', range: [0.01, Number.MAX_SAFE_INTEGER], whole: false },
  cpuShares: { controller: 'cpu', feature: 'cpuLimit', range: [2, 262_144] },
  cpuPeriodMicros: { controller: 'cpu', feature: 'cpuLimit', range: [1_000, 1_000_000] },
  cpuQuotaMicros: { controller: 'cpu', feature: 'cpuLimit', range: [1_000, Number.MAX_SAFE_INTEGER], unlimited: [-1] },
  cpusetCpus: { controller: 'cpuset', feature: 'cpuLimit', check: checkSet },
  cpusetMems: { controller: 'cpuset', feature: 'cpuLimit', check: checkSet },
  maxProcesses: { controller: 'pids', feature: 'pidsLimit', range: [1, 4_194_304], unlimited: [-1, 0] },
  memorySwappiness: { controller: 'memory', feature: 'memoryLimit', range: [0, 100], unlimited: [-1] },
  oomKillDisable: { controller: 'memory', feature: 'memoryLimit', check: checkSwitch },
  blkioWeight: { controller: 'blkio', feature: 'blockIo', range: [10, 1000], unlimited: [0] },
  blkioWeightDevices: { controller: 'blkio', feature: 'blockIo', check: checkWeights },
  deviceReadBytes: { controller: 'blkio', feature: 'blockIo', check: checkRates },
  deviceWriteBytes: { controller: 'blkio', feature: 'blockIo', check: checkRates },
  deviceReadOps: { controller: 'blkio', feature: 'blockIo', check: checkRates },
  deviceWriteOps: { controller: 'blkio', feature: 'blockIo', check: checkRates },
  hugePageBytes: { controller: 'hugetlb', feature: 'hugePages', check: checkHugePages },
};

/**
 * Checks every limit alone and against the others.
 *
 * @throws {@link UnsupportedError} when this host lacks the controller.
 * @throws {@link LimitError} when it is lower or higher than can be.
 * @throws `TypeError` for what is no number.
 */
export function checkResources(host: CgroupHost, resources: Resources, call: string): void {
  for (const [option, value] of Object.entries(resources) as [keyof Resources, unknown][]) {
    if (value === undefined) continue;
    const bound = Object.hasOwn(bounds, option) ? bounds[option] : undefined;
    if (bound === undefined) throw new TypeError(`${call}: resources.${option}: there is no such limit`);
    if (bound.check === undefined) checkNumber(host, option, value, bound, call);
    else bound.check(host, option, value, call);
    const missing = host.missing.get(bound.controller);
    if (missing !== undefined) {
      throw new UnsupportedError({
        call,
        feature: bound.feature,
        reason: `resources.${option}: ${missing.reason}. ${missing.remedy}`,
      });
    }
  }
  checkKernel(host, resources, call);
  checkTogether(host, resources, call);
}

function checkNumber(host: CgroupHost, option: keyof Resources, value: unknown, bound: Bound, call: string): void {
  if (typeof value !== 'number' || !Number.isFinite(value) || (bound.whole !== false && !Number.isSafeInteger(value))) {
    throw new TypeError(
      `${call}: resources.${option}: expected a ${bound.whole === false ? '' : 'whole '}number, got ${String(value)} (${typeof value})`,
    );
  }
  if (bound.unlimited?.includes(value)) return;
  const [minimum, most] = bound.range ?? [-Infinity, Infinity];
  const maximum = option === 'cpus' ? host.cpus : most;
  if (value < minimum) {
    throw new LimitError({
      call,
      what: `resources.${option}`,
      reason: `${value} is below the minimum of ${minimum}`,
      limit: minimum,
    });
  }
  if (value > maximum) {
    const why = option === 'cpus' ? `, as many as this host has` : '';
    throw new LimitError({
      call,
      what: `resources.${option}`,
      reason: `${value} is above the maximum of ${maximum}${why}`,
      limit: maximum,
    });
  }
}

function checkTogether(host: CgroupHost, resources: Resources, call: string): void {
  const { memoryBytes, memorySwapBytes, memoryReservationBytes, cpus, cpuQuotaMicros, cpuPeriodMicros } = resources;
  if (memorySwapBytes !== undefined && !host.swap) {
    throw new UnsupportedError({
      call,
      feature: 'memoryLimit',
      reason: 'resources.memorySwapBytes: this kernel does not count swap. Boot with swapaccount=1',
    });
  }
  if (memorySwapBytes !== undefined && memoryBytes === undefined) {
    throw new TypeError(
      `${call}: resources.memorySwapBytes is memory and swap together, so it needs resources.memoryBytes`,
    );
  }
  if (memorySwapBytes !== undefined && memorySwapBytes !== -1 && memorySwapBytes < (memoryBytes ?? 0)) {
    throw new TypeError(
      `${call}: resources.memorySwapBytes (${memorySwapBytes}) includes memory and cannot be below memoryBytes (${memoryBytes})`,
    );
  }
  if (memoryReservationBytes !== undefined && memoryBytes !== undefined && memoryReservationBytes > memoryBytes) {
    throw new TypeError(
      `${call}: resources.memoryReservationBytes (${memoryReservationBytes}) cannot be above memoryBytes (${memoryBytes})`,
    );
  }
  if (cpus !== undefined && (cpuQuotaMicros !== undefined || cpuPeriodMicros !== undefined)) {
    throw new TypeError(
      `${call}: resources.cpus is short for cpuQuotaMicros and cpuPeriodMicros; give one or the other`,
    );
  }
}

/** What one version of cgroups, or one kernel, has and another has not. */
function checkKernel(host: CgroupHost, resources: Resources, call: string): void {
  const onlyV1 = (['memorySwappiness', 'oomKillDisable'] as const).find(
    option => ![undefined, -1, false].includes(resources[option]),
  );
  if (onlyV1 !== undefined && host.mode === 'v2') {
    throw new UnsupportedError({
      call,
      feature: 'memoryLimit',
      reason: `resources.${onlyV1}: version 2 of cgroups has no such thing. Leave it out`,
    });
  }
  const { blkioWeight = 0, blkioWeightDevices = [] } = resources;
  if ((blkioWeight !== 0 || blkioWeightDevices.length > 0) && host.blockWeight === undefined) {
    throw new UnsupportedError({
      call,
      feature: 'blockIo',
      reason:
        'resources.blkioWeight: nothing here weighs block devices. Use a kernel with CONFIG_BFQ_GROUP_IOSCHED or CONFIG_BLK_CGROUP_IOCOST',
    });
  }
}

function checkSet(host: CgroupHost, option: keyof Resources, value: unknown, call: string): void {
  const members = typeof value === 'string' ? membersOf(value) : undefined;
  if (members === undefined)
    throw new TypeError(`${call}: resources.${option}: expected a list like 0-2,7, got ${JSON.stringify(value)}`);
  const there = option === 'cpusetCpus' ? host.cpuset.cpus : host.cpuset.mems;
  const available = membersOf(there);
  const lacking = available === undefined ? undefined : [...members].find(member => !available.has(member));
  if (lacking === undefined || available === undefined) return;
  throw new LimitError({
    call,
    what: `resources.${option}`,
    reason: `${JSON.stringify(value)} asks for ${lacking}, available are ${there}`,
    limit: Math.max(...available),
  });
}

/** More than any machine has; a range beyond it would only take memory. */
const MOST_MEMBERS = 65_536;

function membersOf(text: string): ReadonlySet<number> | undefined {
  const members = new Set<number>();
  for (const part of text.split(',')) {
    const [, first, last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part) ?? [];
    const [from, to] = [Number(first), Number(last)];
    if (first === undefined || from > to || to >= MOST_MEMBERS) return undefined;
    for (let member = from; member <= to; member++) members.add(member);
  }
  return members;
}

function checkSwitch(_host: CgroupHost, option: keyof Resources, value: unknown, call: string): void {
  if (typeof value !== 'boolean')
    throw new TypeError(`${call}: resources.${option}: expected true or false, got ${String(value)} (${typeof value})`);
}

function checkWeights(host: CgroupHost, option: keyof Resources, value: unknown, call: string): void {
  for (const { path, amount } of devicesIn(option, value, 'weight', call)) {
    checkNumber(host, option, amount, { controller: 'blkio', feature: 'blockIo', range: [10, 1000] }, call);
    blockDevice(path, option, call);
  }
}

function checkRates(host: CgroupHost, option: keyof Resources, value: unknown, call: string): void {
  const range = [1, Number.MAX_SAFE_INTEGER] as const;
  for (const { path, amount } of devicesIn(option, value, 'perSecond', call)) {
    checkNumber(host, option, amount, { controller: 'blkio', feature: 'blockIo', range }, call);
    blockDevice(path, option, call);
  }
}

function devicesIn(
  option: keyof Resources,
  value: unknown,
  amount: string,
  call: string,
): { path: string; amount: unknown }[] {
  if (!Array.isArray(value)) throw new TypeError(`${call}: resources.${option}: expected a list, got ${typeof value}`);
  return value.map((item: unknown) => {
    const { path, [amount]: number } = (item ?? {}) as Record<string, unknown>;
    if (typeof path !== 'string' || !path.startsWith('/'))
      throw new TypeError(`${call}: resources.${option}: expected an absolute path, got ${JSON.stringify(path)}`);
    return { path, amount: number };
  });
}

function checkHugePages(host: CgroupHost, option: keyof Resources, value: unknown, call: string): void {
  if (typeof value !== 'object' || value === null)
    throw new TypeError(`${call}: resources.${option}: expected sizes of pages with bytes, got ${String(value)}`);
  const sizes = pageSizes();
  for (const [size, bytes] of Object.entries(value) as [string, unknown][]) {
    if (!sizes.includes(size)) {
      throw new UnsupportedError({
        call,
        feature: 'hugePages',
        reason: `resources.${option}: there are no pages of ${size} here, only of ${sizes.join(', ') || 'the usual size'}`,
      });
    }
    const range = [0, Number.MAX_SAFE_INTEGER] as const;
    checkNumber(host, option, bytes, { controller: 'hugetlb', feature: 'hugePages', range }, call);
  }
}

/** As cgroup files name them: `2MB`, `1GB`. */
function pageSizes(): string[] {
  try {
    return readdirSync('/sys/kernel/mm/hugepages').map(name => {
      const kib = Number(/^hugepages-(\d+)kB$/.exec(name)?.[1]);
      if (kib >= 1 << 20) return `${kib / (1 << 20)}GB`;
      return kib >= 1024 ? `${kib / 1024}MB` : `${kib}KB`;
    });
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}
