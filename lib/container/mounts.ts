import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { NotFoundError } from '../errors.js';
import type { ResolvedImage } from '../image/resolve.js';
import type { MountSpec } from '../runtime/spec.js';
import type { Digest } from '../types.js';
import type { SettledMount } from '../volume/mounts.js';
import type { PreparedMounts } from '../volume/prepared.js';
import type { ContainerContext } from './context.js';
import type { CreateContainerOptions, VolumesFrom } from './options.js';
import type { ContainerRecord } from './record.js';

/**
 * Settles the mounts of a container to be created, those of others included, and makes its volumes.
 *
 * @throws {@link NotFoundError} for a container, an image or a file that is not there.
 */
export async function prepareMounts(
  context: ContainerContext,
  options: CreateContainerOptions,
  image: ResolvedImage,
  call: string,
): Promise<PreparedMounts> {
  const { images, volumes } = context;
  const lent = (options.volumesFrom ?? []).map(from => lend(context, from, call));
  const prepared = await volumes.prepare(options.mounts ?? [], image.config.config.Volumes ?? [], {
    call,
    // Of two that lend a mount at one place the later wins, as in Docker.
    borrowed: [...new Map(lent.flatMap(({ mounts }) => mounts).map(mount => [mount.target, mount])).values()],
    imageOf: mount => {
      const { id, chain } = images.resolve(mount.source, call);
      return { ...mount, image: id, chain };
    },
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  return { ...prepared, anonymous: [...prepared.anonymous, ...lent.flatMap(({ anonymous }) => anonymous)] };
}

/** The binds and volumes of another container, and which of them have no name of their own. */
function lend(
  { records }: ContainerContext,
  from: VolumesFrom,
  call: string,
): { mounts: SettledMount[]; anonymous: readonly string[] } {
  const { container, readOnly = false } = typeof from === 'string' ? { container: from } : from;
  const id = records.resolve(container) ?? records.ids().find(candidate => candidate.startsWith(container));
  const lender = id === undefined ? undefined : records.get(id);
  if (lender === undefined)
    throw new NotFoundError({ call, kind: 'container', ref: container, remedy: 'volumesFrom names one that is there' });
  const mounts = lender.config.mounts
    .filter(({ type }) => type === 'bind' || type === 'volume')
    .map(mount => (readOnly ? { ...mount, readOnly } : mount));
  return { mounts, anonymous: lender.anonymousVolumes };
}

/** The images that a container mounts beside its own. */
export function imageMounts({ config }: ContainerRecord): Extract<SettledMount, { type: 'image' }>[] {
  return config.mounts.filter(mount => mount.type === 'image');
}

/** What the helper mounts for a container that is about to start. */
export function mountSpecs(context: ContainerContext, record: ContainerRecord, call: string): MountSpec[] {
  const { mounts } = record.config;
  if (mounts.length === 0) return [];
  return context.volumes.mountSpecs(mounts, {
    call,
    layersOf: chain => layersOf(context, chain),
    scratch: target => emptyDirectories(context, record, target),
  });
}

function layersOf(
  { store: { snapshots } }: ContainerContext,
  chain: readonly Digest[],
): { kind: 'overlay'; lowers: readonly string[] } | { kind: 'plain'; directory: string } {
  const lowers = snapshots.lowers(chain);
  return snapshots.driver === 'overlay' ? { kind: 'overlay', lowers } : { kind: 'plain', directory: lowers[0] ?? '' };
}

/** A layer to write into, in the container's directory: it starts empty each time, and goes with the container. */
function emptyDirectories(
  { store, records }: ContainerContext,
  record: ContainerRecord,
  target: string,
): { upper: string; work: string } {
  const name = createHash('sha256').update(target).digest('hex').slice(0, 16);
  const home = join(records.directory(record.id), 'overlays', name);
  store.discard(home);
  const [upper, work] = [join(home, 'upper'), join(home, 'work')];
  for (const path of [upper, work]) mkdirSync(path, { recursive: true, mode: 0o755 });
  return { upper, work };
}
