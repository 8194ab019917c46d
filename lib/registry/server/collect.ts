import { isDigest } from '../../oci/digest.js';
import type { AbortOptions, Digest, PruneReport } from '../../types.js';
import type { DiskStorage } from './disk.js';
import { subjectOf } from './manifests.js';
import type { StoredManifest } from './storage.js';
import type { Uploads } from './uploads.js';

/** What a collection takes away. */
export interface CollectRegistryOptions extends AbortOptions {
  /** Blobs that were pushed, or asked for by somebody about to push, less than so long ago stay. Default one hour. */
  readonly graceMs?: number;
  /** Also manifests that have no tag, that no index has, and that do not refer to one that stays. Default `false`. */
  readonly untagged?: boolean;
  /** Uploads that nobody went on with for so long. Default one week. */
  readonly uploadMs?: number;
}

const HOUR_MS = 60 * 60 * 1000;

/**
 * Takes away what no manifest needs. It goes on beside pushes: what they put meanwhile is in `inUse`, and each thing is
 * looked at once more in the same step in which it goes.
 */
export async function collectRegistry(
  storage: DiskStorage,
  uploads: Uploads,
  inUse: ReadonlySet<Digest>,
  options: CollectRegistryOptions,
): Promise<PruneReport> {
  const { graceMs = HOUR_MS, untagged = false, uploadMs = 7 * 24 * HOUR_MS, signal } = options;
  const oldest = Date.now() - graceMs;
  uploads.sweep(Date.now() - uploadMs);
  const kept = new Set<Digest>();
  for (const repository of storage.places()) {
    signal?.throwIfAborted();
    // Between repositories others get their turn.
    await new Promise(resolve => setImmediate(resolve));
    if (untagged) dropUntagged(storage, repository, inUse, oldest);
    const needed = new Set<Digest>();
    for (const { digest } of storage.marks(repository, 'manifests')) {
      kept.add(digest);
      const manifest = storage.manifest(repository, digest);
      if (manifest !== undefined) for (const each of digestsIn(manifest)) needed.add(each);
    }
    for (const { digest, at } of storage.marks(repository, 'blobs')) {
      if (needed.has(digest) || inUse.has(digest) || at > oldest) kept.add(digest);
      else storage.deleteBlob(repository, digest);
    }
  }
  return sweep(storage, kept, inUse, oldest);
}

function sweep(
  storage: DiskStorage,
  kept: ReadonlySet<Digest>,
  inUse: ReadonlySet<Digest>,
  oldest: number,
): PruneReport {
  const removed: Digest[] = [];
  let reclaimedBytes = 0;
  // One step, so nobody links to what goes in between.
  const linked = new Set(
    storage
      .places()
      .flatMap(name => [...storage.marks(name, 'blobs'), ...storage.marks(name, 'manifests')].map(each => each.digest)),
  );
  for (const { digest, size, at } of storage.all()) {
    if (kept.has(digest) || linked.has(digest) || inUse.has(digest) || at > oldest) continue;
    storage.deleteBytes(digest);
    removed.push(digest);
    reclaimedBytes += size;
  }
  return { removed, reclaimedBytes };
}

function dropUntagged(storage: DiskStorage, repository: string, inUse: ReadonlySet<Digest>, oldest: number): void {
  const all = new Map<Digest, { readonly manifest: StoredManifest; readonly at: number }>();
  for (const { digest, at } of storage.marks(repository, 'manifests')) {
    const manifest = storage.manifest(repository, digest);
    if (manifest !== undefined) all.set(digest, { manifest, at });
  }
  const kept = new Set<Digest>();
  const keep = (digest: Digest): void => {
    const found = all.get(digest);
    if (found === undefined || kept.has(digest)) return;
    kept.add(digest);
    for (const each of digestsIn(found.manifest)) keep(each);
    for (const { digest: referrer } of storage.referrers(repository, digest)) keep(referrer);
  };
  for (const tag of storage.tags(repository) ?? []) {
    const tagged = storage.manifest(repository, tag);
    if (tagged !== undefined) keep(tagged.digest);
  }
  for (const [digest, { at }] of all) if (at > oldest || inUse.has(digest)) keep(digest);
  for (const [digest, { manifest }] of all) {
    if (!kept.has(digest)) storage.deleteManifest(repository, digest, subjectOf(manifest));
  }
}

/** Everything that a manifest or an index names: it was checked when it came. */
function digestsIn({ bytes }: StoredManifest): Digest[] {
  const {
    config,
    layers = [],
    manifests = [],
  } = JSON.parse(bytes.toString()) as {
    config?: { digest?: string };
    layers?: readonly { digest?: string }[];
    manifests?: readonly { digest?: string }[];
  };
  return [config, ...layers, ...manifests].flatMap(each => {
    const digest = each?.digest ?? '';
    return isDigest(digest) ? [digest] : [];
  });
}
