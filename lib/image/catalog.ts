import { ConflictError, NotFoundError } from '../errors.js';
import type { Descriptor } from '../oci/descriptor.js';
import { isDigest } from '../oci/digest.js';
import { compatiblePlatforms, formatPlatform, parsePlatform } from '../oci/platform.js';
import { parseReference } from '../oci/reference.js';
import type { Records } from '../store/records.js';
import type { Store } from '../store/store.js';
import type { AbortOptions, Digest, PlatformString } from '../types.js';
import type { ImageFilter, ResolvedFilter } from './filter.js';
import { instantOf } from './inspect.js';
import { recordId, type ImageRecord } from './record.js';

/** Whoever changes images holds this. Readers need not: each step is whole by itself. */
const LOCK = 'images';
const HEX = /^[0-9a-f]{1,64}$/;
/** An id that no record has. */
const NOBODY = 'nobody';

/** Between a tag and a platform, in the name of an image that is not the only one with that tag. No tag has a blank. */
const OF = ' ';

/** How a tag is given. */
export interface PutOptions extends AbortOptions {
  /**
   * Images for other platforms keep the tag, and without a platform it stands for this one (`first`), or still for
   * another (`second`). Default: the tag is this image's alone.
   */
  readonly beside?: 'first' | 'second';
}

/**
 * The images of a store by id, tag, digest and beginning of an id.
 *
 * A tag is a name that the store gives to one record, so moving it from image to image is a single step, and looking it up
 * another. Besides, `<tag> <platform>` is a name of the image that has the tag on that platform, so one tag may stand for
 * several images; the name without a platform is that of one of them.
 */
export class Catalog {
  readonly #store: Store;
  readonly #records: Records<ImageRecord>;

  constructor(store: Store) {
    this.#store = store;
    this.#records = store.records<ImageRecord>('images');
  }

  get(config: Digest): ImageRecord | undefined {
    return this.#records.get(recordId(config));
  }

  list(): ImageRecord[] {
    return this.#records.list();
  }

  /**
   * The references in a filter turned into when those images were made.
   *
   * @throws {@link NotFoundError} when there is none of that name.
   */
  resolveFilter({ before, since, ...rest }: ImageFilter, call: string): ResolvedFilter {
    const madeAt = (ref: string): Date => instantOf(this.find(ref, call).created) ?? new Date(0);
    return {
      ...rest,
      ...(before === undefined ? {} : { madeBefore: madeAt(before) }),
      ...(since === undefined ? {} : { madeAfter: madeAt(since) }),
    };
  }

  /** Tags in full, sorted, by the id of the record that has them. */
  tags(): Map<string, string[]> {
    const tags = new Map<string, string[]>();
    for (const [name, id] of [...this.#records.names()].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const [tag = ''] = name.split(OF);
      const others = tags.get(id);
      if (others === undefined) tags.set(id, [tag]);
      else if (!others.includes(tag)) others.push(tag);
    }
    return tags;
  }

  tagsOf(record: ImageRecord): string[] {
    return this.tags().get(record.id) ?? [];
  }

  /**
   * @throws {@link NotFoundError} when there is none.
   * @throws {@link ConflictError} when `ref` is the beginning of several ids.
   * @throws {@link ParseError} when it can be neither a name nor an id.
   */
  find(ref: string, call: string, platform?: PlatformString): ImageRecord {
    const record = this.lookUp(ref, call, platform);
    if (record !== undefined) return record;
    const other = platform === undefined ? undefined : this.lookUp(ref, call);
    if (other !== undefined) {
      const remedy = `It is here for ${other.platform}; pull it with images.pull(${JSON.stringify(ref)}, { platform: ${JSON.stringify(platform)} })`;
      throw new NotFoundError({ call, kind: 'image', ref: `${ref} for ${platform}`, remedy });
    }
    throw new NotFoundError({
      call,
      kind: 'image',
      ref,
      remedy: `Pull it with images.pull(${JSON.stringify(ref)}); images.list() says what is here`,
    });
  }

  /**
   * As {@link Catalog.find}, with `undefined` for none. A name wins over the beginning of an id, as in Docker.
   *
   * @param platform - An image for another one is none.
   */
  lookUp(ref: string, call: string, platform?: PlatformString): ImageRecord | undefined {
    const found = this.#lookUp(ref, call);
    if (platform === undefined || found === undefined || fits(found, platform)) return found;
    if (isDigest(ref) || HEX.test(ref)) return undefined;
    const { repository, tag, digest } = parseReference(ref, { call });
    if (digest !== undefined) {
      const name = `${repository}@${digest}`;
      return this.list().find(record => record.repoDigests.includes(name) && fits(record, platform));
    }
    const [id] = this.#variants(`${repository}:${tag}`).find(([, of]) => matchesPlatform(of, platform)) ?? [];
    return id === undefined ? undefined : this.#records.get(id);
  }

  /** The images that have a tag, the preferred one first. */
  sharing(tag: string): ImageRecord[] {
    const ids = new Set([this.#records.resolve(tag) ?? '', ...this.#variants(tag).map(([id]) => id)]);
    return [...ids].flatMap(id => (id === '' ? [] : (this.#records.get(id) ?? [])));
  }

  #variants(tag: string): [id: string, platform: string][] {
    return [...this.#records.names()].flatMap(([name, id]): [string, string][] =>
      name.startsWith(tag + OF) ? [[id, name.slice(tag.length + OF.length)]] : [],
    );
  }

  #lookUp(ref: string, call: string): ImageRecord | undefined {
    if (isDigest(ref)) return this.get(ref) ?? this.list().find(record => record.manifest.digest === ref);
    if (/^[0-9a-f]{64}$/.test(ref)) return this.get(`sha256:${ref}`);
    if (ref.startsWith('sha256:') && HEX.test(ref.slice(7))) return this.#byPrefix(ref.slice(7), call);
    const { repository, tag, digest } = parseReference(ref, { call });
    if (digest !== undefined) return this.list().find(record => record.repoDigests.includes(`${repository}@${digest}`));
    return this.#byTag(`${repository}:${tag}`) ?? (HEX.test(ref) ? this.#byPrefix(ref, call) : undefined);
  }

  #byTag(tag: string): ImageRecord | undefined {
    const id = this.#records.resolve(tag);
    return id === undefined ? undefined : this.#records.get(id);
  }

  #byPrefix(hex: string, call: string): ImageRecord | undefined {
    const [first, ...more] = this.#records.ids().filter(id => id.startsWith(hex));
    if (more.length === 0) return first === undefined ? undefined : this.#records.get(first);
    throw new ConflictError({
      call,
      kind: 'image',
      ref: hex,
      reason: `is the beginning of ${more.length + 1} image ids`,
      usedBy: [first, ...more].map(id => `sha256:${id}`),
      remedy: 'Write more digits',
    });
  }

  /** Puts an image, and gives it names, whoever had them. What registries called it before is kept. */
  async put(fresh: ImageRecord, tags: readonly string[], options: PutOptions = {}): Promise<ImageRecord> {
    return this.#change(options.signal, () => {
      const before = this.#records.get(fresh.id);
      const record = { ...fresh, repoDigests: union(before?.repoDigests, fresh.repoDigests) };
      this.#records.put(record);
      for (const tag of tags) this.#assign(tag, record, options.beside);
      return record;
    });
  }

  /** Notes what a registry calls an image: `host/repository@digest`. An image that is gone stays so. */
  async known(config: Digest, repoDigest: string, signal?: AbortSignal): Promise<void> {
    await this.#change(signal, () => {
      const record = this.get(config);
      if (record === undefined || record.repoDigests.includes(repoDigest)) return;
      this.#records.put({ ...record, repoDigests: union(record.repoDigests, [repoDigest]) });
    });
  }

  /** Gives an image one more name. `undefined` means that the image is gone. */
  async tag(config: Digest, tag: string, signal?: AbortSignal): Promise<ImageRecord | undefined> {
    return this.#change(signal, () => {
      const before = this.get(config);
      if (before === undefined) return undefined;
      const record = { ...before, updated: new Date().toISOString() };
      this.#records.put(record);
      this.#assign(tag, record, undefined);
      return record;
    });
  }

  #assign(tag: string, record: ImageRecord, beside: PutOptions['beside']): void {
    const mine = tag + OF + record.platform;
    const others = this.#variants(tag).filter(([, platform]) => platform !== record.platform);
    if (beside === undefined) {
      for (const [, platform] of others) this.#records.release(tag + OF + platform);
      this.#records.release(mine);
      this.#records.assign(tag, record.id);
      return;
    }
    const first = this.#records.get(this.#records.resolve(tag) ?? NOBODY);
    const another = first !== undefined && first.platform !== record.platform;
    // An image that was the only one of its tag has no name with its platform yet.
    if (another) this.#records.assign(tag + OF + first.platform, first.id);
    if (another || others.length > 0) this.#records.assign(mine, record.id);
    if (!another || beside === 'first') this.#records.assign(tag, record.id);
  }

  /**
   * Takes names from an image, or the image altogether. `decide` sees the image as it is under the lock, and may throw.
   *
   * @returns The tags that it had and has no more; `undefined` when the image was gone already.
   */
  async drop(
    config: Digest,
    decide: (record: ImageRecord, tags: readonly string[]) => 'image' | { readonly names: readonly string[] },
    signal?: AbortSignal,
  ): Promise<readonly string[] | undefined> {
    return this.#change(signal, () => {
      const record = this.get(config);
      if (record === undefined) return undefined;
      const tags = this.tagsOf(record);
      const decision = decide(record, tags);
      if (decision === 'image') {
        this.#records.delete(
          record.id,
          tags.flatMap(tag => [tag, tag + OF + record.platform]),
        );
        for (const tag of tags) this.#promote(tag);
        return tags;
      }
      const { names } = decision;
      const repoDigests = record.repoDigests.filter(digest => !names.includes(digest));
      if (repoDigests.length < record.repoDigests.length) this.#records.put({ ...record, repoDigests });
      return tags.filter(tag => names.includes(tag) && this.#release(tag, record));
    });
  }

  #release(tag: string, record: ImageRecord): boolean {
    const released = [tag, tag + OF + record.platform].map(name => this.#records.release(name, record.id));
    this.#promote(tag);
    return released.includes(true);
  }

  /** A tag that other platforms' images still have stands for one of them. */
  #promote(tag: string): void {
    if (this.#records.resolve(tag) !== undefined) return;
    const [first] = this.#variants(tag);
    if (first !== undefined) this.#records.assign(tag, first[0]);
  }

  /** Writes the list of images that other programs read anew. */
  async refresh(signal?: AbortSignal): Promise<void> {
    await this.#change(signal, () => {});
  }

  async #change<T>(signal: AbortSignal | undefined, work: () => T): Promise<T> {
    const lock = await this.#store.lock(LOCK, signal === undefined ? {} : { signal });
    try {
      const result = work();
      await this.#store.content.writeIndex(() => this.#describe());
      return result;
    } finally {
      await lock[Symbol.asyncDispose]();
    }
  }

  /** Lets skopeo, umoci and crane see the images (image-spec v1.1.1, image-layout.md). */
  #describe(): Descriptor[] {
    const tags = this.tags();
    return this.list().flatMap(record => {
      const [os = '', architecture = '', variant] = record.platform.split('/');
      const platform = { architecture, os, ...(variant === undefined ? {} : { variant }) };
      const descriptor: Descriptor = { ...record.manifest, platform };
      const named = (tags.get(record.id) ?? []).map(tag => ({
        ...descriptor,
        annotations: { 'io.containerd.image.name': tag, 'org.opencontainers.image.ref.name': tag },
      }));
      return named.length === 0 ? [descriptor] : named;
    });
  }
}

function fits(record: ImageRecord, platform: PlatformString): boolean {
  return matchesPlatform(record.platform, platform);
}

/** Whether a machine that is asked for as `wanted` runs an image for `is`. */
function matchesPlatform(is: string, wanted: PlatformString): boolean {
  return compatiblePlatforms(parsePlatform(wanted)).some(other => formatPlatform(other) === is);
}

function union(a: readonly string[] | undefined, b: readonly string[]): string[] {
  return [...new Set([...(a ?? []), ...b])].sort();
}
