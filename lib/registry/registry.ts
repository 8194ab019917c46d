import type { Readable } from 'node:stream';

import type { Descriptor } from '../oci/descriptor.js';
import type { Digest, PlatformString } from '../types.js';

import { checkRepository, registryUrls } from './address.js';
import type { FetchedManifest } from './manifest.js';
import type { BlobOptions, CallOptions, RegistryOptions } from './options.js';
import type { SearchResult } from './search.js';
import type { Session } from './session.js';
import type { BlobContent, UploadOptions, UploadOutcome } from './upload.js';

/**
 * One registry, asked over HTTP. Connections are kept for the next call and do not keep the process alive.
 *
 * @see {@link https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md | distribution-spec v1.1.1}
 */
export class Registry implements AsyncDisposable {
  /** As given: `ghcr.io`, `127.0.0.1:5000`. */
  readonly host: string;
  readonly #options: RegistryOptions;
  /** Loaded with the first call: most processes that import this package ask no registry. */
  #session: Promise<Session> | undefined;

  /** @throws `TypeError` when `host` is none. */
  constructor(host: string, options: RegistryOptions = {}) {
    registryUrls(host, options.insecure);
    this.host = host;
    this.#options = options;
  }

  /**
   * Asks whether it is a registry, and lets us in: what `docker login` does.
   *
   * @returns An identity token where the registry gives one, to be kept instead of the password.
   * @throws {@link RegistryError}, {@link NetworkError}.
   */
  async check(options: CallOptions = {}): Promise<{ readonly identityToken?: string }> {
    return (await this.#open()).check(options);
  }

  /**
   * Finds out what a tag or digest stands for.
   *
   * @param options.platform - Looks into an index and resolves to the manifest for that platform.
   * @throws {@link NotFoundError} when there is no such image, or none for that platform.
   * @throws {@link RegistryError}, {@link NetworkError}, {@link IntegrityError}, {@link ParseError}.
   */
  async resolve(
    repository: string,
    ref: string,
    options: CallOptions & { readonly platform?: PlatformString } = {},
  ): Promise<Descriptor> {
    return (await this.#open()).resolve(repository, ref, options);
  }

  /**
   * Fetches a manifest or an index. Its bytes are those that the digest is of: by digest they are verified, by tag the
   * registry's own statement is.
   *
   * @throws {@link NotFoundError} when there is no such image.
   * @throws {@link LimitError} when it has more than 4 MiB.
   * @throws {@link RegistryError}, {@link NetworkError}, {@link IntegrityError}, {@link ParseError}.
   */
  async manifest(repository: string, ref: string, options: CallOptions = {}): Promise<FetchedManifest> {
    return (await this.#open()).manifest(repository, ref, options);
  }

  /**
   * Streams a blob. It is verified as it comes: the stream fails with {@link IntegrityError} before it ends. Connections
   * that are cut or stall are replaced, and go on where they were.
   *
   * @returns A stream; destroying it ends the transfer.
   * @throws {@link NotFoundError} when there is no such blob.
   * @throws {@link RegistryError}, {@link NetworkError}, {@link IntegrityError}.
   */
  async blob(repository: string, descriptor: Descriptor, options: BlobOptions = {}): Promise<Readable> {
    return (await this.#open()).blob(repository, descriptor, options);
  }

  /** How many bytes a blob has; `undefined` when it is not there. */
  async blobSize(repository: string, digest: Digest, options: CallOptions = {}): Promise<number | undefined> {
    return (await this.#open()).blobSize(repository, digest, options);
  }

  /** The tags of a repository, in the registry's order; each page is asked for when the one before has been read. */
  tags(repository: string, options: CallOptions = {}): AsyncIterable<string> {
    checkRepository(repository, options.call ?? 'registry.tags');
    return this.#names(session => session.tags(repository, options));
  }

  /** The repositories of a registry that tells: Docker Hub and other large ones do not. */
  catalog(options: CallOptions = {}): AsyncIterable<string> {
    return this.#names(session => session.catalog(options));
  }

  /**
   * Looks for images by a word: Docker Hub can, and registries that have its first search.
   *
   * @param options.limit - At most so many, from 1 to 100. Default `25`, as Docker.
   */
  async search(term: string, options: CallOptions & { readonly limit?: number } = {}): Promise<SearchResult[]> {
    return (await this.#open()).search(term, options);
  }

  /**
   * What refers to an image: signatures, attestations, lists of what is in it. Where the registry keeps no such list, the tag
   * is read under which clients keep one.
   *
   * @param options.artifactType - Only what is of this kind.
   */
  async referrers(
    repository: string,
    digest: Digest,
    options: CallOptions & { readonly artifactType?: string } = {},
  ): Promise<Descriptor[]> {
    return (await this.#open()).referrers(repository, digest, options);
  }

  /**
   * Uploads a blob, unless it is there already.
   *
   * @param content - Bytes, a stream, or a function that opens it at an offset: what can be opened again survives connections
   * that are cut, and goes on where it was.
   * @throws {@link RegistryError}, {@link NetworkError}.
   */
  async putBlob(
    repository: string,
    descriptor: Descriptor,
    content: BlobContent,
    options: CallOptions & UploadOptions = {},
  ): Promise<UploadOutcome> {
    return (await this.#open()).putBlob(repository, descriptor, content, options);
  }

  /**
   * Uploads a manifest or an index under a tag or its digest. What it refers to, if anything, will list it: where the
   * registry does not see to that, the tag is written that stands in for the list.
   *
   * @returns What was uploaded.
   * @throws {@link IntegrityError} when the registry says that it has got something else.
   * @throws {@link RegistryError}, {@link NetworkError}.
   */
  async putManifest(
    repository: string,
    ref: string,
    mediaType: string,
    bytes: Uint8Array,
    options: CallOptions = {},
  ): Promise<Descriptor> {
    return (await this.#open()).putManifest(repository, ref, mediaType, bytes, options);
  }

  /**
   * Deletes a manifest by its digest, with all its tags, or a tag alone, where the registry can.
   *
   * @throws {@link NotFoundError} when it is not there, {@link RegistryError} when the registry deletes nothing.
   */
  async deleteManifest(repository: string, ref: string, options: CallOptions = {}): Promise<void> {
    return (await this.#open()).deleteManifest(repository, ref, options);
  }

  /**
   * Deletes a blob from a repository. Manifests that need it are not asked.
   *
   * @throws {@link NotFoundError} when it is not there, {@link RegistryError} when the registry deletes nothing.
   */
  async deleteBlob(repository: string, digest: Digest, options: CallOptions = {}): Promise<void> {
    return (await this.#open()).deleteBlob(repository, digest, options);
  }

  /** Ends what is under way, with an `AbortError`, and closes all connections. */
  async close(): Promise<void> {
    return (await this.#open()).close();
  }

  /** As {@link Registry.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async *#names(list: (session: Session) => AsyncIterable<string>): AsyncGenerator<string, void, undefined> {
    yield* list(await this.#open());
  }

  #open(): Promise<Session> {
    return (this.#session ??= import('./session.js').then(({ Session }) => new Session(this.host, this.#options)));
  }
}
