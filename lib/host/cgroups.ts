import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';

import { readMountInfo } from './mountinfo.js';
import type { MountInfo } from './mountinfo.js';
import { isWritable } from './writable.js';

/** What the kernel can limit or count. On version 2, `blkio` is its `io`, `cpuacct` is part of `cpu`. */
export type Controller = 'memory' | 'pids' | 'cpu' | 'cpuacct' | 'blkio' | 'freezer' | 'devices' | 'cpuset' | 'hugetlb';

/** One mounted tree of cgroups. On version 1 there are several, each with its own controllers. */
export interface Hierarchy {
  readonly version: 1 | 2;
  /** Where it is mounted: `/sys/fs/cgroup/memory`. */
  readonly mount: string;
  /** The directory that holds ours: the mount, or what was delegated to this user. */
  readonly base: string;
  readonly controllers: readonly Controller[];
}

/** Why a controller cannot be used, and what would change that. */
export interface Missing {
  readonly reason: string;
  readonly remedy: string;
}

/** The cgroups of this machine, as far as this process may use them. Read once. */
export interface CgroupHost {
  readonly mode: 'v1' | 'v2' | 'hybrid' | 'none';
  /** Those that are used: one per hierarchy on version 1, a single one on version 2. */
  readonly hierarchies: readonly Hierarchy[];
  readonly controllers: ReadonlyMap<Controller, Hierarchy>;
  readonly missing: ReadonlyMap<Controller, Missing>;
  /** Swap can be limited. */
  readonly swap: boolean;
  /** Processors and memory nodes that a cpuset of version 1 starts with. */
  readonly cpuset: { readonly cpus: string; readonly mems: string };
  /** How many processors there are. */
  readonly cpus: number;
  /** Which of the kernel's schedulers weighs block input and output; `undefined` when none can. */
  readonly blockWeight?: 'bfq' | 'other' | undefined;
}

/** The directory in each hierarchy under which all of ours are. */
export const CGROUP_PARENT = 'tscontainer';

const controllers: readonly Controller[] = [
  'memory',
  'pids',
  'cpu',
  'cpuacct',
  'blkio',
  'freezer',
  'devices',
  'cpuset',
  'hugetlb',
];

/** Reads which cgroup hierarchies there are and which of their controllers this process may use. Changes nothing. */
export function describeCgroups(mounts: readonly MountInfo[] = readMountInfo()): CgroupHost {
  const v1 = mounts.filter(mount => mount.type === 'cgroup').flatMap(hierarchyV1);
  const v2 = mounts.find(mount => mount.type === 'cgroup2');
  // A hybrid host keeps its controllers in version 1; the tree of version 2 is there for systemd's book-keeping, and for
  // the one controller that programs may have left out of version 1.
  if (v1.length > 0) return v2 === undefined ? assemble('v1', v1) : assemble('hybrid', [...v1, ...restOf(v2, v1)]);
  if (v2 !== undefined) return describeV2(v2.target);
  return assemble('none', []);
}

function hierarchyV1(mount: MountInfo): Hierarchy[] {
  const own = controllers.filter(controller => mount.superOptions.includes(controller));
  return own.length === 0 ? [] : [{ version: 1, mount: mount.target, base: mount.target, controllers: own }];
}

/** The version 2 tree of a hybrid host, if that is where huge pages are limited. */
function restOf({ target }: MountInfo, v1: readonly Hierarchy[]): Hierarchy[] {
  if (v1.some(({ controllers: own }) => own.includes('hugetlb'))) return [];
  const words = readFileSync(join(target, 'cgroup.controllers'), 'utf8').trim().split(' ');
  return words.includes('hugetlb') ? [{ version: 2, mount: target, base: target, controllers: ['hugetlb'] }] : [];
}

function assemble(
  mode: CgroupHost['mode'],
  all: readonly Hierarchy[],
  why?: ReadonlyMap<Controller, Missing>,
): CgroupHost {
  const usable = new Map<Controller, Hierarchy>();
  const missing = new Map<Controller, Missing>(why);
  for (const hierarchy of all) {
    const directory = oursOrBase(hierarchy);
    for (const controller of hierarchy.controllers) {
      if (isWritable(directory)) usable.set(controller, hierarchy);
      else
        missing.set(controller, {
          reason: `${directory} is not writable for this user`,
          remedy: notDelegated(hierarchy),
        });
    }
  }
  for (const controller of controllers) {
    if (!usable.has(controller) && !missing.has(controller)) missing.set(controller, unmounted(mode, controller));
  }
  const memory = usable.get('memory');
  const cpuset = usable.get('cpuset');
  return {
    mode,
    hierarchies: [...new Set(usable.values())],
    controllers: usable,
    missing,
    swap: memory !== undefined && countsSwap(memory),
    cpuset: { cpus: read(cpuset, 'cpuset.cpus'), mems: read(cpuset, 'cpuset.mems') },
    cpus: availableParallelism(),
    // Only groups below the root have these files, so this is looked up when it is needed, when ours is there.
    get blockWeight() {
      return blockWeight(usable.get('blkio'));
    },
  };
}

function blockWeight(blkio: Hierarchy | undefined): 'bfq' | 'other' | undefined {
  if (blkio === undefined) return undefined;
  const group = join(blkio.base, CGROUP_PARENT);
  const [bfq, other] = blkio.version === 1 ? ['blkio.bfq.weight', 'blkio.weight'] : ['io.bfq.weight', 'io.weight'];
  if (existsSync(join(group, bfq))) return 'bfq';
  return existsSync(join(group, other)) ? 'other' : undefined;
}

/** Our own parent directory may be delegated where its parent is not. */
function oursOrBase(hierarchy: Hierarchy): string {
  const ours = join(hierarchy.base, CGROUP_PARENT);
  return existsSync(ours) ? ours : hierarchy.base;
}

function notDelegated(hierarchy: Hierarchy): string {
  return hierarchy.version === 1
    ? `run as root, or have root make ${join(hierarchy.base, CGROUP_PARENT)} and give it to this user (chown)`
    : 'run inside a delegated scope: systemd-run --user --scope -p Delegate=yes <command>';
}

function unmounted(mode: CgroupHost['mode'], controller: Controller): Missing {
  if (mode === 'none') {
    return { reason: 'no cgroup file system is mounted', remedy: 'mount -t cgroup2 cgroup2 /sys/fs/cgroup' };
  }
  if (mode === 'v2') {
    return controller === 'devices'
      ? {
          reason: 'on version 2 device rules are BPF programs, and this process may not load any',
          remedy: 'run as root with CAP_SYS_ADMIN',
        }
      : {
          reason: `the controller ${controller} is not enabled`,
          remedy: 'enable it in cgroup.subtree_control of the parent cgroup',
        };
  }
  return {
    reason: `the controller ${controller} is in no version 1 hierarchy`,
    remedy: `mount -t cgroup -o ${controller} cgroup /sys/fs/cgroup/${controller}, or boot with systemd.unified_cgroup_hierarchy=1`,
  };
}

function read(hierarchy: Hierarchy | undefined, file: string): string {
  if (hierarchy?.version !== 1) return '';
  return readFileSync(join(hierarchy.mount, file), 'utf8').trim();
}

function countsSwap(memory: Hierarchy): boolean {
  if (memory.version === 1) return existsSync(join(memory.mount, 'memory.memsw.limit_in_bytes'));
  // The root of version 2 has no limits of its own, so any cgroup below it has to tell.
  const child = children(memory.mount).find(path => existsSync(join(path, 'memory.max')));
  return child === undefined ? existsSync('/proc/swaps') : existsSync(join(child, 'memory.swap.max'));
}

function children(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap(entry =>
    entry.isDirectory() ? join(directory, entry.name) : [],
  );
}

/** Names in `cgroup.controllers` of version 2, as we call them. */
const namesV2: Readonly<Record<string, readonly Controller[]>> = {
  memory: ['memory'],
  pids: ['pids'],
  cpu: ['cpu', 'cpuacct'],
  io: ['blkio'],
  cpuset: ['cpuset'],
  hugetlb: ['hugetlb'],
};

/** What `cgroup.subtree_control` of version 2 calls those. */
export const controllersV2 = Object.keys(namesV2);

function describeV2(mount: string): CgroupHost {
  const own = ownCgroup();
  const base = process.geteuid?.() === 0 ? mount : topmostWritable(mount, own === undefined ? mount : join(mount, own));
  const words = readFileSync(join(base, 'cgroup.controllers'), 'utf8').trim().split(' ');
  const here = words.flatMap(word => namesV2[word] ?? []);
  const enabled = readFileSync(join(base, 'cgroup.subtree_control'), 'utf8')
    .trim()
    .split(' ')
    .flatMap(word => namesV2[word] ?? []);
  // Outside the real root, a cgroup with processes of its own cannot hand controllers to its children (cgroups(7), "no
  // internal processes"). The real root is the one without cgroup.type.
  const stuck = existsSync(join(base, 'cgroup.type')) && readFileSync(join(base, 'cgroup.procs'), 'utf8') !== '';
  const usable = stuck ? enabled : here;
  const missing = new Map<Controller, Missing>();
  for (const controller of here.filter(name => !usable.includes(name))) {
    missing.set(controller, {
      reason: `${base} holds processes, so it cannot hand ${controller} to its children`,
      remedy:
        'move its processes into a child cgroup, or run where a whole cgroup is delegated (systemd-run --scope -p Delegate=yes)',
    });
  }
  // Freezing is part of version 2 itself (Linux 5.2), no controller; neither are devices, for which there are programs.
  const devices: readonly Controller[] = mayLoadPrograms() ? ['devices'] : [];
  return assemble('v2', [{ version: 2, mount, base, controllers: [...usable, 'freezer', ...devices] }], missing);
}

const CAP_SYS_ADMIN = 21n;

/** Whether the kernel takes BPF programs for cgroups from this process: only from the initial user namespace's root. */
function mayLoadPrograms(): boolean {
  const mask = /^CapEff:\s+([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return ((BigInt(`0x${mask}`) >> CAP_SYS_ADMIN) & 1n) === 1n && /^\s*0\s+0\s+4294967295\s*$/.test(uidMap());
}

function uidMap(): string {
  return readFileSync('/proc/self/uid_map', 'utf8');
}

function ownCgroup(): string | undefined {
  return /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1];
}

/** A process can be moved only below a cgroup that this user may write and that holds both ends: the topmost such one. */
function topmostWritable(mount: string, own: string): string {
  let best = own;
  for (let path = own; path.startsWith(mount); path = dirname(path)) {
    if (!isWritable(path) || !isWritable(join(path, 'cgroup.procs'))) break;
    best = path;
    if (path === mount) break;
  }
  return best;
}
