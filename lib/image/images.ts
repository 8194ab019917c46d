import { Readable } from 'node:stream';

import { NotFoundError, ParseError } from '../errors.js';
import type { Descriptor, Platform } from '../oci/descriptor.js';
import { formatPlatform, hostPlatform, parsePlatform } from '../oci/platform.js';
import { parseReference } from '../oci/reference.js';
import type { RegistryStorage } from '../registry/server/storage.js';
import type { Ref } from '../store/leases.js';
import type { Store } from '../store/store.js';
import type {
  AbortOptions,
  Digest,
  DiskUsage,
  Labels,
  Operation,
  PlatformString,
  PruneReport,
  TransferProgress,
} from '../types.js';
import { lazy } from '../util/lazy.js';
import { operation, type Report } from '../util/operation.js';
import type { ArrivalOptions } from './arrival.js';
import { Catalog } from './catalog.js';
import type { CheckOptions, StoreCheck } from './check.js';
import type { ImageLocation } from './copy.js';
import type { FromHostOptions } from './from-host.js';
import type { ImportOptions } from './import.js';
import type {
  CopyOptions,
  ImageCollectionOptions,
  ImageEvents,
  LoadImageOptions,
  ObtainOptions,
  PullOptions,
} from './options.js';
import type { SaveOptions } from './save.js';
import type { ImageFilter } from './filter.js';
import { Image } from './image.js';
import { familiar } from './inspect.js';
import { Look } from './look.js';
import type { ImageChange } from './mount.js';
import type { Departure, PushOptions, PushProgress } from './push.js';
import type { ImageRecord } from './record.js';
import type { ImageRemoval, RemoveImageOptions } from './removals.js';
import { Resolver, type ResolvedImage } from './resolve.js';

/** The images of a store. */
export class ImageCollection {
  readonly #options: ImageCollectionOptions;
  readonly #store: Store;
  readonly #catalog: Catalog;
  readonly #resolver: Resolver;
  /** What the handles hand on to. @internal */
  readonly look: Look;
  readonly #removals = lazy(async () => {
    const { Removals } = await import('./removals.js');
    return new Removals({
      store: this.#store,
      catalog: this.#catalog,
      usedBy: record => this.#options.usedBy?.(record.config) ?? [],
      untagged: (record, tag) => this.#emit('image:untag', record, tag),
      removed: record => this.#options.emit?.('image:remove', eventOf(record)),
    });
  });

  constructor(options: ImageCollectionOptions) {
    this.#options = options;
    this.#store = options.store;
    this.#catalog = new Catalog(options.store);
    this.#resolver = new Resolver(options.store, this.#catalog);
    this.look = new Look(options.store, this.#catalog, this.#resolver);
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
    const { pullImage, pullKey, pulls } = await import('./pull.js');
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
      const own = this.#options.platform ?? formatPlatform(hostPlatform());
      const beside = strict && formatPlatform(platform) !== own ? 'second' : 'first';
      const { readFromRegistry } = await import('./registries.js');
      const record = await readFromRegistry(reference.registryHost, this.#options, credentials, registry =>
        pullImage({ ...arrival, registry, reference, platform, strict, beside }),
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
  load(source: string | Readable, options: LoadImageOptions = {}): Operation<Image[], TransferProgress> {
    return operation(async report => {
      const call = 'images.load';
      const signal = options.signal ?? new AbortController().signal;
      signal.throwIfAborted();
      const platform = options.platform === undefined ? this.#platform(call) : parsePlatform(options.platform, call);
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
   * Makes an image of a root file system, as `docker export` writes it: a tar archive, plain, gzip, zstd, xz or bzip2.
   * The image has that as its only layer, and no history of how it came about.
   *
   * @param source - A path, or the archive itself.
   * @throws {@link ParseError} when it is no archive or a change is malformed, {@link NotFoundError} when there is no such file.
   */
  async import(source: string | Readable, options: ImportOptions = {}): Promise<Image> {
    const call = 'images.import';
    const arrival = this.#arrival(call, options.signal ?? new AbortController().signal, () => {});
    arrival.signal.throwIfAborted();
    const { importImage } = await import('./import.js');
    const record = await importImage(source, options, { ...arrival, platform: this.#platform(call) });
    this.#emit('image:import', record, options.ref ?? record.config);
    return Image.of(this, record);
  }

  /**
   * Writes images to an archive, byte for byte as they are here: layers, manifests and configs keep their digests.
   *
   * @param refs - By a tag with that tag, by a repository with all its tags, by id without any.
   * @returns The archive, which nobody makes before it is read. It fails with {@link NotFoundError} when there is no such
   * image, and with {@link IntegrityError}, before its end, when the disk has changed a blob.
   */
  save(refs: string | readonly string[], options: SaveOptions = {}): Readable {
    options.signal?.throwIfAborted();
    const saving = {
      store: this.#store,
      catalog: this.#catalog,
      saved: (record: ImageRecord, ref: string) => this.#emit('image:save', record, ref),
    };
    const archive = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
      const { saveImages } = await import('./save.js');
      yield* saveImages([refs].flat(), options, saving);
    };
    return Readable.from(archive(), { objectMode: false, highWaterMark: 4 << 20 });
  }

  /**
   * Copies an image byte for byte between registries, archives, layouts and the store, without unpacking it on the way;
   * only a copy into the store unpacks it, there.
   *
   * @param options.platform - Of an index, the image for this one; `all` copies the index with all that it lists. Default:
   * the engine's.
   * @returns The digest of what was copied: a manifest's or, with `all`, that of the index.
   */
  copy(from: ImageLocation, to: ImageLocation, options: CopyOptions = {}): Operation<Digest, TransferProgress> {
    return operation(async report => {
      const call = 'images.copy';
      const signal = options.signal ?? new AbortController().signal;
      signal.throwIfAborted();
      const { platform = this.#platform(call) } = options;
      const { copyImage } = await import('./copy.js');
      return copyImage({
        from,
        to,
        platform: typeof platform === 'string' && platform !== 'all' ? parsePlatform(platform, call) : platform,
        arrival: this.#arrival(call, signal, report),
        access: this.#options,
        credentials: options.credentials ?? this.#options.credentials,
      });
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
   * @param options.platform - Where the tag has images for several platforms, the one for this. Default: the one that
   * was pulled, loaded or tagged last without saying a platform.
   * @throws {@link NotFoundError} when there is none, {@link ConflictError} when there are several.
   */
  async get(ref: string, options: AbortOptions & { readonly platform?: PlatformString } = {}): Promise<Image> {
    options.signal?.throwIfAborted();
    return Image.of(this, this.#catalog.find(ref, 'images.get', options.platform));
  }

  /**
   * All images, the newest first.
   *
   * @param filter.name - A tag as Docker prints it, or a pattern for it.
   * @param filter.dangling - `true` for those without a tag, `false` for the others.
   */
  async list(filter: ImageFilter = {}, options: AbortOptions = {}): Promise<Image[]> {
    options.signal?.throwIfAborted();
    const { matches } = await import('./filter.js');
    const tags = this.#catalog.tags();
    const resolved = this.#catalog.resolveFilter(filter, 'images.list');
    return this.#catalog
      .list()
      .filter(record => matches(record, tags.get(record.id) ?? [], resolved))
      .sort((a, b) => (b.created ?? '').localeCompare(a.created ?? '') || a.id.localeCompare(b.id))
      .map(record => Image.of(this, record));
  }

  /**
   * Removes the images that no container uses: those without a tag or, with `dangling: false`, all of them.
   */
  async prune(filter: ImageFilter = {}, options: AbortOptions = {}): Promise<PruneReport> {
    return (await this.#removals()).prune(filter, options);
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
  tryResolve(ref: string | Image, call = 'images.resolve', platform?: PlatformString): ResolvedImage | undefined {
    return this.#resolver.tryResolve(typeof ref === 'string' ? ref : ref.id, call, platform);
  }

  /**
   * What a container is made from, pulled as the policy says. The usual case, an image that is here, does not wait.
   *
   * @internal
   */
  obtain(ref: string | Image, options: ObtainOptions): ResolvedImage | Promise<ResolvedImage> {
    const { call, policy = 'missing', platform } = options;
    if (typeof ref !== 'string') return this.resolve(ref, call);
    const here = policy === 'always' ? undefined : this.tryResolve(ref, call, platform);
    if (here !== undefined && policy !== 'newer') return here;
    if (policy === 'never') {
      const remedy = "It is not in the store: pull or load it, or leave out pull: 'never'";
      throw new NotFoundError({ call, kind: 'image', ref, remedy });
    }
    return this.#obtain(ref, here, options);
  }

  async #obtain(ref: string, here: ResolvedImage | undefined, options: ObtainOptions): Promise<ResolvedImage> {
    const { obtainImage } = await import('./obtain.js');
    return obtainImage(ref, here, options, {
      isKnownAs: (id, name) => this.#catalog.get(id)?.repoDigests.includes(name) === true,
      access: this.#options,
      pull: async pullOptions => this.resolve(await this.pull(ref, pullOptions), options.call),
    });
  }

  /**
   * What is different in the files of two images, by time, size, mode and owner: `docker diff`, between images.
   *
   * @throws {@link NotFoundError} when there is no such image.
   */
  async diff(from: string | Image, to: string | Image, options: AbortOptions = {}): Promise<readonly ImageChange[]> {
    return this.look.diff(String(from), String(to), options);
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
    await (await this.#removals()).untag(ref, tag, options);
  }

  /**
   * Removes what `ref` names, as `docker rmi` does: a tag; with the last one, or by id, the image itself. What no other
   * image and no container needs is deleted from the disk.
   *
   * @throws {@link ConflictError} saying who uses it.
   */
  async remove(ref: string, options: RemoveImageOptions = {}): Promise<ImageRemoval> {
    return (await this.#removals()).remove(ref, options);
  }

  /** @internal See `engine.check()`. */
  check(
    options: CheckOptions,
    usedBy: (chainId: Digest) => readonly string[],
  ): Operation<StoreCheck, TransferProgress> {
    return operation(async report => {
      const { checkStore } = await import('./check.js');
      const signal = options.signal ?? new AbortController().signal;
      signal.throwIfAborted();
      return checkStore({ options, arrival: this.#arrival('engine.check', signal, report), usedBy });
    });
  }

  /** @internal See `engine.diskUsage()`. */
  async usage(containersOf: (id: Digest) => number): Promise<DiskUsage['images']> {
    const { imageUsage } = await import('./usage.js');
    return imageUsage(this.#catalog.list(), this.#catalog.tags(), containersOf);
  }

  #platform(call: string): Platform {
    const { platform } = this.#options;
    return platform === undefined ? hostPlatform() : parsePlatform(platform, call);
  }

  /**
   * The images of the store, to be served by a {@link RegistryServer} without a copy: as `HOST/library/alpine:3`, whichever
   * registry they came from.
   */
  async storage(): Promise<RegistryStorage> {
    const { StoreStorage } = await import('./storage.js');
    return new StoreStorage(this.#store, this.#catalog);
  }

  #departure(call: string, report: Report<PushProgress>): Departure {
    return { call, store: this.#store, catalog: this.#catalog, access: this.#options, report };
  }

  #arrival(call: string, signal: AbortSignal, report: Report<TransferProgress>, concurrency = 3): ArrivalOptions {
    if (!Number.isInteger(concurrency) || concurrency < 1) {
      throw new TypeError(`${call}: expected concurrency to be a number from 1 on, got ${concurrency}`);
    }
    const { maxLayerBytes = 64 * 2 ** 30, maxLayerRatio = 2000 } = this.#options;
    const limits = { maxLayerBytes, maxLayerRatio };
    return { call, store: this.#store, catalog: this.#catalog, signal, report, concurrency, ...limits };
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
}

function eventOf(record: ImageRecord): { time: Date; id: string; labels: Labels } {
  return { time: new Date(), id: record.config, labels: record.labels };
}
