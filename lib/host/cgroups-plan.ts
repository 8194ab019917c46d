import type { Resources } from '../types.js';
import { CGROUP_PARENT } from './cgroups.js';
import type { CgroupHost, Controller, Hierarchy } from './cgroups.js';
import { deviceProgram } from './cgroups-bpf.js';
import { defaultDeviceRules, deviceRuleWrites } from './cgroups-devices.js';
import type { DeviceRule } from './cgroups-devices.js';
import { checkResources } from './cgroups-limits.js';
import { limitWrites } from './cgroups-writes.js';

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
  /**
   * Kills everything: by writing `1` to `file`, or by signalling each pid that `procs` lists, with `pids` set to 0 before,
   * so that it does not fork away.
   */
  readonly kill?: { readonly file: string } | { readonly procs: string; readonly pids?: string };
  /** On version 2, the program that decides on device nodes, and the directory it is for. */
  readonly devices?: { readonly dir: string; readonly program: Buffer };
  /** For `/sys/fs/cgroup` inside the container, read-only, on version 1. On version 2 a cgroup2 mount shows it by itself. */
  readonly binds: readonly {
    readonly source: string;
    readonly target: string;
    /** The file system that shows the same to whoever has a cgroup namespace. */
    readonly type: { readonly name: 'cgroup' | 'cgroup2'; readonly options: string };
  }[];
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
  /** Where its groups are made instead of under ours; see `prepareParent`, which makes it and reads what it may use. */
  readonly parent?: { readonly path: string; readonly cpuset?: CgroupHost['cpuset'] };
}

/** The group, in the hierarchy of devices, that all containers with the default set share: made once, nothing per start. */
export const SHARED_DEVICES = 'default-devices';

/** Always made: they limit, count or freeze. cpuset only when asked for, devices are shared or their own. */
const standard: readonly Controller[] = ['memory', 'pids', 'cpu', 'cpuacct', 'blkio', 'freezer'];

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
  const groups = groupsOf(host, id, resources, options);
  const entered = [...new Set(groups.values())];
  const own = entered.filter(path => path.endsWith(`/${id}`));
  const v2 = host.mode === 'v2' ? own[0] : undefined;
  const devices = v2 === undefined || options.devices === 'all' || !groups.has('devices') ? undefined : v2;
  const memory = groups.get('memory');
  const freezer = groups.get('freezer');
  return {
    dirs: own,
    writes: [
      ...(v2 === undefined ? deviceWrites(groups, options.devices) : []),
      ...limitWrites(host, groups, resources, {
        cpuset: options.parent?.cpuset ?? host.cpuset,
        fillParent: options.parent === undefined,
        call,
      }),
    ],
    join: entered.map(path => `${path}/${hierarchyOf(host, path)?.version === 2 ? 'cgroup.procs' : 'tasks'}`),
    ...(v2 === undefined ? {} : { into: v2 }),
    remove: own,
    ...(memory === undefined
      ? {}
      : { oom: { path: `${memory}/${v2 === undefined ? 'memory.oom_control' : 'memory.events'}`, key: 'oom_kill' } }),
    ...(freezer === undefined ? {} : { freeze: freezePlan(freezer, v2 !== undefined) }),
    ...killPlan(v2, own[0], groups.get('pids')),
    ...(devices === undefined ? {} : { devices: { dir: devices, program: programOf(options.devices) } }),
    binds: v2 === undefined ? entered.map(path => bindOf(host, path)) : [],
    groups,
    devicesEnforced: groups.has('devices'),
  };
}

function groupsOf(
  host: CgroupHost,
  id: string,
  resources: Resources,
  { devices, parent }: CgroupOptions,
): Map<Controller, string> {
  const groups = new Map<Controller, string>();
  const wanted: readonly Controller[] = [
    ...standard,
    // Somebody else's parent may set limits of any kind.
    ...(parent !== undefined || resources.cpusetCpus !== undefined || resources.cpusetMems !== undefined
      ? (['cpuset'] as const)
      : []),
    ...(resources.hugePageBytes === undefined ? [] : (['hugetlb'] as const)),
    ...(devices === 'all' ? [] : (['devices'] as const)),
  ];
  const above = parent === undefined ? `/${CGROUP_PARENT}` : parent.path;
  for (const [controller, hierarchy] of host.controllers) {
    if (!wanted.includes(controller)) continue;
    // Where devices share a hierarchy with others (mounted together), a process cannot be in a group of its own for these.
    const shared =
      controller === 'devices' &&
      !Array.isArray(devices) &&
      parent === undefined &&
      hierarchy.version === 1 &&
      hierarchy.controllers.length === 1;
    groups.set(controller, `${hierarchy.base}${above}/${shared ? SHARED_DEVICES : id}`);
  }
  return groups;
}

/** The longest base wins: that of a hybrid host's version 2 may hold others. */
function hierarchyOf(host: CgroupHost, path: string): Hierarchy | undefined {
  return host.hierarchies
    .filter(candidate => path.startsWith(`${candidate.base}/`))
    .sort((a, b) => b.base.length - a.base.length)[0];
}

function bindOf(host: CgroupHost, source: string): CgroupPlan['binds'][number] {
  const hierarchy = hierarchyOf(host, source);
  const target = `/sys/fs/cgroup/${hierarchy === undefined ? '' : nameOf(hierarchy)}`;
  return hierarchy?.version === 2
    ? { source, target, type: { name: 'cgroup2', options: '' } }
    : { source, target, type: { name: 'cgroup', options: hierarchy?.controllers.join(',') ?? '' } };
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

function killPlan(v2: string | undefined, own: string | undefined, pids: string | undefined): Pick<CgroupPlan, 'kill'> {
  if (v2 !== undefined) return { kill: { file: `${v2}/cgroup.kill` } };
  if (own === undefined) return {};
  return { kill: { procs: `${own}/cgroup.procs`, ...(pids === undefined ? {} : { pids: `${pids}/pids.max` }) } };
}

function deviceWrites(groups: ReadonlyMap<Controller, string>, devices: CgroupOptions['devices']): CgroupWrite[] {
  const group = groups.get('devices');
  if (group === undefined || devices === 'all' || group.endsWith(`/${SHARED_DEVICES}`)) return [];
  return deviceRuleWrites(group, rulesOf(devices));
}

let common: Buffer | undefined;

/** Compiled once for those that have just the default rules. */
function programOf(devices: CgroupOptions['devices']): Buffer {
  return Array.isArray(devices) ? deviceProgram(rulesOf(devices)) : (common ??= deviceProgram());
}

function rulesOf(devices: CgroupOptions['devices']): readonly DeviceRule[] {
  return [...defaultDeviceRules, ...(devices === undefined || typeof devices === 'string' ? [] : devices)];
}
