import { readdirSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { InvalidStateError, errorCode } from '../errors.js';
import { sleep } from '../util/abort.js';
import { CGROUP_PARENT } from './cgroups.js';
import type { CgroupHost, Hierarchy } from './cgroups.js';
import { SHARED_DEVICES } from './cgroups-plan.js';

/**
 * Removes cgroups, with all below them. The kernel refuses while a process is still on its way out, so this tries again
 * for a while; the first try is synchronous and is nearly always enough.
 *
 * @throws {@link InvalidStateError} when processes are in one after `patienceMs`, 2,000 by default.
 */
export async function removeCgroups(
  paths: readonly string[],
  options: { readonly patienceMs?: number; readonly call?: string } = {},
): Promise<void> {
  const { patienceMs = 2_000, call = 'container.remove' } = options;
  let busy = removeOnce(paths);
  const deadline = performance.now() + patienceMs;
  for (let waitMs = 1; busy.length > 0; waitMs = Math.min(waitMs * 2, 50)) {
    if (performance.now() > deadline) {
      throw new InvalidStateError({
        call,
        kind: 'container',
        ref: busy[0] ?? '',
        state: 'still holding processes',
        expected: ['empty'],
      });
    }
    await sleep(waitMs);
    busy = removeOnce(busy);
  }
}

/** One try, at once. Returns those that are still in use. */
export function removeOnce(paths: readonly string[]): string[] {
  return paths.filter(path => !removeTree(path));
}

function removeTree(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOENT') return true;
    if (code !== 'EBUSY' && code !== 'ENOTEMPTY') throw error;
  }
  // Either it has processes, or somebody inside made groups of their own. Those go first.
  const below = subdirectories(path);
  if (below.length === 0 || removeOnce(below).length > 0) return false;
  return removeTree(path);
}

function subdirectories(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true }).flatMap(entry =>
      entry.isDirectory() ? join(path, entry.name) : [],
    );
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Younger than this, a group of an unknown container may be one that another store is just starting. */
const UNKNOWN_AGE_MS = 60_000;

/**
 * Removes groups whose containers are gone. Only empty groups ever go: the kernel sees to that.
 *
 * @param isAlive - `true` keeps the group, `false` removes it; `undefined`, for an id that this store does not know,
 * removes it when it is a minute old, since several stores share the machine.
 * @returns The ids that were removed.
 */
export function sweepCgroups(host: CgroupHost, isAlive: (id: string) => boolean | undefined): string[] {
  const removed = new Set<string>();
  for (const hierarchy of host.hierarchies) {
    for (const path of subdirectories(join(hierarchy.base, CGROUP_PARENT))) {
      const id = path.slice(path.lastIndexOf('/') + 1);
      if (isStale(path, id, isAlive) && removeTree(path)) removed.add(id);
    }
  }
  return [...removed];
}

function isStale(path: string, id: string, isAlive: (id: string) => boolean | undefined): boolean {
  if (id === SHARED_DEVICES) return false;
  const alive = isAlive(id);
  if (alive !== undefined) return !alive;
  const { birthtimeMs, ctimeMs } = statSync(path, { throwIfNoEntry: false }) ?? {
    birthtimeMs: Infinity,
    ctimeMs: Infinity,
  };
  return Date.now() - Math.max(birthtimeMs, ctimeMs) > UNKNOWN_AGE_MS;
}

/**
 * Removes what `prepareCgroups` made, where no container has a group; the next start makes it again.
 *
 * A start that has just found it there may then fail with `ENOENT`: it has to prepare again and retry.
 */
export function dropCgroups(host: CgroupHost): void {
  // A container that is about to enter the shared group has groups of its own, but none in the hierarchy of devices.
  if (!host.hierarchies.some(hasGroups)) host.hierarchies.forEach(dropParent);
}

function hasGroups(hierarchy: Hierarchy): boolean {
  const ours = join(hierarchy.base, CGROUP_PARENT);
  return subdirectories(ours).some(path => path !== join(ours, SHARED_DEVICES));
}

function dropParent(hierarchy: Hierarchy): void {
  const ours = join(hierarchy.base, CGROUP_PARENT);
  // Not removeTree: a group that was made meanwhile has no process yet.
  for (const path of [join(ours, SHARED_DEVICES), ours]) {
    try {
      rmdirSync(path);
    } catch (error) {
      const code = errorCode(error);
      if (code !== 'ENOENT' && code !== 'EBUSY' && code !== 'ENOTEMPTY') throw error;
    }
  }
}
