import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';

import { ConflictError, NotFoundError, SyscallError, errorCode } from '../errors.js';
import { removeCgroups } from '../host/cgroups-remove.js';
import type { CgroupPlan, CgroupWrite } from '../host/cgroups-plan.js';
import { processesOf } from '../host/processes.js';
import type { AbortOptions, Resources } from '../types.js';
import type { ContainerContext } from './context.js';
import type { RestartPolicy } from './options.js';
import { eventOf, type ContainerConfig, type ContainerRecord } from './record.js';
import { settleRestart } from './settle.js';
import { cgroupsOf } from './spec.js';

/** The limits that can be changed, which are Docker's. */
export type UpdatableResources = Pick<
  Resources,
  | 'memoryBytes'
  | 'memorySwapBytes'
  | 'memoryReservationBytes'
  | 'cpus'
  | 'cpuShares'
  | 'cpuPeriodMicros'
  | 'cpuQuotaMicros'
  | 'cpusetCpus'
  | 'cpusetMems'
  | 'maxProcesses'
  | 'blkioWeight'
>;

/** What is to be changed of a container; the rest stays. */
export interface UpdateOptions extends AbortOptions {
  /** Limits. */
  readonly resources?: UpdatableResources;
  /** When it is started again after it has ended by itself. */
  readonly restart?: RestartPolicy;
}

const updatable: ReadonlySet<string> = new Set<keyof UpdatableResources>([
  'memoryBytes',
  'memorySwapBytes',
  'memoryReservationBytes',
  'cpus',
  'cpuShares',
  'cpuPeriodMicros',
  'cpuQuotaMicros',
  'cpusetCpus',
  'cpusetMems',
  'maxProcesses',
  'blkioWeight',
]);

/** What an update finds: whether there are groups now whose limits have to be changed at once. */
export interface UpdateTarget {
  readonly call: string;
  readonly isRunning: boolean;
  /** Resolves when the container has ended; groups that were made for it now are removed then. */
  readonly ended?: Promise<unknown>;
}

/**
 * Changes limits and restart policy, at once where the container runs, and writes them down for its next start. All or nothing: what the
 * kernel took before it refused is taken back.
 *
 * @throws {@link ConflictError} for what does not go with the limits that it has.
 */
export function updateContainer(
  context: ContainerContext,
  record: ContainerRecord,
  options: UpdateOptions,
  target: UpdateTarget,
): ContainerRecord {
  const { call } = target;
  const { resources: given = {} } = options;
  for (const option of Object.keys(given)) {
    if (!updatable.has(option))
      throw new TypeError(`${call}: resources.${option}: is set when a container is created, and cannot be changed`);
  }
  const change = changeOf(record, options, merge(record, given, call), call);
  const changed: ContainerRecord = { ...record, config: change(record.config) };
  const after = cgroupsOf(context, changed, call);
  const before = cgroupsOf(context, record, call);
  const undo =
    target.isRunning && after !== undefined && before !== undefined ? apply(before, after, target) : () => {};
  const written = context.records.update(record.id, current => ({ ...current, config: change(current.config) }), {
    durable: record.lifetime === 'detached',
  });
  if (written === undefined) {
    undo();
    throw new NotFoundError({ call, kind: 'container', ref: record.name, remedy: 'It was removed' });
  }
  context.emit('container:update', eventOf(written));
  return written;
}

function changeOf(
  record: ContainerRecord,
  { restart }: UpdateOptions,
  resources: Resources,
  call: string,
): (config: ContainerConfig) => ContainerConfig {
  if (restart === undefined) return config => ({ ...config, resources });
  const policy = settleRestart({ restart }, call);
  if (policy !== undefined && record.autoRemove === true) {
    const reason = 'its restart policy cannot be changed, since it is removed when it ends (autoRemove)';
    throw new ConflictError({ call, kind: 'container', ref: record.name, reason });
  }
  return ({ restart: former, ...config }) => ({
    ...config,
    resources,
    ...(policy === undefined ? {} : { restart: { ...former, ...policy } }),
  });
}

/** Joins old and new limits by Docker's rules. */
function merge(record: ContainerRecord, given: UpdatableResources, call: string): Resources {
  const old = record.config.resources;
  const conflict = (reason: string): ConflictError =>
    new ConflictError({ call, kind: 'container', ref: record.name, reason, usedBy: [record.id] });
  if (old.cpus !== undefined) {
    const longhand = (['cpuQuotaMicros', 'cpuPeriodMicros'] as const).find(option => given[option] !== undefined);
    if (longhand !== undefined) throw conflict(`${longhand} cannot be changed, since cpus is set`);
  }
  if (given.cpus !== undefined) {
    const longhand = (['cpuPeriodMicros', 'cpuQuotaMicros'] as const).find(option => old[option] !== undefined);
    if (longhand !== undefined) throw conflict(`cpus cannot be changed, since ${longhand} is set`);
  }
  // What was left to the default when it was created is a decision by now: twice the memory of then.
  const oldSwap = old.memorySwapBytes ?? (old.memoryBytes === undefined ? undefined : old.memoryBytes * 2);
  const { memoryBytes, memorySwapBytes = oldSwap } = given;
  if (
    memoryBytes !== undefined &&
    given.memorySwapBytes === undefined &&
    oldSwap !== -1 &&
    memoryBytes > (oldSwap ?? 0)
  )
    throw conflict(
      `memoryBytes (${memoryBytes}) has to be below the limit of memory and swap together (${oldSwap ?? 'none'}). Change memorySwapBytes as well`,
    );
  const told = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return { ...old, ...told, ...(memorySwapBytes === undefined ? {} : { memorySwapBytes }) };
}

/** Writes what is different, and returns what takes it back. */
function apply(before: CgroupPlan, after: CgroupPlan, target: UpdateTarget): () => void {
  const fresh = after.dirs.filter(path => !before.dirs.includes(path));
  const known = new Set(before.writes.map(({ path, value }) => `${path}=${value}`));
  const writes = inOrder(after.writes.filter(({ path, value }) => !known.has(`${path}=${value}`)));
  const done: (() => void)[] = [];
  const undo = (): void => {
    for (const step of done.reverse()) step();
  };
  try {
    for (const path of fresh) {
      mkdirSync(path, { recursive: true });
      // The monitor does not know of it and will not remove it.
      void target.ended?.then(() => removeCgroups([path]).catch(() => {})); // The next `Engine.open()` does.
    }
    for (const each of writes) done.push(writeOne(each, target.call));
    for (const path of fresh) moveAll(before, path);
  } catch (error) {
    undo();
    throw error;
  }
  return undo;
}

/**
 * The sum of memory and swap may at no time be below memory alone. So the sum goes first where it grows, and last where
 * it shrinks; version 2, which counts swap by itself, does not mind.
 */
function inOrder(writes: readonly CgroupWrite[]): readonly CgroupWrite[] {
  const sum = writes.find(({ path }) => path.endsWith('/memory.memsw.limit_in_bytes'));
  if (sum === undefined) return writes;
  const current = Number(readFileSync(sum.path, 'latin1'));
  const grows = sum.value === '-1' || Number(sum.value) > current;
  return grows ? [sum, ...writes.filter(each => each !== sum)] : writes;
}

function writeOne({ path, value, what }: CgroupWrite, call: string): () => void {
  let former: string | undefined;
  try {
    former = readFileSync(path, 'latin1').trim();
    if (former === value) return () => {};
    writeFileSync(path, value);
  } catch (error) {
    const errno = errorCode(error) ?? 'EUNKNOWN';
    const stage = `cgroup ${what}`;
    const remedy = errno === 'EBUSY' ? 'It uses more than that now' : undefined;
    throw new SyscallError({
      call,
      stage,
      syscall: 'write',
      errno,
      path: `${path} = ${value}`,
      cause: error,
      ...(remedy === undefined ? {} : { remedy }),
    });
  }
  return () => writeBack(path, former);
}

function writeBack(path: string, value: string): void {
  try {
    writeFileSync(path, value === '' ? '\n' : value);
  } catch {
    // The failure that led here is what is told; the record still says how it was, and the next start does so.
  }
}

/** A group of a hierarchy in which the container had none: its processes move there. */
function moveAll(before: CgroupPlan, path: string): void {
  const [from] = before.dirs;
  if (from === undefined) return;
  // Forked while they are moved, the children of those that were not yet are found the next time.
  for (let left = strangers(from, path); left.length > 0; left = strangers(from, path)) {
    for (const pid of left) {
      try {
        writeFileSync(`${path}/cgroup.procs`, String(pid));
      } catch (error) {
        if (errorCode(error) !== 'ESRCH') throw error; // It has ended.
      }
    }
  }
}

function strangers(from: string, to: string): number[] {
  const there = new Set(processesOf(to));
  return processesOf(from).filter(pid => !there.has(pid) && isMovable(pid));
}

/** A zombie stays where it was. */
function isMovable(pid: number): boolean {
  try {
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes(errorCode(error) ?? '')) return false;
    throw error;
  }
}
