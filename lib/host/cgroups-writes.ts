import type { Resources } from '../types.js';
import type { CgroupHost, Controller } from './cgroups.js';
import { blockDevice } from './cgroups-devices.js';
import type { CgroupWrite } from './cgroups-plan.js';

const PERIOD_MICROS = 100_000;

export interface LimitWriteOptions {
  /** What a cpuset of version 1 starts with: all that the group above may use. */
  readonly cpuset: CgroupHost['cpuset'];
  /** Whether the group above, which is ours, gets all processors first: a new cpuset of version 1 has none. */
  readonly fillParent: boolean;
  /** The user's call, for error messages. */
  readonly call: string;
}

/**
 * What is to be written where for these limits, in an order that the kernel takes for a new group.
 *
 * @param groups - Each controller's directory.
 * @throws {@link NotFoundError} for a device that is not there, `TypeError` for one that is no block device.
 */
export function limitWrites(
  host: CgroupHost,
  groups: ReadonlyMap<Controller, string>,
  resources: Resources,
  options: LimitWriteOptions,
): CgroupWrite[] {
  const writes = new Writes(groups);
  if (host.mode === 'v2') writeV2(writes, host, resources, options);
  else writeV1(writes, host, groups, resources, options);
  writeHugePages(writes, host, resources);
  return writes.list;
}

/** Collects writes into one group; a value that was not given writes nothing. */
class Writes {
  readonly list: CgroupWrite[] = [];
  readonly #groups: ReadonlyMap<Controller, string>;

  constructor(groups: ReadonlyMap<Controller, string>) {
    this.#groups = groups;
  }

  add(controller: Controller, file: string, value: number | string | undefined, option: keyof Resources): void {
    const group = this.#groups.get(controller);
    if (group === undefined || value === undefined) return;
    this.list.push({ path: `${group}/${file}`, value: String(value), what: `resources.${option}` });
  }
}

function writeV1(
  writes: Writes,
  host: CgroupHost,
  groups: ReadonlyMap<Controller, string>,
  resources: Resources,
  { cpuset, fillParent, call }: LimitWriteOptions,
): void {
  // The limit before the sum of memory and swap: the sum may never be the lower one.
  writes.add('memory', 'memory.limit_in_bytes', resources.memoryBytes, 'memoryBytes');
  writes.add('memory', 'memory.memsw.limit_in_bytes', memoryAndSwap(host, resources), optionOfSwap(resources));
  writes.add('memory', 'memory.soft_limit_in_bytes', resources.memoryReservationBytes, 'memoryReservationBytes');
  if (resources.memorySwappiness !== -1)
    writes.add('memory', 'memory.swappiness', resources.memorySwappiness, 'memorySwappiness');
  if (resources.oomKillDisable === true) writes.add('memory', 'memory.oom_control', 1, 'oomKillDisable');
  writes.add('pids', 'pids.max', maxProcesses(resources), 'maxProcesses');
  const cpu = quota(resources);
  writes.add('cpu', 'cpu.cfs_period_us', cpu?.period, cpu?.option ?? 'cpus');
  writes.add('cpu', 'cpu.cfs_quota_us', cpu?.quota, cpu?.option ?? 'cpus');
  writes.add('cpu', 'cpu.shares', resources.cpuShares, 'cpuShares');
  // A new cpuset is empty, and its parent's as well until somebody fills it; both files are needed before a process enters.
  const group = groups.get('cpuset');
  if (group !== undefined && fillParent) {
    const above = group.slice(0, group.lastIndexOf('/'));
    writes.list.push({ path: `${above}/cpuset.cpus`, value: cpuset.cpus, what: 'resources.cpusetCpus' });
    writes.list.push({ path: `${above}/cpuset.mems`, value: cpuset.mems, what: 'resources.cpusetMems' });
  }
  writes.add('cpuset', 'cpuset.cpus', resources.cpusetCpus ?? cpuset.cpus, 'cpusetCpus');
  writes.add('cpuset', 'cpuset.mems', resources.cpusetMems ?? cpuset.mems, 'cpusetMems');
  writeBlockV1(writes, host, resources, call);
}

/** One device per write: that is how the files are read. */
function writeBlockV1(writes: Writes, host: CgroupHost, resources: Resources, call: string): void {
  const prefix = host.blockWeight === 'bfq' ? 'blkio.bfq' : 'blkio';
  writes.add('blkio', `${prefix}.weight`, unlessZero(resources.blkioWeight), 'blkioWeight');
  for (const { path, weight } of resources.blkioWeightDevices ?? []) {
    const device = blockDevice(path, 'blkioWeightDevices', call);
    writes.add('blkio', `${prefix}.weight_device`, `${device} ${weight}`, 'blkioWeightDevices');
  }
  for (const { option, v1 } of throttles) {
    for (const { path, perSecond } of resources[option] ?? [])
      writes.add('blkio', `blkio.throttle.${v1}`, `${blockDevice(path, option, call)} ${perSecond}`, option);
  }
}

const throttles = [
  { option: 'deviceReadBytes', v1: 'read_bps_device', v2: 'rbps' },
  { option: 'deviceWriteBytes', v1: 'write_bps_device', v2: 'wbps' },
  { option: 'deviceReadOps', v1: 'read_iops_device', v2: 'riops' },
  { option: 'deviceWriteOps', v1: 'write_iops_device', v2: 'wiops' },
] as const satisfies readonly { option: keyof Resources; v1: string; v2: string }[];

function writeV2(writes: Writes, host: CgroupHost, resources: Resources, { call }: LimitWriteOptions): void {
  writes.add('memory', 'memory.max', orMax(resources.memoryBytes), 'memoryBytes');
  const sum = memoryAndSwap(host, resources);
  // Version 2 counts swap by itself.
  const swap = sum === undefined || sum === -1 ? orMax(sum) : sum - (resources.memoryBytes ?? 0);
  writes.add('memory', 'memory.swap.max', swap, optionOfSwap(resources));
  const low = resources.memoryReservationBytes === -1 ? 0 : resources.memoryReservationBytes;
  writes.add('memory', 'memory.low', low, 'memoryReservationBytes');
  writes.add('pids', 'pids.max', maxProcesses(resources), 'maxProcesses');
  const cpu = quota(resources);
  if (cpu !== undefined) writes.add('cpu', 'cpu.max', `${orMax(cpu.quota)} ${cpu.period}`, cpu.option);
  if (resources.cpuShares !== undefined) writes.add('cpu', 'cpu.weight', weightOf(resources.cpuShares), 'cpuShares');
  writes.add('cpuset', 'cpuset.cpus', resources.cpusetCpus, 'cpusetCpus');
  writes.add('cpuset', 'cpuset.mems', resources.cpusetMems, 'cpusetMems');
  writeBlockV2(writes, host, resources, call);
}

function writeBlockV2(writes: Writes, host: CgroupHost, resources: Resources, call: string): void {
  // BFQ has a file of its own, with the old scale.
  const bfq = host.blockWeight === 'bfq';
  const scaled = (weight: number): number => (bfq ? weight : ioWeightOf(weight));
  const file = bfq ? 'io.bfq.weight' : 'io.weight';
  const weight = unlessZero(resources.blkioWeight);
  if (weight !== undefined) writes.add('blkio', file, bfq ? weight : `default ${scaled(weight)}`, 'blkioWeight');
  for (const { path, weight: own } of resources.blkioWeightDevices ?? []) {
    const device = blockDevice(path, 'blkioWeightDevices', call);
    writes.add('blkio', file, `${device} ${scaled(own)}`, 'blkioWeightDevices');
  }
  for (const { option, v2 } of throttles) {
    for (const { path, perSecond } of resources[option] ?? [])
      writes.add('blkio', 'io.max', `${blockDevice(path, option, call)} ${v2}=${perSecond}`, option);
  }
}

function writeHugePages(writes: Writes, host: CgroupHost, resources: Resources): void {
  const file = host.controllers.get('hugetlb')?.version === 2 ? 'max' : 'limit_in_bytes';
  for (const [size, bytes] of Object.entries(resources.hugePageBytes ?? {}))
    writes.add('hugetlb', `hugetlb.${size}.${file}`, bytes, 'hugePageBytes');
}

/** Shares 2 … 262144 of version 1 on the scale 1 … 10000 of version 2, as runc maps them. */
function weightOf(shares: number): number {
  return 1 + Math.floor(((shares - 2) * 9999) / 262_142);
}

/** Weights 10 … 1000 of version 1 on the scale 1 … 10000 of version 2, as runc maps them. */
function ioWeightOf(weight: number): number {
  return 1 + Math.floor(((weight - 10) * 9999) / 990);
}

function orMax<T>(value: T): T | 'max' {
  return value === -1 ? 'max' : value;
}

function unlessZero(value: number | undefined): number | undefined {
  return value === 0 ? undefined : value;
}

function memoryAndSwap(host: CgroupHost, resources: Resources): number | undefined {
  if (!host.swap) return undefined;
  if (resources.memorySwapBytes !== undefined) return resources.memorySwapBytes;
  return resources.memoryBytes === undefined ? undefined : 2 * resources.memoryBytes;
}

function optionOfSwap(resources: Resources): keyof Resources {
  return resources.memorySwapBytes === undefined ? 'memoryBytes' : 'memorySwapBytes';
}

function maxProcesses(resources: Resources): number | string | undefined {
  if (resources.maxProcesses === undefined) return undefined;
  return resources.maxProcesses <= 0 ? 'max' : resources.maxProcesses;
}

function quota(resources: Resources): { quota: number; period: number; option: keyof Resources } | undefined {
  const period = resources.cpuPeriodMicros ?? PERIOD_MICROS;
  if (resources.cpus !== undefined)
    return { quota: Math.round(resources.cpus * PERIOD_MICROS), period: PERIOD_MICROS, option: 'cpus' };
  if (resources.cpuQuotaMicros !== undefined)
    return { quota: resources.cpuQuotaMicros, period, option: 'cpuQuotaMicros' };
  return resources.cpuPeriodMicros === undefined ? undefined : { quota: -1, period, option: 'cpuPeriodMicros' };
}
