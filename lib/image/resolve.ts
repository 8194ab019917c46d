import { readFileSync } from 'node:fs';

import { IntegrityError, NotFoundError, errorCode } from '../errors.js';
import { sha256 } from '../oci/digest.js';
import { parseConfig, type ImageConfig } from '../oci/image-spec.js';
import type { Store } from '../store/store.js';
import type { Digest, PlatformString } from '../types.js';
import type { Catalog } from './catalog.js';
import type { ImageRecord } from './record.js';
import { readInLayers, type LayerView } from './view.js';

/** Parsed configurations and files kept in memory. A process that uses more images than this reads some of them again. */
const KEPT = 128;

/** All that a container needs to know of its image. Immutable, as the image is. */
export interface ResolvedImage {
  /** Digest of the config, what Docker calls the image id. */
  readonly id: Digest;
  /** Digest of the manifest. */
  readonly digest: Digest;
  readonly platform: PlatformString;
  readonly config: ImageConfig;
  /** Its snapshots, lowest first. */
  readonly chain: readonly Digest[];
  /** Its directories, top first, for {@link readInLayers}. */
  readonly views: readonly LayerView[];
  /** A small file of the image, `undefined` when it has none there. Read once. */
  readFile(path: string): Buffer | undefined;
}

/** Turns references into what containers are made from, quickly: what an id stands for never changes. */
export class Resolver {
  readonly #store: Store;
  readonly #catalog: Catalog;
  readonly #known = new Map<string, ResolvedImage>();

  constructor(store: Store, catalog: Catalog) {
    this.#store = store;
    this.#catalog = catalog;
  }

  /** @throws {@link NotFoundError}, {@link ConflictError}, {@link ParseError}, {@link IntegrityError}. */
  resolve(ref: string, call: string): ResolvedImage {
    return this.#make(this.#catalog.find(ref, call), call);
  }

  tryResolve(ref: string, call: string, platform?: PlatformString): ResolvedImage | undefined {
    const record = this.#catalog.lookUp(ref, call, platform);
    return record === undefined ? undefined : this.#make(record, call);
  }

  #make(record: ImageRecord, call: string): ResolvedImage {
    const key = `${record.id} ${record.manifest.digest}`;
    const known = this.#known.get(key) ?? this.#load(record, call);
    // Put last: the first in the map is the one that was not used for longest.
    this.#known.delete(key);
    this.#known.set(key, known);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= KEPT) break;
      this.#known.delete(oldest);
    }
    return known;
  }

  #load(record: ImageRecord, call: string): ResolvedImage {
    const chain = record.layers.map(layer => layer.chainId);
    const views = this.#views(record, chain);
    const files = new Map<string, Buffer | undefined>();
    return Object.freeze({
      id: record.config,
      digest: record.manifest.digest,
      platform: record.platform,
      config: this.#config(record.config, call),
      chain,
      views,
      readFile: (path: string) => {
        if (!files.has(path)) files.set(path, readInLayers(views, path));
        return files.get(path);
      },
    });
  }

  #views(record: ImageRecord, chain: readonly Digest[]): LayerView[] {
    const dirs = this.#store.snapshots.lowers(chain);
    // Elsewhere a snapshot is the whole tree, and nothing is left to be hidden.
    if (this.#store.snapshots.driver !== 'overlay') return dirs.map(dir => ({ dir, opaque: [] }));
    const topFirst = [...record.layers].reverse();
    return dirs.map((dir, i) => ({ dir, opaque: topFirst[i]?.opaque ?? [] }));
  }

  #config(digest: Digest, call: string): ImageConfig {
    const bytes = this.#read(digest, call);
    const actual = sha256(bytes);
    if (digest.startsWith('sha256:') && actual !== digest) {
      const remedy = 'The file was changed after it was stored: remove the image and pull it again';
      throw new IntegrityError({ call, what: this.#store.content.path(digest), expected: digest, actual, remedy });
    }
    return parseConfig(bytes, { call, source: digest });
  }

  #read(digest: Digest, call: string): Buffer {
    try {
      return readFileSync(this.#store.content.path(digest));
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error;
      throw new NotFoundError({
        call,
        kind: 'blob',
        ref: digest,
        remedy: 'Pull or load the image again',
        cause: error,
      });
    }
  }
}
