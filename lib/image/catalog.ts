import { ConflictError, NotFoundError } from '../errors.js';
import type { Descriptor } from '../oci/descriptor.js';
import { isDigest } from '../oci/digest.js';
import { parseReference } from '../oci/reference.js';
import type { Records } from '../store/records.js';
import type { Store } from '../store/store.js';
import type { Digest } from '../types.js';
import { recordId, type ImageRecord } from './record.js';

/** Whoever changes images holds this. Readers need not: each step is whole by itself. */
const LOCK = 'images';
const HEX = /^[0-9a-f]{1,64}$/;

/**
 * The images of a store by id, tag, digest and beginning of an id. A tag is a name that the store gives to one record, so
 * moving it from image to image is a single step.
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

  /** Tags in full, sorted, by the id of the record that has them. */
  tags(): Map<string, string[]> {
    const tags = new Map<string, string[]>();
    for (const [tag, id] of [...this.#records.names()].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const others = tags.get(id);
      if (others === undefined) tags.set(id, [tag]);
      else others.push(tag);
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
  find(ref: string, call: string): ImageRecord {
    const record = this.lookUp(ref, call);
    if (record !== undefined) return record;
    throw new NotFoundError({
      call,
      kind: 'image',
      ref,
      remedy: `Pull it with images.pull(${JSON.stringify(ref)}); images.list() says what is here`,
    });
  }

  /** As {@link Catalog.find}, with `undefined` for none. A name wins over the beginning of an id, as in Docker. */
  lookUp(ref: string, call: string): ImageRecord | undefined {
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
  async put(fresh: ImageRecord, tags: readonly string[], signal?: AbortSignal): Promise<ImageRecord> {
    return this.#change(signal, () => {
      const before = this.#records.get(fresh.id);
      const record = { ...fresh, repoDigests: union(before?.repoDigests, fresh.repoDigests) };
      this.#records.put(record);
      for (const tag of tags) this.#records.assign(tag, record.id);
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
      this.#records.assign(tag, record.id);
      return record;
    });
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
        this.#records.delete(record.id, tags);
        return tags;
      }
      const { names } = decision;
      const repoDigests = record.repoDigests.filter(digest => !names.includes(digest));
      if (repoDigests.length < record.repoDigests.length) this.#records.put({ ...record, repoDigests });
      return tags.filter(tag => names.includes(tag) && this.#records.release(tag, record.id));
    });
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

function union(a: readonly string[] | undefined, b: readonly string[]): string[] {
  return [...new Set([...(a ?? []), ...b])].sort();
}
