import { Readable } from 'node:stream';

import { IntegrityError, RegistryError } from '../errors.js';
import type { Descriptor } from '../oci/descriptor.js';
import { digester, isDigest, sha256, algorithmOf } from '../oci/digest.js';
import { sleep } from '../util/abort.js';

import type { RegistryRequest } from './client.js';
import { isTransientStatus, waitBefore, type RetryPolicy } from './retry.js';
import { isTransient, type Response } from './transport.js';

/**
 * A blob's bytes: at hand, as a stream that can be read once, or as something that can be opened at any offset, which lets
 * an upload that was cut go on where it was.
 */
export type BlobContent = Uint8Array | Readable | ((offset: number) => Readable);

/** How a blob is uploaded. */
export interface UploadOptions {
  /**
   * In pieces of this many bytes, or of as many as the registry wants at least; for registries, or proxies before them, that
   * refuse large requests. Left out: in one piece.
   */
  readonly chunkBytes?: number;
  /** Repositories of the same registry that may have it: it is mounted from there instead. */
  readonly mountFrom?: readonly string[];
  /** Hears how many bytes are on their way so far. */
  readonly onProgress?: (bytes: number) => void;
}

/** How a blob came to be where it was wanted. */
export type UploadOutcome =
  { readonly kind: 'exists' } | { readonly kind: 'mounted'; readonly from: string } | { readonly kind: 'uploaded' };

/** Where and how to upload. */
export interface Uploads {
  readonly call: string;
  /** `…/v2/<repository>/`. */
  readonly root: URL;
  readonly scope: string;
  readonly signal: AbortSignal;
  readonly retry: RetryPolicy;
  readonly request: (request: RegistryRequest) => Promise<Response>;
  /** As `request`, and rejects for other statuses. */
  readonly expect: (status: number | readonly number[], request: RegistryRequest) => Promise<Response>;
}

/** More are not tried: each is a request, and the upload itself always works. */
const MAX_MOUNTS = 3;

/** distribution-spec v1.1.1, "Pushing a blob monolithically", "… in chunks" and "Mounting a blob from another repository". */
export async function uploadBlob(
  uploads: Uploads,
  descriptor: Descriptor,
  content: BlobContent,
  options: UploadOptions = {},
): Promise<UploadOutcome> {
  const { call, root, scope, signal } = uploads;
  const there = await uploads.request({
    call,
    scope,
    signal,
    method: 'HEAD',
    url: new URL(`blobs/${descriptor.digest}`, root),
  });
  await there.drain();
  if (there.status === 200) {
    if (content instanceof Readable) content.destroy();
    return { kind: 'exists' };
  }
  const { mountFrom = [] } = options;
  let session: Session | undefined;
  for (const from of mountFrom.slice(0, MAX_MOUNTS)) {
    const begun = await mount(uploads, descriptor, from);
    if (begun === 'mounted') return { kind: 'mounted', from };
    session ??= begun;
  }
  await new Upload(uploads, descriptor, content, options).run(session ?? (await begin(uploads)));
  return { kind: 'uploaded' };
}

/** An upload that the registry has begun. */
interface Session {
  readonly url: URL;
  /** It takes no smaller chunks. */
  readonly minChunkBytes: number;
}

/** A registry that cannot, or may not say whether it could, has begun an upload, or has not. */
async function mount(uploads: Uploads, { digest }: Descriptor, from: string): Promise<'mounted' | Session | undefined> {
  const { call, root, signal } = uploads;
  const url = new URL(`blobs/uploads/?mount=${digest}&from=${encodeURIComponent(from)}`, root);
  const response = await uploads.request({
    call,
    // Reading there is part of it.
    scope: `${uploads.scope} repository:${from}:pull`,
    signal,
    method: 'POST',
    url,
    headers: { 'content-length': '0' },
  });
  await response.drain();
  if (response.status === 201) return 'mounted';
  return response.status === 202 ? sessionOf(response, uploads) : undefined;
}

async function begin(uploads: Uploads): Promise<Session> {
  const { call, root, scope, signal } = uploads;
  const begun = await uploads.expect(202, {
    call,
    scope,
    signal,
    method: 'POST',
    url: new URL('blobs/uploads/', root),
    headers: { 'content-length': '0' },
  });
  await begun.drain();
  return sessionOf(begun, uploads);
}

function sessionOf(response: Response, uploads: Uploads): Session {
  const min = Number(response.header('oci-chunk-min-length') ?? 0);
  return { url: uploadLocation(response, uploads), minChunkBytes: Number.isSafeInteger(min) ? min : 0 };
}

class Upload {
  readonly #uploads: Uploads;
  readonly #descriptor: Descriptor;
  readonly #content: BlobContent;
  readonly #options: UploadOptions;

  constructor(uploads: Uploads, descriptor: Descriptor, content: BlobContent, options: UploadOptions) {
    this.#uploads = uploads;
    this.#descriptor = descriptor;
    this.#content = content;
    this.#options = options;
  }

  /** Sends everything, and goes on after failures that may pass as long as the content can be opened again. */
  async run(begun: Session): Promise<void> {
    const { retry, signal } = this.#uploads;
    let session = begun;
    let at = 0;
    for (let attempt = 1, before = 0; ;) {
      try {
        const next = await this.#step(session, at);
        if (next === 'done') return;
        [session, at] = [{ ...session, url: next.url }, next.at];
      } catch (error) {
        if (at > before) attempt = 1;
        before = at;
        const wait = this.#mayGoOn(error) ? waitBefore(retry, attempt++) : undefined;
        if (wait === undefined) throw error;
        await sleep(wait, signal);
        // Of nothing and of one byte registries say the same, `0-0`: who was wrong about that begins anew.
        const lost = at === 0 && (error as Partial<RegistryError>).status === 416;
        const there = lost ? undefined : await this.#status(session);
        [session, at] =
          there === undefined ? [await begin(this.#uploads), 0] : [{ ...session, url: there.url }, there.at];
      }
    }
  }

  /** One request: all of it at once, the next chunk, or the closing one. */
  async #step(session: Session, at: number): Promise<'done' | { readonly url: URL; readonly at: number }> {
    const { size, digest } = this.#descriptor;
    const { chunkBytes } = this.#options;
    const { expect, call, scope, signal } = this.#uploads;
    const common = { call, scope, signal };
    const type = { 'content-type': 'application/octet-stream' };
    if (at === size || (at === 0 && chunkBytes === undefined)) {
      const url = new URL(session.url);
      url.searchParams.set('digest', digest);
      const body = size === at ? {} : { body: this.#body(0, size) };
      const headers = { ...type, 'content-length': String(size - at) };
      await (await expect(201, { ...common, method: 'PUT', url, headers, ...body })).drain();
      return 'done';
    }
    const length = Math.min(size - at, Math.max(chunkBytes ?? size, session.minChunkBytes, 1));
    const headers = { ...type, 'content-length': String(length), 'content-range': `${at}-${at + length - 1}` };
    const request = { ...common, method: 'PATCH' as const, url: session.url, headers, body: this.#body(at, length) };
    const response = await expect(202, request);
    await response.drain();
    return { url: uploadLocation(response, this.#uploads), at: at + length };
  }

  /** A chunk that does not follow on what is there is one that was sent twice: 416, and then it is asked what is there. */
  #mayGoOn(error: unknown): boolean {
    if (this.#content instanceof Readable) return false;
    const { status = 0 } = error as Partial<RegistryError>;
    return isTransient(error) || isTransientStatus(status) || status === 416;
  }

  /** How far it got; `undefined` when the registry knows nothing of it any more. */
  async #status(session: Session): Promise<{ readonly url: URL; readonly at: number } | undefined> {
    const { request, call, scope, signal } = this.#uploads;
    const response = await request({ call, scope, signal, method: 'GET', url: session.url });
    await response.drain();
    if (response.status !== 204) return undefined;
    const last = /^(?:bytes=)?0-(\d+)$/.exec(response.header('range') ?? '')?.[1];
    if (last === undefined) return undefined;
    const url = response.header('location') === undefined ? session.url : uploadLocation(response, this.#uploads);
    const at = last === '0' ? 0 : Number(last) + 1;
    return at > this.#descriptor.size ? undefined : { url, at };
  }

  #body(start: number, length: number): Uint8Array | Readable {
    const { onProgress = () => {} } = this.#options;
    const content = this.#content;
    if (ArrayBuffer.isView(content)) {
      onProgress(start + length);
      return content.subarray(start, start + length);
    }
    const stream = typeof content === 'function' ? content(start) : content;
    return Readable.from(counted(stream, { start, length, onProgress }), { objectMode: false });
  }
}

/** So many bytes of a stream, which is closed behind them. */
async function* counted(
  stream: Readable,
  { start, length, onProgress }: { start: number; length: number; onProgress: (bytes: number) => void },
): AsyncGenerator<Uint8Array, void, undefined> {
  let left = length;
  for await (const chunk of stream as AsyncIterable<Uint8Array>) {
    const part = chunk.length > left ? chunk.subarray(0, left) : chunk;
    left -= part.length;
    if (part.length > 0) yield part;
    onProgress(start + length - left);
    if (left === 0 && length > 0) return;
  }
}

/** May be relative, and stays on the registry: elsewhere, its log-in would not be sent along anyway. */
function uploadLocation(response: Response, { call, root }: Uploads): URL {
  const location = response.header('location') ?? '';
  const { status, method, url } = response;
  const target = URL.canParse(location, url.href) ? new URL(location, url) : undefined;
  // Registries behind a proxy that ends TLS often name themselves with http.
  if (target !== undefined && root.protocol === 'https:' && target.hostname === root.hostname)
    target.protocol = 'https:';
  if (target?.origin === root.origin) return target;
  throw new RegistryError({
    call,
    status,
    method,
    url,
    reason: `wants the upload at ${JSON.stringify(location.slice(0, 200))}`,
  });
}

/** What was uploaded, and whether the registry has seen to its being found by what it refers to. */
export interface UploadedManifest {
  readonly descriptor: Descriptor;
  /** The digest in `OCI-Subject`. */
  readonly subject: string | undefined;
}

/** distribution-spec v1.1.1, "Pushing Manifests". */
export async function uploadManifest(
  uploads: Uploads,
  ref: string,
  mediaType: string,
  bytes: Uint8Array,
): Promise<UploadedManifest> {
  const { call, root, scope, signal } = uploads;
  const url = new URL(`manifests/${ref}`, root);
  const headers = { 'content-type': mediaType };
  const response = await uploads.expect(201, { call, scope, signal, method: 'PUT', url, headers, body: bytes });
  await response.drain();
  const stated = response.header('docker-content-digest') ?? '';
  const hash = digester(isDigest(stated) ? algorithmOf(stated) : 'sha256');
  hash.update(bytes);
  const digest = isDigest(stated) ? hash.digest() : sha256(bytes);
  if (isDigest(stated) && stated !== digest) {
    throw new IntegrityError({ call, what: url.href, expected: digest, actual: stated });
  }
  return { descriptor: { mediaType, digest, size: bytes.length }, subject: response.header('oci-subject') };
}
