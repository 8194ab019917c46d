import type { Readable } from 'node:stream';

import { NotFoundError, ParseError } from '../errors.js';
import { MAX_CONFIG_BYTES } from '../oci/image-spec.js';
import { hostPlatform, parsePlatform } from '../oci/platform.js';
import { parseReference } from '../oci/reference.js';
import type { CredentialProvider } from '../registry/credentials.js';
import type { Ref } from '../store/leases.js';
import type { Store } from '../store/store.js';
import type {
  AbortOptions,
  Digest,
  DiskUsage,
  EngineEvents,
  Labels,
  Operation,
  PlatformString,
  PruneReport,
  TransferProgress,
} from '../types.js';
import { operation, type Report } from '../util/operation.js';
import type { Descriptor } from '../oci/descriptor.js';
import type { ArrivalOptions } from './arrival.js';
import { Catalog } from './catalog.js';
import type { FromHostOptions } from './from-host.js';
import { matches, type ImageFilter } from './filter.js';
import { Image } from './image.js';
import { familiar, toDockerImage, toImageInfo, type DockerImage, type ImageInfo, type Inspected } from './inspect.js';
import type { Departure, PushOptions, PushProgress } from './push.js';
import type { ImageRecord } from './record.js';
import type { RegistryAccess } from './registries.js';
import { decideRemoval, type ImageUser, type Removal } from './removal.js';
import { Resolver, type ResolvedImage } from './resolve.js';
import { Shared } from './shared.js';

/** What a pull may be told. */
export interface PullOptions extends AbortOptions {
  /** Which of several. Default: the engine's, which is the host's. */
  readonly platform?: PlatformString;
  /** Instead of the engine's. */
  readonly credentials?: CredentialProvider;
  /** Layers at a time. Default `3`, as dockerd and containerd. */
  readonly concurrency?: number;
}

/** What a removal did. */
export interface ImageRemoval {
  /** As short as Docker prints them. */
  readonly untagged: readonly string[];
  /** The image's id, if it is gone. */
  readonly deleted: readonly Digest[];
}

type ImageEvents = Pick<
  EngineEvents,
  | 'image:pull'
  | 'image:push'
  | 'image:load'
  | 'image:import'
  | 'image:save'
  | 'image:tag'
  | 'image:untag'
  | 'image:remove'
>;

/** How the events of images reach whoever listens. */
export type EmitImage = <K extends keyof ImageEvents>(type: K, event: ImageEvents[K][0]) => void;

/** What the collection gets from the engine. */
export interface ImageCollectionOptions extends RegistryAccess {
  readonly store: Store;
  /** Default: the host's. */
  readonly platform?: PlatformString;
  readonly emit?: EmitImage;
  /** Who uses an image. Default: nobody. */
  readonly usedBy?: (id: Digest) => readonly ImageUser[];
  /** A layer that unpacks to more is refused. Default 64 GiB. */
  readonly maxLayerBytes?: number;
}

export type { ImageUser } from './removal.js';

/** Of this process, whatever the number of engines on one store. */
const pulls = new Shared<ImageRecord, TransferProgress>();

/** The images of a store. */
export class ImageCollection {
  readonly #options: ImageCollectionOptions;
  readonly #store: Store;
  readonly #catalog: Catalog;
  readonly #resolver: Resolver;

  constructor(options: ImageCollectionOptions) {
    this.#options = options;
    this.#store = options.store;
    this.#catalog = new Catalog(options.store);
    this.#resolver = new Resolver(options.store, this.#catalog);
    this.#store.registerRoots('images', () => this.#roots());
  }

  /**
   * Brings an image from its registry, with all its layers unpacked. What is here already is not transferred again;
   * identical pulls going on at the same time are one.
   *
   * An abort makes this caller leave; the transfer stops when the last has left. Layers that came whole, and the
   * beginnings of others, are kept for an hour for whoever tries again.
   *
   * @throws {@link ParseError} when `ref` is malformed, {@link NotFoundError} when there is no such image or none for the
   * platform, {@link RegistryError}, {@link NetworkError}, {@link IntegrityError} when content is not what it should be.
   */
  pull(ref: string, options: PullOptions = {}): Operation<Image, TransferProgress> {
    return operation(report => this.#pull(ref, options, report));
  }

  async #pull(ref: string, options: PullOptions, report: Report<TransferProgress>): Promise<Image> {
    const call = 'images.pull';
    // Half of the package serves to bring images in. Most processes find theirs in the store, and should not load it.
    const { pullImage, pullKey } = await import('./pull.js');
    const reference = parseReference(ref, { call });
    const wanted = options.platform ?? this.#options.platform;
    const platform = wanted === undefined ? hostPlatform() : parsePlatform(wanted, call);
    const credentials = options.credentials ?? this.#options.credentials;
    const key = pullKey({
      root: this.#store.root,
      reference,
      platform,
      strict: options.platform !== undefined,
      credentials,
    });
    const work = async (shared: { signal: AbortSignal; report: Report<TransferProgress> }): Promise<ImageRecord> => {
      const arrival = this.#arrival(call, shared.signal, shared.report, options.concurrency);
      const strict = options.platform !== undefined;
      const { readFromRegistry } = await import('./registries.js');
      const record = await readFromRegistry(reference.registryHost, this.#options, credentials, registry =>
        pullImage({ ...arrival, registry, reference, platform, strict }),
      );
      this.#emit('image:pull', record, reference.familiar());
      return record;
    };
    return Image.of(this, await pulls.join(key, work, { signal: options.signal, report }));
  }

  /**
   * Pushes the image that has this name to the registry that the name says: its layers, unless they are there or can be
   * mounted from another repository there, its config and its manifest, byte for byte as they came or were made.
   *
   * @returns What the registry has now under that name.
   * @throws {@link NotFoundError} when there is no such image here, {@link RegistryError}, {@link NetworkError}.
   */
  push(ref: string, options: PushOptions = {}): Operation<Descriptor, PushProgress> {
    return this.pushAs(ref, ref, options);
  }

  /** @internal See {@link Image.push}. */
  pushAs(image: string, ref: string, options: PushOptions = {}): Operation<Descriptor, PushProgress> {
    return operation(async report => {
      const { pushOne } = await import('./push.js');
      const record = this.#catalog.find(image, 'images.push');
      const pushed = await pushOne(record, ref, this.#departure('images.push', report), options);
      this.#emit('image:push', record, ref);
      return pushed;
    });
  }

  /**
   * Pushes several images, one per platform, and an index that lists them, so that everybody who pulls `ref` gets the one
   * for his machine.
   *
   * @throws {@link ParseError} when two are for the same platform; as {@link ImageCollection.push}.
   */
  pushIndex(
    ref: string,
    images: readonly (string | Image)[],
    options: PushOptions = {},
  ): Operation<Descriptor, PushProgress> {
    return operation(async report => {
      const call = 'images.pushIndex';
      const { pushMany } = await import('./push.js');
      const found = images.map(image => this.#catalog.find(typeof image === 'string' ? image : image.id, call));
      return pushMany(found, ref, this.#departure(call, report), options);
    });
  }

  /**
   * Brings in the images of an archive that `docker save`, `podman save`, `skopeo` or `buildah` wrote, or of a directory
   * in OCI layout: docker-archive or OCI, plain, gzip or zstd.
   *
   * @param source - A path, or the archive itself.
   * @throws {@link ParseError} when it is none of these, {@link IntegrityError} when content is not what it should be.
   */
  load(source: string | Readable, options: AbortOptions = {}): Operation<Image[], TransferProgress> {
    return operation(async report => {
      const call = 'images.load';
      const signal = options.signal ?? new AbortController().signal;
      signal.throwIfAborted();
      const platform =
        this.#options.platform === undefined ? hostPlatform() : parsePlatform(this.#options.platform, call);
      const { loadImages } = await import('./load.js');
      const loaded = await loadImages(source, { ...this.#arrival(call, signal, report), platform });
      for (const record of loaded) {
        const [tag] = this.#catalog.tagsOf(record);
        this.#emit('image:load', record, tag === undefined ? record.config : familiar(tag));
      }
      return loaded.map(record => Image.of(this, record));
    });
  }

  /**
   * Makes an image of programs that this machine has, with the libraries and interpreters that they need: a base image
   * without any network. The same inputs make the same image.
   *
   * @throws {@link NotFoundError} when a program or a library is not there.
   */
  async fromHost(options: FromHostOptions): Promise<Image> {
    const signal = options.signal ?? new AbortController().signal;
    signal.throwIfAborted();
    const arrival = this.#arrival('images.fromHost', signal, () => {});
    const { bringFromHost } = await import('./from-host.js');
    return Image.of(this, await bringFromHost(options, arrival));
  }

  /**
   * Finds an image by tag, id, beginning of an id, or digest.
   *
   * @throws {@link NotFoundError} when there is none, {@link ConflictError} when there are several.
   */
  async get(ref: string, options: AbortOptions = {}): Promise<Image> {
    options.signal?.throwIfAborted();
    return Image.of(this, this.#catalog.find(ref, 'images.get'));
  }

  /**
   * All images, the newest first.
   *
   * @param filter.name - A tag as Docker prints it, or a pattern for it.
   * @param filter.dangling - `true` for those without a tag, `false` for the others.
   */
  async list(filter: ImageFilter = {}, options: AbortOptions = {}): Promise<Image[]> {
    options.signal?.throwIfAborted();
    const tags = this.#catalog.tags();
    return this.#catalog
      .list()
      .filter(record => matches(record, tags.get(record.id) ?? [], filter))
      .sort((a, b) => (b.created ?? '').localeCompare(a.created ?? '') || a.id.localeCompare(b.id))
      .map(record => Image.of(this, record));
  }

  /**
   * Removes the images that no container uses: those without a tag or, with `dangling: false`, all of them.
   */
  async prune(filter: ImageFilter = {}, options: AbortOptions = {}): Promise<PruneReport> {
    const { dangling = true, ...rest } = filter;
    const tags = this.#catalog.tags();
    const candidates = this.#catalog.list().filter(record => {
      const mine = tags.get(record.id) ?? [];
      return matches(record, mine, rest) && (!dangling || mine.length === 0) && this.#users(record).length === 0;
    });
    const removed: Digest[] = [];
    for (const record of candidates) {
      const untagged = await this.#catalog.drop(record.config, () => 'image', options.signal);
      if (untagged === undefined) continue;
      this.#emitRemoval(record, untagged, true);
      removed.push(record.config);
    }
    const { reclaimedBytes } = await this.#store.collect({ graceMs: 0 });
    return { removed, reclaimedBytes };
  }

  /**
   * What a container is made from. Synchronous, because it belongs to the start of one.
   *
   * @throws {@link NotFoundError} when there is none, {@link ConflictError} when there are several.
   * @internal
   */
  resolve(ref: string | Image, call = 'images.resolve'): ResolvedImage {
    return this.#resolver.resolve(typeof ref === 'string' ? ref : ref.id, call);
  }

  /** As {@link ImageCollection.resolve}, with `undefined` when it is not here: it may be pulled. @internal */
  tryResolve(ref: string | Image, call = 'images.resolve'): ResolvedImage | undefined {
    return this.#resolver.tryResolve(typeof ref === 'string' ? ref : ref.id, call);
  }

  /** @internal See {@link Image.inspect}. */
  async inspect(ref: string): Promise<ImageInfo> {
    return toImageInfo(await this.#inspected(ref, 'image.inspect'));
  }

  /** @internal See {@link Image.inspectDocker}. */
  async inspectDocker(ref: string): Promise<DockerImage> {
    return toDockerImage(await this.#inspected(ref, 'image.inspect'));
  }

  async #inspected(ref: string, call: string): Promise<Inspected> {
    const record = this.#catalog.find(ref, call);
    const bytes = await this.#store.content.read(record.config, { maxBytes: MAX_CONFIG_BYTES });
    // It was checked before it was stored, and its digest just now.
    const raw = JSON.parse(bytes.toString()) as Record<string, unknown>;
    return { record, tags: this.#catalog.tagsOf(record), raw };
  }

  /**
   * Gives an image one more name. An image that had that name loses it.
   *
   * @param ref - Which image.
   * @param tag - The new name; without a tag it is `latest`.
   * @throws {@link ParseError} when the name is malformed or has a digest.
   */
  async tag(ref: string, tag: string, options: AbortOptions = {}): Promise<void> {
    const call = 'image.tag';
    const reference = parseReference(tag, { call });
    if (reference.digest !== undefined) {
      throw new ParseError({ call, source: tag, reason: 'a digest cannot be given, it is what the image has' });
    }
    const { config } = this.#catalog.find(ref, call);
    const record = await this.#catalog.tag(config, reference.toString(), options.signal);
    if (record === undefined) throw new NotFoundError({ call, kind: 'image', ref });
    this.#emit('image:tag', record, reference.familiar());
  }

  /**
   * Takes a name from an image. The image stays, also without any.
   *
   * @throws {@link NotFoundError} when it does not have that name.
   */
  async untag(ref: string, tag: string, options: AbortOptions = {}): Promise<void> {
    const call = 'image.untag';
    const reference = parseReference(tag, { call });
    const record = this.#catalog.find(ref, call);
    const names = [reference.toString()];
    const before = record.repoDigests.length;
    const untagged = await this.#catalog.drop(record.config, () => ({ names }), options.signal);
    const after = this.#catalog.get(record.config)?.repoDigests.length ?? 0;
    if ((untagged ?? []).length === 0 && before === after) {
      const has = this.#catalog.tagsOf(record).map(familiar);
      const remedy = has.length === 0 ? 'The image has no tag' : `The image has ${has.join(', ')}`;
      throw new NotFoundError({ call, kind: 'image', ref: reference.familiar(), remedy });
    }
    this.#emit('image:untag', record, reference.familiar());
  }

  /**
   * Removes what `ref` names, as `docker rmi` does: a tag; with the last one, or by id, the image itself. What no other
   * image and no container needs is deleted from the disk.
   *
   * @param options.force - By id, also when it has names in several repositories; and also when stopped containers use it.
   * @throws {@link ConflictError} saying who uses it.
   */
  async remove(ref: string, options: AbortOptions & { readonly force?: boolean } = {}): Promise<ImageRemoval> {
    const call = 'images.remove';
    const { force = false, signal } = options;
    const found = this.#catalog.find(ref, call);
    let removed = false;
    const decide = (record: ImageRecord, tags: readonly string[]): Removal => {
      const decision = decideRemoval({ call, ref, force, record, tags, users: this.#users(record) });
      removed = decision === 'image';
      return decision;
    };
    const untagged = await this.#catalog.drop(found.config, decide, signal);
    if (untagged === undefined) throw new NotFoundError({ call, kind: 'image', ref });
    this.#emitRemoval(found, untagged, removed);
    if (removed) await this.#store.collect({ graceMs: 0 });
    return { untagged: untagged.map(familiar), deleted: removed ? [found.config] : [] };
  }

  /** @internal See `engine.diskUsage()`. */
  async usage(containersOf: (id: Digest) => number): Promise<DiskUsage['images']> {
    const { imageUsage } = await import('./usage.js');
    return imageUsage(this.#catalog.list(), this.#catalog.tags(), containersOf);
  }

  #users(record: ImageRecord): readonly ImageUser[] {
    return this.#options.usedBy?.(record.config) ?? [];
  }

  #departure(call: string, report: Report<PushProgress>): Departure {
    return { call, store: this.#store, catalog: this.#catalog, access: this.#options, report };
  }

  #arrival(call: string, signal: AbortSignal, report: Report<TransferProgress>, concurrency = 3): ArrivalOptions {
    if (!Number.isInteger(concurrency) || concurrency < 1) {
      throw new TypeError(`${call}: expected concurrency to be a number from 1 on, got ${concurrency}`);
    }
    const { maxLayerBytes = 64 * 2 ** 30 } = this.#options;
    return { call, store: this.#store, catalog: this.#catalog, signal, report, concurrency, maxLayerBytes };
  }

  #roots(): Ref[] {
    return this.#catalog.list().flatMap(record => [
      { kind: 'content' as const, digest: record.config },
      { kind: 'content' as const, digest: record.manifest.digest },
      ...record.layers.flatMap(layer => [
        { kind: 'content' as const, digest: layer.blob.digest },
        { kind: 'snapshot' as const, digest: layer.chainId },
      ]),
    ]);
  }

  #emit(type: Exclude<keyof ImageEvents, 'image:remove'>, record: ImageRecord, ref: string): void {
    this.#options.emit?.(type, { ...eventOf(record), ref });
  }

  #emitRemoval(record: ImageRecord, untagged: readonly string[], deleted: boolean): void {
    for (const tag of untagged) this.#emit('image:untag', record, familiar(tag));
    if (deleted) this.#options.emit?.('image:remove', eventOf(record));
  }
}

function eventOf(record: ImageRecord): { time: Date; id: string; labels: Labels } {
  return { time: new Date(), id: record.config, labels: record.labels };
}
