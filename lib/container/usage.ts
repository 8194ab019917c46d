import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

import type { Store } from '../store/store.js';
import type { AbortOptions, ContainerUsage, DiskUsage, VolumeUsage } from '../types.js';
import { treeBytes } from '../util/tree-size.js';
import type { ContainerRecord } from './record.js';

/** What is counted. */
export interface UsageQuestion extends AbortOptions {
  readonly store: Store;
  readonly records: readonly ContainerRecord[];
  readonly isRunning: (id: string) => boolean;
  /** Name and place of each volume. */
  readonly volumes: readonly { readonly name: string; readonly path: string }[];
  readonly images: DiskUsage['images'];
}

/** What the store takes on disk. Walks the trees of containers and volumes, so it takes as long as they are large. */
export async function diskUsage(question: UsageQuestion): Promise<DiskUsage> {
  const containers: ContainerUsage[] = [];
  for (const record of question.records) containers.push(await containerUsage(record, question));
  const volumes: VolumeUsage[] = [];
  for (const { name, path } of question.volumes) {
    const users = question.records.filter(record => volumesOf(record).includes(name)).length;
    volumes.push({ name, containers: users, sizeBytes: await treeBytes(path, question) });
  }
  return {
    images: question.images,
    containers: section(containers, ({ running }) => running),
    volumes: section(volumes, ({ containers: users }) => users > 0),
    // There is no builder yet, so there is nothing of one.
    buildCache: section([], () => false),
    blobs: blobUsage(question.store),
  };
}

async function containerUsage(record: ContainerRecord, question: UsageQuestion): Promise<ContainerUsage> {
  const home = join(question.store.root, 'containers', record.id);
  const upper = join(home, 'upper');
  return {
    id: record.id,
    name: record.name,
    running: question.isRunning(record.id),
    // A plain copy has no directory of its own changes: all of it is the container's.
    sizeBytes: await treeBytes(existsSync(upper) ? upper : join(home, 'rootfs'), question),
    volumes: volumesOf(record).length,
  };
}

function volumesOf({ config }: ContainerRecord): string[] {
  return config.mounts.flatMap(mount => (mount.type === 'volume' ? [mount.source] : []));
}

function section<T extends { readonly sizeBytes: number }>(
  items: readonly T[],
  isActive: (item: T) => boolean,
): {
  readonly count: number;
  readonly active: number;
  readonly totalBytes: number;
  readonly reclaimableBytes: number;
  readonly items: readonly T[];
} {
  const sum = (some: readonly T[]): number => some.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0);
  const idle = items.filter(item => !isActive(item));
  return {
    count: items.length,
    active: items.length - idle.length,
    totalBytes: sum(items),
    reclaimableBytes: sum(idle),
    items,
  };
}

function blobUsage({ root, content }: Store): DiskUsage['blobs'] {
  const sizes = [...content.list()].map(digest => content.stat(digest)?.size ?? 0);
  const ingest = join(root, 'ingest');
  const partial = readdirSync(ingest).map(name => statSync(join(ingest, name), { throwIfNoEntry: false })?.size ?? 0);
  const sum = (bytes: readonly number[]): number => bytes.reduce((all, size) => all + size, 0);
  return { count: sizes.length, totalBytes: sum(sizes), partialBytes: sum(partial) };
}
