import type { Readable } from 'node:stream';

import { ParseError } from '../errors.js';
import { isIndex, type Descriptor } from '../oci/descriptor.js';
import { algorithmOf, digester as newDigester, isDigest, parseDigest, type Digester } from '../oci/digest.js';
import { parseIndex } from '../oci/image-spec.js';
import { choosePlatform } from '../oci/platform.js';
import { isRepositoryPath, isTag } from '../oci/reference.js';
import type { AbortOptions, Digest, PlatformString } from '../types.js';
import { onAborted } from '../util/abort.js';

import { registryUrl } from './address.js';
import { openBlob } from './blob.js';
import { Client, type RegistryRequest } from './client.js';
import type { CredentialProvider } from './credentials.js';
import { manifestTypes, readHead, readManifest, type FetchedManifest } from './manifest.js';
import { refusal, type Asked } from './refusal.js';
import type { RetryPolicy } from './retry.js';
import { listTags, MAX_TAGS_BYTES } from './tags.js';
import { Transport, type Response } from './transport.js';
import { uploadBlob, uploadManifest, type Uploads } from './upload.js';

/** How a registry is talked to. */
export interface RegistryOptions {
  /** Asked when the registry wants to know who we are. Left out: anonymous. */
  readonly credentials?: CredentialProvider;
  /** Plain HTTP. Default: only for 127.0.0.0/8, `::1` and `localhost`; `false` wants HTTPS there, too. */
  readonly insecure?: boolean;
  /** What the registry is told that we are. Default `tscontainer`. */
  readonly userAgent?: string;
  /** Connections to one host. Default `8`. */
  readonly connections?: number;
  /** How long a connection may take to come about. Default `15_000`. */
  readonly connectTimeoutMs?: number;
  /** How long an answer, or the next bytes of it, may take to come. Default `60_000`: a registry that mirrors another fetches first. */
  readonly stallTimeoutMs?: number;
  /** Further tries after a failure that may pass. Default `4`. */
  readonly retries?: number;
  /** Before the second try, doubled for each further one, where the registry does not say. Default `250`. */
  readonly retryDelayMs?: number;
}

/** What every call takes. */
export interface CallOptions extends AbortOptions {
  /** The user's call, for messages, where it is not this one. @internal */
  readonly call?: string;
}

/** How a blob is fetched. */
export interface BlobOptions extends CallOptions {
  /** Bytes that are there already: only the rest is asked for. Default `0`. */
  readonly offset?: number;
  /** Has seen the bytes before `offset`. Without it, the digest of a blob that is resumed is not checked here. */
  readonly digester?: Digester;
  /** `false` leaves the digest to the reader, who digests anyhow; the size is checked all the same. Default `true`. */
  readonly verify?: boolean;
}

/**
 * One registry, asked over HTTP. Connections are kept for the next call and do not keep the process alive.
 *
 * @see {@link https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md | distribution-spec v1.1.1}
 */
export class Registry implements AsyncDisposable {
  /** As given: `ghcr.io`, `127.0.0.1:5000`. */
  readonly host: string;
  readonly #base: URL;
  readonly #transport: Transport;
  readonly #client: Client;
  readonly #retry: RetryPolicy;
  readonly #closing = new AbortController();

  /** @throws `TypeError` when `host` is none. */
  constructor(host: string, options: RegistryOptions = {}) {
    this.host = host;
    this.#base = registryUrl(host, options.insecure);
    this.#retry = { retries: options.retries ?? 4, delayMs: options.retryDelayMs ?? 250 };
    this.#transport = new Transport({
      connections: options.connections ?? 8,
      connectTimeoutMs: options.connectTimeoutMs ?? 15_000,
      stallTimeoutMs: options.stallTimeoutMs ?? 60_000,
    });
    this.#client = new Client({
      host,
      base: this.#base,
      transport: this.#transport,
      credentials: options.credentials,
      userAgent: options.userAgent ?? 'tscontainer',
      retry: this.#retry,
      closing: this.#closing.signal,
    });
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
    const { call = 'registry.resolve', platform } = options;
    const found = platform === undefined ? await this.#head(repository, ref, call, options.signal) : undefined;
    if (found !== undefined) return found;
    const { descriptor, bytes } = await this.manifest(repository, ref, { ...options, call });
    if (platform === undefined || !isIndex(descriptor.mediaType)) return descriptor;
    const name = this.#name(repository, ref);
    return choosePlatform(parseIndex(bytes, { call, source: name }, descriptor.mediaType), platform, {
      call,
      ref: name,
    });
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
    const { call = 'registry.manifest' } = options;
    const name = this.#name(repository, ref);
    return this.#call(call, options.signal, async signal => {
      const request = this.#manifestRequest('GET', repository, ref, call, signal);
      return readManifest(await this.#expect(200, request, { kind: 'image', ref: name }), { call, name, ref });
    });
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
    const { call = 'registry.blob', offset = 0, verify = true } = options;
    if (!Number.isSafeInteger(offset) || offset < 0 || offset > descriptor.size) {
      throw new TypeError(`${call}: expected an offset between 0 and ${descriptor.size}, got ${offset}`);
    }
    this.#checkOpen(call);
    const name = this.#name(repository, descriptor.digest);
    const fresh = offset === 0 ? newDigester(algorithmOf(descriptor.digest)) : undefined;
    return openBlob({
      call,
      name,
      descriptor,
      offset,
      digester: verify ? (options.digester ?? fresh) : undefined,
      retry: this.#retry,
      ask: (from, signal) => this.#askBlob(repository, descriptor.digest, from, { call, name, signal }),
      controller: new AbortController(),
      signals: [options.signal, this.#closing.signal],
    });
  }

  /** The tags of a repository, in the registry's order; each page is asked for when the one before has been read. */
  tags(repository: string, options: CallOptions = {}): AsyncIterable<string> {
    const { call = 'registry.tags' } = options;
    const missing = { kind: 'image' as const, ref: `${this.host}/${repository}` };
    return listTags(call, this.#url(repository, 'tags/list?n=1000', call), url =>
      this.#call(call, options.signal, async signal => {
        const request = { call, method: 'GET' as const, url, scope: pullScope(repository), signal };
        const response = await this.#expect(200, request, missing);
        return { bytes: await response.bytes(MAX_TAGS_BYTES), link: response.header('link') };
      }),
    );
  }

  /**
   * Uploads a blob in one piece, unless it is there already.
   *
   * @throws {@link RegistryError}, {@link NetworkError}.
   */
  async putBlob(
    repository: string,
    descriptor: Descriptor,
    content: Readable | Uint8Array,
    options: CallOptions = {},
  ): Promise<void> {
    const { call = 'registry.putBlob' } = options;
    await this.#call(call, options.signal, signal =>
      uploadBlob(this.#uploads(repository, call, signal), descriptor, content),
    );
  }

  /**
   * Uploads a manifest or an index under a tag or its digest.
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
    const { call = 'registry.putManifest' } = options;
    checkRef(ref, call);
    return this.#call(call, options.signal, signal =>
      uploadManifest(this.#uploads(repository, call, signal), ref, mediaType, bytes),
    );
  }

  /** Ends what is under way, with an `AbortError`, and closes all connections. */
  async close(): Promise<void> {
    this.#closing.abort(new DOMException(`the registry client for ${this.host} was closed`, 'AbortError'));
    await this.#transport.close();
  }

  /** As {@link Registry.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** `undefined` when a GET is needed to know, or to know why not. */
  #head(repository: string, ref: string, call: string, caller?: AbortSignal): Promise<Descriptor | undefined> {
    return this.#call(call, caller, async signal => {
      const response = await this.#client.request(this.#manifestRequest('HEAD', repository, ref, call, signal));
      await response.drain();
      return readHead(response, ref);
    });
  }

  #manifestRequest(
    method: 'GET' | 'HEAD',
    repository: string,
    ref: string,
    call: string,
    signal: AbortSignal,
  ): RegistryRequest {
    checkRef(ref, call);
    const url = this.#url(repository, `manifests/${ref}`, call);
    return { call, method, url, headers: { accept: manifestTypes }, scope: pullScope(repository), signal };
  }

  #askBlob(
    repository: string,
    digest: Digest,
    from: number,
    { call, name, signal }: { call: string; name: string; signal: AbortSignal },
  ): Promise<Response> {
    const url = this.#url(repository, `blobs/${parseDigest(digest, { call })}`, call);
    // Compressed on the way, neither ranges nor the length would mean the blob's own bytes.
    const headers = { 'accept-encoding': 'identity', ...(from > 0 && { range: `bytes=${from}-` }) };
    const request = { call, method: 'GET' as const, url, headers, scope: pullScope(repository), signal };
    return this.#expect([200, 206], request, { kind: 'blob', ref: name });
  }

  async #expect(
    statuses: number | readonly number[],
    request: RegistryRequest,
    missing?: Asked['missing'],
  ): Promise<Response> {
    const response = await this.#client.request(request);
    if ([statuses].flat().includes(response.status)) return response;
    const { authenticated } = this.#client;
    throw await refusal(response, { call: request.call, host: this.host, authenticated, ...(missing && { missing }) });
  }

  #uploads(repository: string, call: string, signal: AbortSignal): Uploads {
    return {
      call,
      root: this.#url(repository, '', call),
      scope: `repository:${repository}:pull,push`,
      signal,
      request: request => this.#client.request(request),
      expect: (statuses, request) => this.#expect(statuses, request),
    };
  }

  /** A call of ours: ends with the caller's signal or with the registry, and leaves no listener on either. */
  async #call<T>(call: string, caller: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.#checkOpen(call);
    const controller = new AbortController();
    const offs = [caller, this.#closing.signal].map(signal => onAborted(signal, reason => controller.abort(reason)));
    try {
      return await work(controller.signal);
    } finally {
      offs.forEach(off => off());
    }
  }

  #checkOpen(call: string): void {
    if (this.#closing.signal.aborted) throw new TypeError(`${call}: the registry client for ${this.host} was closed`);
  }

  #url(repository: string, rest: string, call: string): URL {
    if (isRepositoryPath(repository)) return new URL(`v2/${repository}/${rest}`, this.#base);
    const source = JSON.stringify(repository.slice(0, 300));
    throw new ParseError({ call, source, reason: 'is not a repository name' });
  }

  #name(repository: string, ref: string): string {
    return `${this.host}/${repository}${isDigest(ref) ? '@' : ':'}${ref}`;
  }
}

function checkRef(ref: string, call: string): void {
  if (isTag(ref) || isDigest(ref)) return;
  throw new ParseError({ call, source: JSON.stringify(ref.slice(0, 200)), reason: 'is neither a tag nor a digest' });
}

function pullScope(repository: string): string {
  return `repository:${repository}:pull`;
}
