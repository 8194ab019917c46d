import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { SyscallError } from '../errors.js';
import { Plan } from '../host/plan.js';
import { addMount } from '../runtime/plan.js';
import type { MountSpec, RootSpec } from '../runtime/spec.js';
import { sleep } from '../util/abort.js';
import type { ContainerContext } from './context.js';
import type { Live } from './live.js';
import { mountSpecs } from './mounts.js';
import type { ContainerRecord } from './record.js';
import { mountpointOf, rootOf } from './spec.js';

/** What is not files but a window into the kernel, in a container that runs. */
const windows = ['/proc', '/sys', '/dev'];
/** A start that is under way is over after this, or was never going to be. */
const PATIENCE_MS = 30_000;
const POLL_MS = 5;

export interface ViewOptions {
  readonly call: string;
  readonly signal?: AbortSignal | undefined;
  /** Whether anything is changed. */
  readonly access: 'read' | 'write';
  /** With what is mounted on the root file system: volumes, binds, the files under /etc. */
  readonly mounts: boolean;
}

/** Whose files: what the functions of this folder work on. */
export interface FilesOf {
  readonly context: ContainerContext;
  readonly live: Live;
  readonly record: ContainerRecord;
}

/**
 * Does a job on a container's files, whether it runs or not. `work` gets the beginning of a plan that leads to where the
 * files are, and may be called again when the container was started or stopped just then.
 */
export async function inView<T>(of: FilesOf, options: ViewOptions, work: (plan: Plan) => Promise<T>): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    options.signal?.throwIfAborted();
    try {
      return await work(await viewPlan(of, options));
    } catch (error) {
      if (!isBusy(error) || performance.now() > deadline) throw error;
      await sleep(POLL_MS, options.signal);
    }
  }
}

/** It was started, or stopped, while we were about to go in. */
function isBusy(error: unknown): boolean {
  if (!(error instanceof SyscallError)) return false;
  return error.stage === 'files-busy' || (error.stage === 'target' && error.errno === 'ESRCH');
}

async function viewPlan(of: FilesOf, options: ViewOptions): Promise<Plan> {
  const state = of.live.state(of.record.id);
  const plan = new Plan();
  if ('started' in state) {
    plan.op('enter', state.started.pid, state.started.startTime);
    return options.mounts ? plan.op('hide', ...windows) : plan.op('only-root');
  }
  const { context, record } = of;
  const root = await rootOf(context, record, options.call);
  if (root.kind === 'overlay') plan.op('hold', root.upper, ...(root.options === 'volatile' ? [root.work] : []));
  const mounts = options.mounts ? mountsOf(of, options.call) : [];
  // Before the first start, places to mount on may still be missing.
  const makesPlaces = state.name === 'created' && mounts.length > 0;
  addRoot(plan, root, mountpointOf(context), makesPlaces ? 'write' : options.access);
  for (const mount of mounts) addMount(plan, mount);
  if (record.config.readOnly) plan.op('root-readonly');
  return plan.op('pivot');
}

/**
 * Read only, the container's own directory is one more layer: nothing is written, and so nothing need be synced when it is
 * unmounted.
 */
function addRoot(plan: Plan, root: RootSpec, mountpoint: string, access: 'read' | 'write'): void {
  if (root.kind === 'plain') plan.op('root-bind', mountpoint, root.dir);
  else if (access === 'read') plan.op('root-overlay', mountpoint, root.base, '', '', '', root.upper, ...root.lowers);
  else plan.op('root-overlay', mountpoint, root.base, root.upper, root.work, root.options, ...root.lowers);
}

/** What a start would mount over files, but for what is in memory only. */
function mountsOf({ context, live, record }: FilesOf, call: string): MountSpec[] {
  const directory = live.directory(record);
  const etc = ['hosts', 'hostname', 'resolv.conf'].map(name => ({
    source: join(directory, name),
    target: `/etc/${name}`,
  }));
  return [
    ...etc
      .filter(({ source }) => existsSync(source))
      .map(
        each =>
          ({ kind: 'bind', ...each, attributes: 0, recursive: false, create: 'file' }) satisfies MountSpec as MountSpec,
      ),
    ...mountSpecs(context, record, call).filter(isOfDisk),
  ];
}

/** Not what is in memory, nor what is thrown away when it ends. */
function isOfDisk(mount: MountSpec): boolean {
  return mount.kind === 'bind' || (mount.kind === 'overlay' && mount.writable === undefined);
}
