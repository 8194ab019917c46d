import { Plan } from '../host/plan.js';
import { SECCOMP_FLAGS } from './seccomp.js';
import type { ContainerSpec, IdRange, MountSpec, NamespaceKind, Op, ProcessSpec } from './spec.js';

/**
 * The plan for `unshare`: everything that the monitor and the container's first process do, in order.
 *
 * @param keeping - `journal`, `restart`, `health` …: what the monitor does while the container runs, and after.
 */
export function containerPlan(spec: ContainerSpec, keeping: readonly Op[] = []): Plan {
  const plan = new Plan()
    .op('mode', 'unshare')
    .op('lifetime', spec.lifetime)
    .op('run-dir', spec.runDir)
    .op('exit-file', spec.exitFile);
  if (spec.log !== undefined) {
    const { path, maxBytes, maxFiles, driver, compress, attributes } = spec.log;
    plan.op('log', path, maxBytes, maxFiles, driver, compress ? 1 : 0, attributes);
  }
  if (spec.attach) plan.op('attach');
  for (const [name, ...fields] of keeping) plan.op(name, ...fields);
  addCgroups(plan, spec);
  addNamespaces(plan, spec);
  addRoot(plan, spec);
  for (const [name, ...fields] of spec.network) plan.op(name, ...fields);
  addProcess(plan, spec.process);
  return plan;
}

/** What an exec needs to know of the container that it enters. */
export interface Target {
  readonly pid: number;
  /** Clock ticks since boot, so that a reused pid is not taken for it. */
  readonly startTime: number;
  readonly namespaces: readonly (NamespaceKind | 'cgroup')[];
  /** Files to join its cgroups by. */
  readonly cgroupJoin: readonly string[];
}

/** The plan for `nsenter`: one more process in a running container. */
export function execPlan(target: Target, process: ProcessSpec, record?: ExecRecordSpec): Plan {
  const plan = new Plan().op('mode', 'nsenter').op('target', target.pid, target.startTime);
  if (target.cgroupJoin.length > 0) plan.op('cg-join', ...target.cgroupJoin);
  if (target.namespaces.includes('pid')) plan.op('pid-namespace');
  plan.op('namespaces', ...target.namespaces.filter(kind => kind !== 'pid'));
  addProcess(plan, process);
  if (record !== undefined) plan.op('exec-record', record.file, record.head);
  return plan;
}

/** The plan of a health check, which the monitor carries out again and again. */
export function probePlan(namespaces: Target['namespaces'], cgroupJoin: readonly string[], process: ProcessSpec): Plan {
  const plan = new Plan();
  if (cgroupJoin.length > 0) plan.op('cg-join', ...cgroupJoin);
  plan.op('namespaces', ...namespaces);
  addProcess(plan, process);
  return plan;
}

/** Where it is written down how an exec goes, and the beginning of that: JSON without its last brace. */
export interface ExecRecordSpec {
  readonly file: string;
  readonly head: string;
}

function addCgroups(plan: Plan, { cgroups, killsRest }: ContainerSpec): void {
  if (cgroups === undefined) return;
  for (const dir of cgroups.dirs) plan.op('cg-mkdir', dir);
  for (const write of cgroups.writes) plan.op('cg-write', write.path, write.value, write.what);
  if (cgroups.devices !== undefined) plan.op('cg-devices', cgroups.devices.dir, cgroups.devices.program);
  if (killsRest === true && cgroups.kill !== undefined) {
    if ('file' in cgroups.kill) plan.op('cg-kill', cgroups.kill.file);
    else plan.op('cg-kill', cgroups.kill.procs, cgroups.kill.pids ?? '');
  }
  if (cgroups.join.length > 0) plan.op('cg-join', ...cgroups.join);
  if (cgroups.remove.length > 0) plan.op('cg-rmdir', ...cgroups.remove);
  if (cgroups.oom !== undefined) plan.op('cg-oom', cgroups.oom.path, cgroups.oom.key);
}

function addNamespaces(plan: Plan, spec: ContainerSpec): void {
  plan.op('namespaces', ...spec.namespaces);
  for (const { kind, path, of } of spec.joins)
    plan.op('ns-join', kind, path, ...(of === undefined ? [] : [of.pid, of.startTime]));
  if (spec.cgroupNamespace) plan.op('cgroup-namespace');
  if (spec.userNamespace !== undefined) {
    const { setgroups, uids, gids } = spec.userNamespace;
    plan.op('user-namespace', setgroups === 'deny' ? 'deny' : '', mapText(uids), mapText(gids));
  }
  if (spec.hostname !== undefined) plan.op('hostname', spec.hostname);
  if (spec.domainname !== undefined) plan.op('domainname', spec.domainname);
}

function mapText(ranges: readonly IdRange[]): string {
  return ranges.map(range => `${range.container} ${range.host} ${range.size}\n`).join('');
}

function addRoot(plan: Plan, spec: ContainerSpec): void {
  const { root } = spec;
  if (root.kind === 'plain') plan.op('root-bind', spec.mountpoint, root.dir);
  else plan.op('root-overlay', spec.mountpoint, root.base, root.upper, root.work, root.options, ...root.lowers);
  for (const mount of spec.mounts) addMount(plan, mount);
  for (const node of spec.devices) {
    const directory = node.path.slice(0, node.path.lastIndexOf('/'));
    if (directory !== '/dev' && directory !== '') plan.op('mkdir', directory, '0755');
    plan.op('mknod', node.path, node.type, node.major, node.minor, `0${node.mode.toString(8)}`, node.uid, node.gid);
  }
  for (const link of spec.symlinks) plan.op('symlink', link.target, link.path);
  for (const [name, value] of Object.entries(spec.sysctls)) {
    plan.op('sysctl', `/proc/sys/${name.replaceAll('.', '/')}`, value, `sysctls.${name}`);
  }
  if (spec.maskedPaths.length > 0) plan.op('mask', ...spec.maskedPaths);
  for (const path of spec.readOnlyPaths) plan.op('readonly', path);
  if (spec.readOnlyRoot) plan.op('root-readonly');
  plan.op('pivot');
}

const creation = { directory: 'd', file: 'f', 'like-source': 'a', never: '-' } as const;

/** One mount below the root. */
export function addMount(plan: Plan, mount: MountSpec): void {
  switch (mount.kind) {
    case 'filesystem':
      plan.op('mount', mount.type, mount.source, mount.target, mount.attributes, mount.options);
      return;
    case 'bind': {
      const { source, target, attributes, recursive, create, shallow = false, propagation = 'private' } = mount;
      const [clone, deep] = [recursive ? 1 : 0, shallow ? 0 : 1];
      plan.op('bind', source, target, attributes, clone, creation[create], deep, propagation);
      return;
    }
    case 'bind-of':
      plan.op('bind-of', mount.peer.pid, mount.peer.startTime, mount.source, mount.target, mount.attributes);
      return;
    case 'overlay': {
      const { target, attributes, subpath, base, writable, options, lowers } = mount;
      const { upper = '', work = '' } = writable ?? {};
      plan.op('overlay', target, attributes, subpath, base, upper, work, options, ...lowers);
      return;
    }
    default:
      mount satisfies never;
  }
}

function addProcess(plan: Plan, process: ProcessSpec): void {
  const { bounding, permitted, effective, inheritable, ambient } = process.capabilities;
  plan.op('argv', ...process.argv);
  if (process.env.length > 0) plan.op('env', ...process.env);
  plan.op('cwd', process.cwd, process.createCwd ? 1 : 0);
  plan.op('user', process.uid, process.gid, ...process.groups);
  plan.op('caps', String(bounding), String(permitted), String(effective), String(inheritable), String(ambient));
  if (process.seccomp !== undefined) plan.op('seccomp', process.seccomp, SECCOMP_FLAGS);
  if (process.noNewPrivileges) plan.op('no-new-privileges');
  if (process.oomScoreAdj !== undefined) plan.op('oom-score-adj', process.oomScoreAdj);
  if (process.appArmor !== undefined) plan.op('apparmor', process.appArmor);
  for (const limit of process.rlimits) plan.op('rlimit', limit.resource, limit.soft, limit.hard, limit.what);
  if (process.tty !== undefined) plan.op('tty', process.tty.rows, process.tty.columns);
  if (process.stdin) plan.op('keep-stdin');
  if (process.merged) plan.op('merged');
  if (process.init) plan.op('init');
}
