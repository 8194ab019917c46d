import { NotFoundError } from '../errors.js';
import { isDigest } from '../oci/digest.js';
import { parseReference } from '../oci/reference.js';
import type { Store } from '../store/store.js';
import type { AbortOptions, Digest, PlatformString, PruneReport } from '../types.js';
import type { Catalog } from './catalog.js';
import { matches, type ImageFilter } from './filter.js';
import { familiar } from './inspect.js';
import type { ImageRecord } from './record.js';
import { decideRemoval, type ImageUser, type Removal } from './removal.js';

/** How an image is removed. */
export interface RemoveImageOptions extends AbortOptions {
  /**
   * By id, also when it has several names; also when stopped containers use it; and the last name also from an image that
   * runs. Default `false`.
   */
  readonly force?: boolean;
  /** What it was made of stays on the disk until the next prune. Default `false`. */
  readonly noPrune?: boolean;
  /** Of several images with that tag, the one for this platform. Default: all of them. */
  readonly platform?: PlatformString;
}

/** What a removal did. */
export interface ImageRemoval {
  /** As short as Docker prints them. */
  readonly untagged: readonly string[];
  /** The ids of the images that are gone. */
  readonly deleted: readonly Digest[];
  /** The layers that are gone with them, by ChainID, top first. */
  readonly layers: readonly Digest[];
}

interface RemovalsSetup {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly usedBy: (record: ImageRecord) => readonly ImageUser[];
  readonly untagged: (record: ImageRecord, tag: string) => void;
  readonly removed: (record: ImageRecord) => void;
}

/** Takes names from images, and images from the store. */
export class Removals {
  readonly #setup: RemovalsSetup;

  constructor(setup: RemovalsSetup) {
    this.#setup = setup;
  }

  async remove(ref: string, options: RemoveImageOptions): Promise<ImageRemoval> {
    const call = 'images.remove';
    const { catalog, store } = this.#setup;
    const { force = false, noPrune = false, platform, signal } = options;
    const found = catalog.find(ref, call, platform);
    // By a tag all its images are meant, unless a platform says which.
    const tag = platform === undefined ? tagMeant(ref, catalog.tagsOf(found)) : undefined;
    const removal = { untagged: new Set<string>(), deleted: [] as Digest[] };
    const layers = new Set<Digest>();
    for (const each of tag === undefined ? [found] : catalog.sharing(tag)) {
      let removed = false;
      const decide = (record: ImageRecord, tags: readonly string[]): Removal => {
        const users = this.#setup.usedBy(record);
        const decision = decideRemoval({ call, ref, force, record, tags, users });
        removed = decision === 'image';
        return decision;
      };
      const untagged = await catalog.drop(each.config, decide, signal);
      if (untagged === undefined) throw new NotFoundError({ call, kind: 'image', ref });
      this.#tell(each, untagged, removed);
      for (const name of untagged) removal.untagged.add(familiar(name));
      if (!removed) continue;
      removal.deleted.push(each.config);
      for (const { chainId } of [...each.layers].reverse()) layers.add(chainId);
    }
    if (removal.deleted.length > 0 && !noPrune) await store.collect({ graceMs: 0 });
    return {
      untagged: [...removal.untagged],
      deleted: removal.deleted,
      layers: [...layers].filter(chainId => !store.snapshots.has(chainId)),
    };
  }

  async untag(ref: string, tag: string, { signal }: AbortOptions): Promise<void> {
    const call = 'image.untag';
    const { catalog } = this.#setup;
    const reference = parseReference(tag, { call });
    const record = catalog.find(ref, call);
    const names = [reference.toString()];
    const before = record.repoDigests.length;
    const untagged = await catalog.drop(record.config, () => ({ names }), signal);
    const after = catalog.get(record.config)?.repoDigests.length ?? 0;
    if ((untagged ?? []).length === 0 && before === after) {
      const has = catalog.tagsOf(record).map(familiar);
      const remedy = has.length === 0 ? 'The image has no tag' : `The image has ${has.join(', ')}`;
      throw new NotFoundError({ call, kind: 'image', ref: reference.familiar(), remedy });
    }
    this.#setup.untagged(record, reference.familiar());
  }

  async prune(filter: ImageFilter, { signal }: AbortOptions): Promise<PruneReport> {
    const { catalog, store } = this.#setup;
    const { dangling = true, ...rest } = catalog.resolveFilter(filter, 'images.prune');
    const tags = catalog.tags();
    const candidates = catalog.list().filter(record => {
      const mine = tags.get(record.id) ?? [];
      return matches(record, mine, rest) && (!dangling || mine.length === 0);
    });
    const removed: Digest[] = [];
    for (const record of candidates) {
      signal?.throwIfAborted();
      // Looked at again under the lock: it may have got a name or a container meanwhile.
      const decide = (now: ImageRecord, names: readonly string[]): Removal =>
        this.#setup.usedBy(now).length === 0 && (!dangling || names.length === 0) ? 'image' : { names: [] };
      const untagged = await catalog.drop(record.config, decide, signal);
      if (untagged === undefined || catalog.get(record.config) !== undefined) continue;
      this.#tell(record, untagged, true);
      removed.push(record.config);
    }
    const { reclaimedBytes } = await store.collect({ graceMs: 0 });
    return { removed, reclaimedBytes };
  }

  #tell(record: ImageRecord, untagged: readonly string[], removed: boolean): void {
    for (const tag of untagged) this.#setup.untagged(record, familiar(tag));
    if (removed) this.#setup.removed(record);
  }
}

/** The tag that a reference is, in full, where it is one of these; `undefined` for an id or a digest. */
function tagMeant(ref: string, tags: readonly string[]): string | undefined {
  if (isDigest(ref) || /^[0-9a-f]{64}$/.test(ref)) return undefined;
  if (ref.startsWith('sha256:')) return undefined;
  const { repository, tag, digest } = parseReference(ref);
  const name = `${repository}:${tag}`;
  return digest === undefined && tags.includes(name) ? name : undefined;
}
