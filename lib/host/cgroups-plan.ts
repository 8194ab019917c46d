import type { Resources } from '../types.js';
import { CGROUP_PARENT } from './cgroups.js';
import type { CgroupHost, Controller, Hierarchy } from './cgroups.js';
import { checkResources } from './cgroups-limits.js';

/** A device rule in the kernel's words: `c 1:3 rwm`. All of them are permissions; what is not listed is refused. */
export type DeviceRule = string;

/** One value for one file. */
export interface CgroupWrite {
  readonly path: string;
  readonly value: string;
  /** The option that asked for it, so that a refusal can name it: `resources.memoryBytes`. */
  readonly what: string;
}

/** Everything about the cgroups of one container: how to make them, enter them, use them and remove them. */
export interface CgroupPlan {
  /** To be made, in this order. `EEXIST` is fine; on `ENOENT` the parents went: call `prepareCgroups` again. */
  readonly dirs: readonly string[];
  /** To be written when the directories are there, in this order. */
  readonly writes: readonly CgroupWrite[];
  /** The first process writes `0` into each: `tasks` on version 1, `cgroup.procs` on version 2 (docs/adr/0003). */
  readonly join: readonly string[];
  /** On version 2, the directory for clone3's `CLONE_INTO_CGROUP`, instead of `join`. */
  readonly into?: string;
  /** To be removed when the last process is gone. */
  readonly remove: readonly string[];
  /** Counts processes that the kernel killed for want of memory. */
  readonly oom?: { readonly path: string; readonly key: 'oom_kill' };
  readonly freeze?: CgroupFreeze;
  /** Kills everything: by writing `1` to `file`, or by signalling each pid that `procs` lists. */
  readonly kill?: { readonly file: string } | { readonly procs: string };
  /** For `/sys/fs/cgroup` inside the container, read-only, on version 1. On version 2 a cgroup2 mount shows it by itself. */
  readonly binds: readonly { readonly source: string; readonly target: string }[];
  /** Each controller's directory, for statistics. */
  readonly groups: ReadonlyMap<Controller, string>;
  /** Access to device nodes is controlled. Where not, the container must not be able to use nodes it makes. */
  readonly devicesEnforced: boolean;
}

/** How to freeze, thaw, and tell. */
export interface CgroupFreeze {
  readonly path: string;
  readonly frozen: string;
  readonly thawed: string;
  /** The file that tells whether it has happened, and the line that says so. */
  readonly state: string;
  readonly done: string;
}

export interface CgroupOptions {
  /** The user's call, for error messages. Default `containers.create`. */
  readonly call?: string;
  /** `default`: Docker's set. `all`: no rules (privileged). A list: the default set and these. */
  readonly devices?: 'default' | 'all' | readonly DeviceRule[];
}

/** The group, in the hierarchy of devices, that all containers with the default set share: made once, nothing per start. */
export const SHARED_DEVICES = 'default-devices';

/**
 * What Docker 28 with runc 1.3 lets a container do with device nodes: make any, but open only null, zero, full, random,
 * urandom, tty, console, ptmx, pseudo terminals and tun.
 */
export const defaultDeviceRules: readonly DeviceRule[] = [
  'c *:* m',
  'b *:* m',
  'c 1:3 rwm',
  'c 1:5 rwm',
  'c 1:7 rwm',
  'c 1:8 rwm',
  'c 1:9 rwm',
  'c 5:0 rwm',
  'c 5:1 rwm',
  'c 5:2 rwm',
  'c 136:* rwm',
  'c 10:200 rwm',
];

/** Always made: they limit, count or freeze. cpuset only when asked for, devices are shared or their own. */
const standard: readonly Controller[] = ['memory', 'pids', 'cpu', 'cpuacct', 'blkio', 'freezer'];
const PERIOD_MICROS = 100_000;

/**
 * Plans the cgroups of one container. Pure: it reads nothing and touches nothing.
 *
 * @throws {@link UnsupportedError} when a limit is asked for whose controller this host lacks.
 * @throws {@link LimitError} when a limit is lower or higher than can be.
 * @throws `TypeError` for what is no number.
 */
export function planCgroups(
  host: CgroupHost,
  id: string,
  resources: Resources = {},
  options: CgroupOptions = {},
): CgroupPlan {
  const call = options.call ?? 'containers.create';
  checkResources(host, resources, call);
  const groups = new Map<Controller, string>();
  const wantsCpuset = resources.cpusetCpus !== undefined || resources.cpusetMems !== undefined;
  for (const [controller, hierarchy] of host.controllers) {
    if (controller === 'cpuset' ? !wantsCpuset : controller !== 'devices' && !standard.includes(controller)) continue;
    if (controller === 'devices' && options.devices === 'all') continue;
    // Where devices share a hierarchy with others (mounted together), a process cannot be in a group of its own for these.
    const shared = controller === 'devices' && !Array.isArray(options.devices) && hierarchy.controllers.length === 1;
    groups.set(controller, `${hierarchy.base}/${CGROUP_PARENT}/${shared ? SHARED_DEVICES : id}`);
  }
  const entered = [...new Set(groups.values())];
  const own = entered.filter(path => path.endsWith(`/${id}`));
  const v2 = host.mode === 'v2' ? own[0] : undefined;
  const memory = groups.get('memory');
  const freezer = groups.get('freezer');
  return {
    dirs: own,
    writes: [
      ...deviceWrites(groups, options.devices),
      ...(host.mode === 'v2' ? writesV2(groups, host, resources) : writesV1(groups, host, resources)),
    ],
    join: entered.map(path => `${path}/${v2 === undefined ? 'tasks' : 'cgroup.procs'}`),
    ...(v2 === undefined ? {} : { into: v2 }),
    remove: own,
    ...(memory === undefined
      ? {}
      : { oom: { path: `${memory}/${v2 === undefined ? 'memory.oom_control' : 'memory.events'}`, key: 'oom_kill' } }),
    ...(freezer === undefined ? {} : { freeze: freezePlan(freezer, v2 !== undefined) }),
    ...killPlan(v2, own[0]),
    binds: v2 === undefined ? entered.map(path => ({ source: path, target: mountOfGroup(host, path) })) : [],
    groups,
    devicesEnforced: groups.has('devices'),
  };
}

function mountOfGroup(host: CgroupHost, path: string): string {
  const hierarchy = host.hierarchies.find(candidate => path.startsWith(`${candidate.base}/`));
  return `/sys/fs/cgroup/${hierarchy === undefined ? '' : nameOf(hierarchy)}`;
}

function nameOf(hierarchy: Hierarchy): string {
  return hierarchy.mount.slice(hierarchy.mount.lastIndexOf('/') + 1);
}

function freezePlan(group: string, v2: boolean): CgroupFreeze {
  return v2
    ? {
        path: `${group}/cgroup.freeze`,
        frozen: '1',
        thawed: '0',
        state: `${group}/cgroup.events`,
        done: 'frozen 1',
      }
    : {
        path: `${group}/freezer.state`,
        frozen: 'FROZEN',
        thawed: 'THAWED',
        state: `${group}/freezer.state`,
        done: 'FROZEN',
      };
}

function killPlan(v2: string | undefined, own: string | undefined): Pick<CgroupPlan, 'kill'> {
  if (v2 !== undefined) return { kill: { file: `${v2}/cgroup.kill` } };
  return own === undefined ? {} : { kill: { procs: `${own}/cgroup.procs` } };
}

function deviceWrites(groups: ReadonlyMap<Controller, string>, devices: CgroupOptions['devices']): CgroupWrite[] {
  const group = groups.get('devices');
  if (group === undefined || devices === 'all' || group.endsWith(`/${SHARED_DEVICES}`)) return [];
  return deviceRuleWrites(group, [
    ...defaultDeviceRules,
    ...(devices === undefined || devices === 'default' ? [] : devices),
  ]);
}

/** Refuses everything, then permits these. */
export function deviceRuleWrites(group: string, rules: readonly DeviceRule[]): CgroupWrite[] {
  return [
    { path: `${group}/devices.deny`, value: 'a', what: 'devices' },
    ...rules.map(rule => ({ path: `${group}/devices.allow`, value: rule, what: `devices: ${rule}` })),
  ];
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

function writesV1(groups: ReadonlyMap<Controller, string>, host: CgroupHost, resources: Resources): CgroupWrite[] {
  const writes = new Writes(groups);
  // The limit before the sum of memory and swap: the sum may never be the lower one.
  writes.add('memory', 'memory.limit_in_bytes', resources.memoryBytes, 'memoryBytes');
  const sum = memoryAndSwap(host, resources);
  writes.add(
    'memory',
    'memory.memsw.limit_in_bytes',
    sum,
    resources.memorySwapBytes === undefined ? 'memoryBytes' : 'memorySwapBytes',
  );
  writes.add('memory', 'memory.soft_limit_in_bytes', resources.memoryReservationBytes, 'memoryReservationBytes');
  writes.add('pids', 'pids.max', maxProcesses(resources), 'maxProcesses');
  const cpu = quota(resources);
  writes.add('cpu', 'cpu.cfs_period_us', cpu?.period, cpu?.option ?? 'cpus');
  writes.add('cpu', 'cpu.cfs_quota_us', cpu?.quota, cpu?.option ?? 'cpus');
  writes.add('cpu', 'cpu.shares', resources.cpuShares, 'cpuShares');
  // A new cpuset is empty, and its parent's as well until somebody fills it; both files are needed before a process enters.
  const parent = groups.get('cpuset');
  if (parent !== undefined) {
    const above = parent.slice(0, parent.lastIndexOf('/'));
    writes.list.push({ path: `${above}/cpuset.cpus`, value: host.cpuset.cpus, what: 'resources.cpusetCpus' });
    writes.list.push({ path: `${above}/cpuset.mems`, value: host.cpuset.mems, what: 'resources.cpusetMems' });
  }
  writes.add('cpuset', 'cpuset.cpus', resources.cpusetCpus ?? host.cpuset.cpus, 'cpusetCpus');
  writes.add('cpuset', 'cpuset.mems', resources.cpusetMems ?? host.cpuset.mems, 'cpusetMems');
  return writes.list;
}

function writesV2(groups: ReadonlyMap<Controller, string>, host: CgroupHost, resources: Resources): CgroupWrite[] {
  const writes = new Writes(groups);
  writes.add('memory', 'memory.max', resources.memoryBytes, 'memoryBytes');
  const sum = memoryAndSwap(host, resources);
  if (sum !== undefined) {
    // Version 2 counts swap by itself.
    const swap = sum === -1 ? 'max' : sum - (resources.memoryBytes ?? 0);
    writes.add(
      'memory',
      'memory.swap.max',
      swap,
      resources.memorySwapBytes === undefined ? 'memoryBytes' : 'memorySwapBytes',
    );
  }
  writes.add('memory', 'memory.low', resources.memoryReservationBytes, 'memoryReservationBytes');
  writes.add('pids', 'pids.max', maxProcesses(resources), 'maxProcesses');
  const cpu = quota(resources);
  if (cpu !== undefined)
    writes.add('cpu', 'cpu.max', `${cpu.quota === -1 ? 'max' : cpu.quota} ${cpu.period}`, cpu.option);
  if (resources.cpuShares !== undefined) writes.add('cpu', 'cpu.weight', weightOf(resources.cpuShares), 'cpuShares');
  writes.add('cpuset', 'cpuset.cpus', resources.cpusetCpus, 'cpusetCpus');
  writes.add('cpuset', 'cpuset.mems', resources.cpusetMems, 'cpusetMems');
  return writes.list;
}

/** Shares 2 … 262144 of version 1 on the scale 1 … 10000 of version 2, as runc maps them. */
function weightOf(shares: number): number {
  return 1 + Math.floor(((shares - 2) * 9999) / 262_142);
}

function memoryAndSwap(host: CgroupHost, resources: Resources): number | undefined {
  if (!host.swap) return undefined;
  if (resources.memorySwapBytes !== undefined) return resources.memorySwapBytes;
  return resources.memoryBytes === undefined ? undefined : 2 * resources.memoryBytes;
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
