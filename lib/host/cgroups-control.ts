import { mkdirSync, readFileSync, renameSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { InvalidStateError, SyscallError, errorCode } from '../errors.js';
import { sleep } from '../util/abort.js';
import { CGROUP_PARENT, controllersV2 } from './cgroups.js';
import type { CgroupHost } from './cgroups.js';
import { defaultDeviceRules, deviceRuleWrites } from './cgroups-devices.js';
import { SHARED_DEVICES } from './cgroups-plan.js';
import type { CgroupPlan, CgroupWrite } from './cgroups-plan.js';
import { dropCgroups, removeOnce } from './cgroups-remove.js';

/**
 * Makes what all containers share: our directory in each hierarchy, on version 2 with its controllers handed down, and
 * the group with the default device rules. Once per process; again when a start finds it gone. Costs about 0.2 ms.
 */
export function prepareCgroups(host: CgroupHost): void {
  for (const hierarchy of host.hierarchies) {
    const ours = join(hierarchy.base, CGROUP_PARENT);
    if (hierarchy.version === 2) handDown(hierarchy.base);
    mkdirExisting(ours);
    if (hierarchy.version === 2) handDown(ours);
    // Before Linux 5.11 a v1 memory group did not limit the groups below it unless told to.
    if (hierarchy.version === 1 && hierarchy.controllers.includes('memory'))
      writeIf(join(ours, 'memory.use_hierarchy'), '0', '1');
    if (hierarchy.controllers.length === 1 && hierarchy.controllers[0] === 'devices') shareDevices(ours);
  }
}

/**
 * Makes the group that a user wants containers to be in, in each hierarchy: with all above it, with the controllers of
 * version 2 handed down, and with the processors of version 1 taken over from above where there are none yet. What is
 * there already stays as it is. Nobody removes it: its limits are not ours.
 *
 * @returns What its cpuset of version 1 allows.
 */
export function prepareParent(host: CgroupHost, path: string): CgroupHost['cpuset'] {
  let cpuset = host.cpuset;
  for (const hierarchy of host.hierarchies) {
    let group = hierarchy.base;
    if (hierarchy.version === 2) handDown(group);
    for (const name of path.split('/').filter(part => part !== '')) {
      group = join(group, name);
      mkdirExisting(group);
      if (hierarchy.version === 2) handDown(group);
      else if (hierarchy.controllers.includes('cpuset')) cpuset = takeOver(group, cpuset);
    }
  }
  return cpuset;
}

/** A new cpuset of version 1 is empty. */
function takeOver(group: string, above: CgroupHost['cpuset']): CgroupHost['cpuset'] {
  const settled = (file: string, usual: string): string => {
    const path = join(group, file);
    const value = readFileSync(path, 'utf8').trim();
    if (value !== '') return value;
    writeFileSync(path, usual, { flag: 'r+' });
    return usual;
  };
  return { cpus: settled('cpuset.cpus', above.cpus), mems: settled('cpuset.mems', above.mems) };
}

/**
 * {@link prepareCgroups}, and a group of our own in each hierarchy, so that no other engine that closes takes the shared
 * ones away between our looking and our starting a container.
 *
 * @param holder - One word that names this process, by which {@link markerHolder} tells others whose the groups are.
 * @returns What to call when no more containers will be started.
 */
export function holdCgroups(host: CgroupHost, holder: string): () => void {
  const name = `${MARKER}${holder}.${holds++}`;
  const markers = host.hierarchies.map(({ base }) => join(base, CGROUP_PARENT, name));
  for (let made = 0; made < markers.length;) {
    prepareCgroups(host);
    made = markers.filter(makeMarker).length;
  }
  // The shared group may have gone before the last marker was there.
  prepareCgroups(host);
  return () => {
    removeOnce(markers);
    dropCgroups(host);
  };
}

let holds = 0;

const MARKER = 'engine-';

/** Who made the group of this name in {@link holdCgroups}; `undefined` when it is a container's. */
export function markerHolder(name: string): string | undefined {
  return name.startsWith(MARKER) ? name.slice(MARKER.length, name.lastIndexOf('.')) : undefined;
}

/** `false` when the directory above has just gone. */
function makeMarker(path: string): boolean {
  try {
    mkdirExisting(path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Only those that are there and not yet handed down: each write takes the kernel's cgroup lock. */
function handDown(directory: string): void {
  const words = (file: string): string[] => readFileSync(join(directory, file), 'utf8').trim().split(' ');
  const control = 'cgroup.subtree_control';
  const already = words(control);
  const wanted = words('cgroup.controllers').filter(word => controllersV2.includes(word) && !already.includes(word));
  if (wanted.length === 0) return;
  try {
    writeFileSync(join(directory, control), wanted.map(word => `+${word}`).join(' '));
  } catch (error) {
    // Processes live in it: describeCgroups has said so, and counts only what was handed down before.
    if (errorCode(error) !== 'EBUSY') throw error;
  }
}

/**
 * A group with rules half written would open or close devices for containers of another process that enter it just then.
 * So it gets its rules under another name first; rename is atomic, and version 1 has it.
 */
function shareDevices(ours: string): void {
  const target = join(ours, SHARED_DEVICES);
  if (isThere(target)) return;
  const aside = join(ours, `${SHARED_DEVICES}.${process.pid}`);
  mkdirExisting(aside);
  writeAll(deviceRuleWrites(aside, defaultDeviceRules), 'engine.open');
  try {
    renameSync(aside, target);
  } catch (error) {
    rmdirSync(aside);
    // Another process was faster.
    if (errorCode(error) !== 'EEXIST') throw error;
  }
}

/**
 * Makes the groups of one container and writes its limits. What was made is removed again when a step fails. The helper
 * does the same from the same plan where speed counts.
 *
 * @throws {@link SyscallError} that names the option whose value the kernel refused.
 */
export function createCgroups(host: CgroupHost, plan: CgroupPlan, call = 'container.start'): void {
  try {
    makeDirectories(host, plan.dirs);
    writeAll(plan.writes, call);
  } catch (error) {
    removeOnce(plan.remove);
    throw error;
  }
}

function makeDirectories(host: CgroupHost, dirs: readonly string[]): void {
  try {
    dirs.forEach(mkdirExisting);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    prepareCgroups(host);
    dirs.forEach(mkdirExisting);
  }
}

function writeAll(writes: readonly CgroupWrite[], call: string): void {
  for (const write of writes) {
    try {
      writeFileSync(write.path, write.value, { flag: 'r+' });
    } catch (error) {
      throw refusedWrite(call, write, errorCode(error) ?? 'EIO', error);
    }
  }
}

/** The error for a limit that the kernel refused; `path` is what the helper reports. */
export function cgroupRefusal(call: string, plan: CgroupPlan, path: string, errno: string): SyscallError | undefined {
  // A file is written more than once only for device rules, and there the option is the same.
  const write = plan.writes.find(candidate => candidate.path === path);
  return write === undefined ? undefined : refusedWrite(call, write, errno);
}

function refusedWrite(call: string, write: CgroupWrite, errno: string, cause?: unknown): SyscallError {
  const remedies: Readonly<Record<string, string>> = {
    EINVAL: `The kernel does not take ${JSON.stringify(write.value)} for ${write.what}`,
    EBUSY: `${write.what} is already exceeded by what runs`,
    EACCES: `${write.what} needs a cgroup that this user may write`,
    ENOENT: `This kernel has no such file, so ${write.what} cannot be set`,
    ERANGE: `${write.what} is out of range: ${write.value}`,
    ENODEV: `${write.what}: there is no such device or processor: ${write.value}`,
  };
  const remedy = remedies[errno];
  return new SyscallError({
    call,
    stage: write.what,
    syscall: 'write',
    errno,
    path: write.path,
    cause,
    ...(remedy === undefined ? {} : { remedy }),
  });
}

/** How many processes of the container the kernel has killed for want of memory. 0 where that is not counted. */
export function oomKills(plan: CgroupPlan): number {
  if (plan.oom === undefined) return 0;
  const { key, path } = plan.oom;
  const line = readIfThere(path)
    ?.split('\n')
    .find(text => text.startsWith(`${key} `));
  return line === undefined ? 0 : Number(line.slice(key.length + 1));
}

/**
 * Stops every process of the container where it is; resolves when they all stand still.
 *
 * @throws {@link InvalidStateError} when there is no freezer.
 */
export async function freeze(
  plan: CgroupPlan,
  options: { readonly call?: string; readonly signal?: AbortSignal } = {},
): Promise<void> {
  const freezer = requireFreezer(plan, options.call ?? 'container.pause');
  for (let waitMs = 1; ; waitMs = Math.min(waitMs * 2, 50)) {
    // Version 1 can stay in FREEZING when a process forks at the wrong moment; writing again gets it on (as runc found).
    writeFileSync(freezer.path, freezer.frozen, { flag: 'r+' });
    if (isFrozen(plan)) return;
    try {
      await sleep(waitMs, options.signal);
    } catch (error) {
      thaw(plan);
      throw error;
    }
  }
}

/** Lets them go on. */
export function thaw(plan: CgroupPlan, call = 'container.unpause'): void {
  const freezer = requireFreezer(plan, call);
  writeFileSync(freezer.path, freezer.thawed, { flag: 'r+' });
}

/** Whether every process stands still. */
export function isFrozen(plan: CgroupPlan): boolean {
  const { freeze: freezer } = plan;
  return freezer !== undefined && (readIfThere(freezer.state)?.split('\n').includes(freezer.done) ?? false);
}

function requireFreezer(plan: CgroupPlan, call: string): NonNullable<CgroupPlan['freeze']> {
  if (plan.freeze !== undefined) return plan.freeze;
  throw new InvalidStateError({
    call,
    kind: 'container',
    ref: 'freezer',
    state: 'without a freezer cgroup',
    expected: ['frozen'],
  });
}

/** The pids of all processes in the container's cgroups, as this process sees them. */
export function cgroupProcesses(plan: CgroupPlan): number[] {
  const [group] = plan.remove;
  const text = group === undefined ? undefined : readIfThere(join(group, 'cgroup.procs'));
  return text === undefined
    ? []
    : text
        .split('\n')
        .filter(line => line !== '')
        .map(Number);
}

/**
 * Kills every process in the container's cgroups. For a container with a pid namespace of its own it is enough to kill
 * its first process; this is for those without, and for what was left behind.
 */
export async function killAll(plan: CgroupPlan, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
  if (plan.kill === undefined) return;
  if ('file' in plan.kill && writeIfThere(plan.kill.file, '1')) return;
  // Frozen, nothing can fork while we go through the list; the signal is delivered on thawing.
  if (plan.freeze !== undefined) await freeze(plan, options);
  for (const pid of cgroupProcesses(plan)) signalIfThere(pid);
  if (plan.freeze !== undefined) thaw(plan);
}

function signalIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    // It ended by itself meanwhile.
    if (errorCode(error) !== 'ESRCH') throw error;
  }
}

function mkdirExisting(path: string): void {
  try {
    mkdirSync(path, 0o755);
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
  }
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = errorCode(error);
    // A group that is going away answers ENODEV.
    if (code === 'ENOENT' || code === 'ENODEV') return undefined;
    throw error;
  }
}

function writeIfThere(path: string, value: string): boolean {
  try {
    writeFileSync(path, value, { flag: 'r+' });
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

function writeIf(path: string, current: string, value: string): void {
  if (readIfThere(path)?.trim() === current) writeFileSync(path, value, { flag: 'r+' });
}
