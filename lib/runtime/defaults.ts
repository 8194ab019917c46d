import { existsSync, readFileSync } from 'node:fs';

import type { CgroupPlan } from '../host/cgroups-plan.js';
import { attribute } from './spec.js';
import type { DeviceNode, MountSpec, Peer } from './spec.js';

/** Where commands are looked for when the image says nothing. */
export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Size of `/dev/shm`, as Docker. */
export const DEFAULT_SHM_BYTES = 64 * 1024 * 1024;

const { noDev, noExec, noSuid, readOnly, strictAtime } = attribute;

/** What a container's first process finds in `/dev`: all that the device rules let it open. */
export const defaultDevices: readonly DeviceNode[] = [
  node('/dev/null', 1, 3),
  node('/dev/zero', 1, 5),
  node('/dev/full', 1, 7),
  node('/dev/random', 1, 8),
  node('/dev/urandom', 1, 9),
  node('/dev/tty', 5, 0),
];

function node(path: string, major: number, minor: number): DeviceNode {
  return { path, type: 'c', major, minor, mode: 0o666, uid: 0, gid: 0 };
}

/** Links in `/dev`, as runc makes them: the last one only where the kernel shows its memory. */
export const defaultSymlinks: readonly { readonly path: string; readonly target: string }[] = [
  { path: '/dev/fd', target: '/proc/self/fd' },
  { path: '/dev/stdin', target: '/proc/self/fd/0' },
  { path: '/dev/stdout', target: '/proc/self/fd/1' },
  { path: '/dev/stderr', target: '/proc/self/fd/2' },
  { path: '/dev/ptmx', target: 'pts/ptmx' },
  ...(existsSync('/proc/kcore') ? [{ path: '/dev/core', target: '/proc/kcore' }] : []),
];

/** What Docker sets in a network namespace of the container's own: there every user may listen on port 80, and ping. */
export const networkSysctls: Readonly<Record<string, string>> = {
  'net.ipv4.ip_unprivileged_port_start': '0',
  'net.ipv4.ping_group_range': '0 2147483647',
};

/** Seen, not written. */
export const readOnlyPaths: readonly string[] = [
  '/proc/bus',
  '/proc/fs',
  '/proc/irq',
  '/proc/sys',
  '/proc/sysrq-trigger',
];

// In Docker's order. Some came with advisories: interrupts and thermal_throttle tell one container what another types
// (GHSA-6fw5-f8r9-fgfm), powercap what it computes (GHSA-jq35-85cj-fj4p).
const alwaysMasked: readonly string[] = [
  '/proc/asound',
  '/proc/acpi',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
];

let masked: readonly string[] | undefined;

/** Not seen at all; what does not exist is passed over. One path per processor is among them on real hardware. */
export function maskedPaths(): readonly string[] {
  masked ??= [...alwaysMasked, ...thermalThrottle()];
  return masked;
}

function thermalThrottle(): string[] {
  const range = readFileSync('/sys/devices/system/cpu/possible', 'utf8').trim();
  const last = Number(range.split(/[-,]/).at(-1));
  return Array.from({ length: last + 1 }, (_, cpu) => `/sys/devices/system/cpu/cpu${cpu}/thermal_throttle`).filter(
    path => existsSync(path),
  );
}

export interface DefaultMountOptions {
  /** Default {@link DEFAULT_SHM_BYTES}. */
  readonly shmBytes?: number;
  /** Group of pseudo terminals, 5 (`tty`) by default; `undefined` where it is not mapped in the user namespace. */
  readonly ttyGid?: number | undefined;
  /** Writable `/sys`. */
  readonly privileged?: boolean;
  /** Whose `/dev/shm`: its own by default, the host's, that of another container, or none at all. */
  readonly sharedMemory?: 'private' | 'host' | 'none' | Peer;
}

/** What Docker mounts into every container, in order; `/sys/fs/cgroup` is {@link cgroupMounts}. */
export function defaultMounts(options: DefaultMountOptions = {}): MountSpec[] {
  const { shmBytes = DEFAULT_SHM_BYTES, privileged = false, sharedMemory = 'private' } = options;
  const ttyGid = 'ttyGid' in options ? options.ttyGid : 5;
  const devpts = `newinstance,ptmxmode=0666,mode=0620${ttyGid === undefined ? '' : `,gid=${ttyGid}`}`;
  const quiet = noSuid | noExec | noDev;
  return [
    mount('proc', 'proc', '/proc', quiet),
    mount('tmpfs', 'tmpfs', '/dev', noSuid | strictAtime, 'mode=755,size=65536k'),
    mount('devpts', 'devpts', '/dev/pts', noSuid | noExec, devpts),
    mount('sysfs', 'sysfs', '/sys', privileged ? quiet : quiet | readOnly),
    mount('mqueue', 'mqueue', '/dev/mqueue', quiet),
    ...shared(sharedMemory, shmBytes),
  ];
}

function shared(memory: NonNullable<DefaultMountOptions['sharedMemory']>, shmBytes: number): MountSpec[] {
  const target = '/dev/shm';
  if (memory === 'none') return [];
  if (memory === 'private')
    return [mount('tmpfs', 'shm', target, noSuid | noExec | noDev, `mode=1777,size=${shmBytes}`)];
  if (memory === 'host')
    return [{ kind: 'bind', source: target, target, attributes: 0, recursive: false, create: 'directory' }];
  return [{ kind: 'bind-of', peer: memory, source: target, target, attributes: 0 }];
}

export interface CgroupMountOptions {
  /** The container may write to its groups. */
  readonly writable?: boolean;
  /** It has a cgroup namespace. */
  readonly ownNamespace?: boolean;
}

/**
 * `/sys/fs/cgroup` as programs expect it, read-only: it is how a runtime inside learns of its limits. On version 1 a tmpfs
 * with one bind per hierarchy, which has to be made read-only when they are in it (`readOnlyPaths`); on version 2 a cgroup2
 * mount, which shows the container's own group when it has a cgroup namespace.
 */
export function cgroupMounts(
  plan: CgroupPlan,
  options: CgroupMountOptions = {},
): { readonly mounts: MountSpec[]; readonly readOnlyPaths: string[] } {
  const attributes = (options.writable === true ? 0 : readOnly) | noSuid | noExec | noDev;
  if (plan.into !== undefined)
    return { mounts: [mount('cgroup2', 'cgroup', '/sys/fs/cgroup', attributes)], readOnlyPaths: [] };
  if (plan.binds.length === 0) return { mounts: [], readOnlyPaths: [] };
  const binds = plan.binds.map(({ source, target, type }): MountSpec =>
    // In a namespace of its own, a fresh mount shows the container's group as the root of all.
    options.ownNamespace === true
      ? mount(type.name, 'cgroup', target, attributes, type.options)
      : { kind: 'bind', source, target, attributes, recursive: false, create: 'directory' },
  );
  if (options.writable === true)
    return {
      mounts: [mount('tmpfs', 'tmpfs', '/sys/fs/cgroup', noSuid | noExec | noDev, 'mode=755'), ...binds],
      readOnlyPaths: [],
    };
  return {
    mounts: [mount('tmpfs', 'tmpfs', '/sys/fs/cgroup', noSuid | noExec | noDev, 'mode=755'), ...binds],
    readOnlyPaths: ['/sys/fs/cgroup'],
  };
}

function mount(type: string, source: string, target: string, attributes: number, options = ''): MountSpec {
  return { kind: 'filesystem', type, source, target, attributes, options };
}
