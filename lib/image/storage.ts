import { readFileSync } from 'node:fs';

import { errorCode } from '../errors.js';
import type { Descriptor } from '../oci/descriptor.js';
import { isDigest } from '../oci/digest.js';
import { parseReference } from '../oci/reference.js';
import type { RegistryStorage, StoredBlob, StoredManifest } from '../registry/server/storage.js';
import type { Store } from '../store/store.js';
import type { Digest } from '../types.js';
import type { Catalog } from './catalog.js';
import type { ImageRecord } from './record.js';

/**
 * The images of a store as a registry has them, without a copy. A repository is called as in the image's name, without the
 * registry: `library/alpine`, `acme/app`. Where two registries have the same, that of Docker Hub is served.
 */
export class StoreStorage implements RegistryStorage {
  readonly #store: Store;
  readonly #catalog: Catalog;

  constructor(store: Store, catalog: Catalog) {
    this.#store = store;
    this.#catalog = catalog;
  }

  blob(repository: string, digest: Digest): StoredBlob | undefined {
    const has = this.#records(repository).some(
      record => record.config === digest || record.layers.some(layer => layer.blob.digest === digest),
    );
    const size = has ? this.#store.content.stat(digest)?.size : undefined;
    return size === undefined ? undefined : { path: this.#store.content.path(digest), size };
  }

  manifest(repository: string, ref: string): StoredManifest | undefined {
    const record = isDigest(ref)
      ? this.#records(repository).find(({ manifest }) => manifest.digest === ref)
      : this.#tagged(repository).get(ref);
    if (record === undefined) return undefined;
    const { mediaType, digest } = record.manifest;
    try {
      return { mediaType, digest, bytes: readFileSync(this.#store.content.path(digest)) };
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  tags(repository: string): readonly string[] | undefined {
    const tagged = this.#tagged(repository);
    return tagged.size === 0 ? undefined : [...tagged.keys()];
  }

  repositories(): readonly string[] {
    return [...new Set(this.#names().map(({ path }) => path))];
  }

  /** Nothing in a store refers to an image but what contains it. */
  referrers(): readonly Descriptor[] {
    return [];
  }

  #records(repository: string): ImageRecord[] {
    return [...new Set(this.#tagged(repository).values())];
  }

  /** By tag. Those of Docker Hub come last, and so win. */
  #tagged(repository: string): Map<string, ImageRecord> {
    const found = this.#names().filter(({ path }) => path === repository);
    const sorted = found.sort((a, b) => Number(a.hub) - Number(b.hub) || (a.domain < b.domain ? 1 : -1));
    return new Map(sorted.map(({ tag, record }) => [tag, record]));
  }

  #names(): { path: string; domain: string; tag: string; hub: boolean; record: ImageRecord }[] {
    const tags = this.#catalog.tags();
    return this.#catalog.list().flatMap(record =>
      (tags.get(record.id) ?? []).map(name => {
        const { path, domain, version } = parseReference(name);
        return { path, domain, tag: version, hub: domain === 'docker.io', record };
      }),
    );
  }
}
