import type { DiskUsage, Digest, ImageUsage } from '../types.js';
import { familiar, instantOf, sizeOf } from './inspect.js';
import type { ImageRecord } from './record.js';

/**
 * What images take on disk, counted as Docker does: a layer once, however many images have it.
 *
 * @param tags - In full, by record id.
 * @param containersOf - How many containers were made from an image.
 */
export function imageUsage(
  records: readonly ImageRecord[],
  tags: ReadonlyMap<string, readonly string[]>,
  containersOf: (id: Digest) => number,
): DiskUsage['images'] {
  const layers = new Map<Digest, { bytes: number; images: number }>();
  for (const record of records) {
    for (const { chainId, bytes } of record.layers) {
      layers.set(chainId, { bytes, images: (layers.get(chainId)?.images ?? 0) + 1 });
    }
  }
  const items = records.map((record): ImageUsage => {
    const sizeBytes = sizeOf(record);
    const shared = record.layers.filter(({ chainId }) => (layers.get(chainId)?.images ?? 0) > 1);
    const sharedBytes = shared.reduce((sum, { bytes }) => sum + bytes, 0);
    return {
      id: record.config,
      tags: (tags.get(record.id) ?? []).map(familiar),
      repoDigests: record.repoDigests.map(familiar),
      createdAt: instantOf(record.created),
      sizeBytes,
      sharedBytes,
      uniqueBytes: sizeBytes - sharedBytes,
      containers: containersOf(record.config),
    };
  });
  const totalBytes = [...layers.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  const used = items.filter(({ containers }) => containers > 0);
  return {
    count: items.length,
    active: used.length,
    totalBytes,
    reclaimableBytes: totalBytes - used.reduce((sum, { uniqueBytes }) => sum + uniqueBytes, 0),
    items,
  };
}
