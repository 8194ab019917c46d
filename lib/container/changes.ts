import { join } from 'node:path';

import { runFileJob } from '../host/file-job.js';
import { Plan } from '../host/plan.js';
import type { LayerOrigin } from '../image/layer-out.js';
import type { AbortOptions } from '../types.js';
import { initPaths } from './init-layer.js';
import { mountpointOf, rootOf } from './spec.js';
import type { FilesOf } from './view.js';

/** What became of a path since the container was created. */
export interface FileChange {
  /** `changed`: its content, its owner or mode, or something in it. */
  readonly kind: 'added' | 'changed' | 'deleted';
  /** Absolute. */
  readonly path: string;
}

const kinds = { A: 'added', C: 'changed', D: 'deleted' } as const;

/** See `Container.changes`. */
export async function changesOf(of: FilesOf, options: AbortOptions): Promise<readonly FileChange[]> {
  const call = 'container.changes';
  const { signal } = options;
  signal?.throwIfAborted();
  const facts = await runFileJob(await changesPlan(of, call), { call, signal });
  return facts
    .filter(({ fact }) => fact === 'change')
    .map(({ kind, path }) => ({ kind: kinds[kind as 'A' | 'C' | 'D'], path: `/${String(path)}` }));
}

/** Compares what overlayfs keeps of the changes with the layers below, or the whole tree with the one it was copied from. */
async function changesPlan({ context, record }: FilesOf, call: string): Promise<Plan> {
  const root = await rootOf(context, record, call);
  const mountpoint = mountpointOf(context);
  const plan = new Plan();
  if (root.kind === 'plain') {
    const [before = join(context.store.root, 'mnt')] = context.store.snapshots.lowers(record.chain);
    return plan.op('changes', root.dir, 'plain', before, ...initPaths);
  }
  const [only, ...others] = root.lowers;
  if (only !== undefined && others.length === 0) plan.op('root-bind', mountpoint, join(root.base, only));
  else plan.op('root-overlay', mountpoint, root.base, '', '', '', ...root.lowers);
  return plan.op('changes', root.upper, 'overlay', mountpoint);
}

/** What a layer of the container's changes is made of. */
export async function layerOrigin({ context, record }: FilesOf, call: string): Promise<LayerOrigin> {
  const root = await rootOf(context, record, call);
  if (root.kind === 'overlay') return { kind: 'overlay', dir: root.upper };
  const [before = join(context.store.root, 'mnt')] = context.store.snapshots.lowers(record.chain);
  return { kind: 'plain', dir: root.dir, before, ignore: initPaths };
}
