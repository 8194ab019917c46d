import type { Readable } from 'node:stream';

import { errorCode, ParseError } from '../errors.js';
import { isIndex, mediaTypes, type Descriptor } from '../oci/descriptor.js';
import { algorithmOf, digester as newDigester, isDigest, parseDigest } from '../oci/digest.js';
import { parseIndex } from '../oci/image-spec.js';
import { choosePlatform } from '../oci/platform.js';
import { isTag } from '../oci/reference.js';
import type { Digest, PlatformString } from '../types.js';

import { isHub } from './address.js';
import { openBlob } from './blob.js';
import type { RegistryRequest } from './client.js';
import { Connection } from './connection.js';
import { manifestTypes, readHead, readManifest, type FetchedManifest } from './manifest.js';
import type { BlobOptions, CallOptions, RegistryOptions } from './options.js';
import { listReferrers, readSubject, referrersTag, withReferrer } from './referrers.js';
import type { Asked } from './refusal.js';
import { MAX_SEARCH_BYTES, readSearch, searchUrl, type SearchResult } from './search.js';
import type { Response } from './transport.js';
import { uploadBlob, uploadManifest, type BlobContent, type UploadOptions, type UploadOutcome } from './upload.js';

/** What does the work of a {@link Registry}, whose methods say how: loaded when there is some. */
export class Session {
  readonly host: string;
  readonly #connection: Connection;

  /** @throws `TypeError` when `host` is none. */
  constructor(host: string, options: RegistryOptions = {}) {
    this.host = host;
    this.#connection = new Connection(host, options);
  }

  async check(options: CallOptions = {}): Promise<{ readonly identityToken?: string }> {
    const { call = 'registry.check' } = options;
    return this.#connection.call(call, options.signal, async signal => {
      const url = new URL('v2/', this.#connection.endpoint.url);
      await (await this.#connection.expect(200, { call, method: 'GET', url, scope: '', signal })).drain();
      const { identityToken } = this.#connection.client;
      return identityToken === undefined ? {} : { identityToken };
    });
  }

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
    const name = this.#connection.name(repository, ref);
    return choosePlatform(parseIndex(bytes, { call, source: name }, descriptor.mediaType), platform, {
      call,
      ref: name,
    });
  }

  async manifest(repository: string, ref: string, options: CallOptions = {}): Promise<FetchedManifest> {
    const { call = 'registry.manifest' } = options;
    const name = this.#connection.name(repository, ref);
    return this.#connection.call(call, options.signal, async signal => {
      const request = this.#manifestRequest('GET', repository, ref, call, signal);
      return readManifest(await this.#connection.expect(200, request, { kind: 'image', ref: name }), {
        call,
        name,
        ref,
      });
    });
  }

  async blob(repository: string, descriptor: Descriptor, options: BlobOptions = {}): Promise<Readable> {
    const { call = 'registry.blob', offset = 0, verify = true } = options;
    if (!Number.isSafeInteger(offset) || offset < 0 || offset > descriptor.size) {
      throw new TypeError(`${call}: expected an offset between 0 and ${descriptor.size}, got ${offset}`);
    }
    this.#connection.checkOpen(call);
    await this.#connection.endpoint.settle(options.signal);
    const name = this.#connection.name(repository, descriptor.digest);
    const fresh = offset === 0 ? newDigester(algorithmOf(descriptor.digest)) : undefined;
    return openBlob({
      call,
      name,
      descriptor,
      offset,
      digester: verify ? (options.digester ?? fresh) : undefined,
      retry: this.#connection.retry,
      ask: (from, signal) => this.#askBlob(repository, descriptor.digest, from, { call, name, signal }),
      controller: new AbortController(),
      signals: [options.signal, this.#connection.closing],
    });
  }

  async blobSize(repository: string, digest: Digest, options: CallOptions = {}): Promise<number | undefined> {
    const { call = 'registry.blobSize' } = options;
    return this.#connection.call(call, options.signal, async signal => {
      const url = this.#connection.url(repository, `blobs/${parseDigest(digest, { call })}`, call);
      const headers = { 'accept-encoding': 'identity' };
      const scope = pullScope(repository);
      const response = await this.#connection.client.request({ call, method: 'HEAD', url, headers, scope, signal });
      const size = Number(response.header('content-length') ?? NaN);
      if (response.status === 200 && Number.isSafeInteger(size)) {
        await response.drain();
        return size;
      }
      if (response.status !== 404) throw await this.#connection.refused(response, call);
      await response.drain();
      return undefined;
    });
  }

  tags(repository: string, options: CallOptions = {}): AsyncIterable<string> {
    const { call = 'registry.tags' } = options;
    const missing = { kind: 'image' as const, ref: `${this.host}/${repository}` };
    const first = (): URL => this.#connection.url(repository, 'tags/list?n=1000', call);
    first();
    return this.#connection.names('tags', first, {
      call,
      scope: pullScope(repository),
      signal: options.signal,
      missing,
    });
  }

  catalog(options: CallOptions = {}): AsyncIterable<string> {
    const { call = 'registry.catalog' } = options;
    const first = (): URL => new URL('v2/_catalog?n=1000', this.#connection.endpoint.url);
    return this.#connection.names('repositories', first, { call, scope: 'registry:catalog:*', signal: options.signal });
  }

  async search(term: string, options: CallOptions & { readonly limit?: number } = {}): Promise<SearchResult[]> {
    const { call = 'registry.search', limit = 25 } = options;
    return this.#connection.call(call, options.signal, async signal => {
      const base = isHub(this.host) ? new URL('https://index.docker.io/') : this.#connection.endpoint.url;
      const url = searchUrl(base, term, limit, call);
      const headers = { accept: 'application/json' };
      const response = await this.#connection.expect(200, { call, method: 'GET', url, headers, scope: '', signal });
      return readSearch(await response.bytes(MAX_SEARCH_BYTES), { call, source: url.href });
    });
  }

  async referrers(
    repository: string,
    digest: Digest,
    options: CallOptions & { readonly artifactType?: string } = {},
  ): Promise<Descriptor[]> {
    const { call = 'registry.referrers', artifactType } = options;
    return this.#connection.call(call, options.signal, async signal => {
      const first = this.#connection.url(repository, `referrers/${parseDigest(digest, { call })}`, call);
      if (artifactType !== undefined) first.searchParams.set('artifactType', artifactType);
      const headers = { accept: mediaTypes.ociIndex };
      const ask = async (url: URL): Promise<Response | undefined> => {
        const response = await this.#connection.client.request({
          call,
          method: 'GET',
          url,
          headers,
          scope: pullScope(repository),
          signal,
        });
        if (response.status === 200) return response;
        if (response.status !== 404) throw await this.#connection.refused(response, call);
        await response.drain();
        return undefined;
      };
      const manifest = (tag: string): Promise<Uint8Array | undefined> => this.#maybe(repository, tag, { call, signal });
      return listReferrers({ call, digest, artifactType, first, ask, manifest });
    });
  }

  async putBlob(
    repository: string,
    descriptor: Descriptor,
    content: BlobContent,
    options: CallOptions & UploadOptions = {},
  ): Promise<UploadOutcome> {
    const { call = 'registry.putBlob' } = options;
    return this.#connection.call(call, options.signal, signal =>
      uploadBlob(this.#connection.uploads(repository, call, signal), descriptor, content, options),
    );
  }

  async putManifest(
    repository: string,
    ref: string,
    mediaType: string,
    bytes: Uint8Array,
    options: CallOptions = {},
  ): Promise<Descriptor> {
    const { call = 'registry.putManifest' } = options;
    checkRef(ref, call);
    return this.#connection.call(call, options.signal, async signal => {
      const uploads = this.#connection.uploads(repository, call, signal);
      const { descriptor, subject } = await uploadManifest(uploads, ref, mediaType, bytes);
      const about = subject === undefined ? readSubject(bytes, descriptor, call) : undefined;
      if (about !== undefined) {
        const tag = referrersTag(about.subject);
        const index = withReferrer(await this.#maybe(repository, tag, { call, signal }), about.referrer, call);
        if (index !== undefined) await uploadManifest(uploads, tag, mediaTypes.ociIndex, index);
      }
      return descriptor;
    });
  }

  async deleteManifest(repository: string, ref: string, options: CallOptions = {}): Promise<void> {
    const { call = 'registry.deleteManifest' } = options;
    checkRef(ref, call);
    await this.#delete(repository, `manifests/${ref}`, call, options.signal, {
      kind: 'image',
      ref: this.#connection.name(repository, ref),
    });
  }

  async deleteBlob(repository: string, digest: Digest, options: CallOptions = {}): Promise<void> {
    const { call = 'registry.deleteBlob' } = options;
    await this.#delete(repository, `blobs/${parseDigest(digest, { call })}`, call, options.signal, {
      kind: 'blob',
      ref: this.#connection.name(repository, digest),
    });
  }

  async #delete(
    repository: string,
    path: string,
    call: string,
    caller: AbortSignal | undefined,
    missing: Asked['missing'],
  ): Promise<void> {
    await this.#connection.call(call, caller, async signal => {
      const url = this.#connection.url(repository, path, call);
      const scope = `repository:${repository}:delete`;
      await (
        await this.#connection.expect([200, 202, 204], { call, method: 'DELETE', url, scope, signal }, missing)
      ).drain();
    });
  }

  /** A manifest's bytes, `undefined` when there is none. */
  async #maybe(repository: string, ref: string, options: CallOptions): Promise<Uint8Array | undefined> {
    try {
      return (await this.manifest(repository, ref, options)).bytes;
    } catch (error) {
      if (errorCode(error) === 'CTR_NOT_FOUND') return undefined;
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }

  /** `undefined` when a GET is needed to know, or to know why not. */
  #head(repository: string, ref: string, call: string, caller?: AbortSignal): Promise<Descriptor | undefined> {
    return this.#connection.call(call, caller, async signal => {
      const response = await this.#connection.client.request(
        this.#manifestRequest('HEAD', repository, ref, call, signal),
      );
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
    const url = this.#connection.url(repository, `manifests/${ref}`, call);
    return { call, method, url, headers: { accept: manifestTypes }, scope: pullScope(repository), signal };
  }

  #askBlob(
    repository: string,
    digest: Digest,
    from: number,
    { call, name, signal }: { call: string; name: string; signal: AbortSignal },
  ): Promise<Response> {
    const url = this.#connection.url(repository, `blobs/${parseDigest(digest, { call })}`, call);
    // Compressed on the way, neither ranges nor the length would mean the blob's own bytes.
    const headers = { 'accept-encoding': 'identity', ...(from > 0 && { range: `bytes=${from}-` }) };
    const request = { call, method: 'GET' as const, url, headers, scope: pullScope(repository), signal };
    return this.#connection.expect([200, 206], request, { kind: 'blob', ref: name });
  }
}

function checkRef(ref: string, call: string): void {
  if (isTag(ref) || isDigest(ref)) return;
  throw new ParseError({ call, source: JSON.stringify(ref.slice(0, 200)), reason: 'is neither a tag nor a digest' });
}

function pullScope(repository: string): string {
  return `repository:${repository}:pull`;
}
