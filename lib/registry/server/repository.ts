import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { isRepositoryPath } from '../../oci/reference.js';
import type { Digest } from '../../types.js';
import { blobUnknown, parseRange, requireDigest, sendBlob } from './blobs.js';
import type { DiskStorage } from './disk.js';
import { sendReferrers, sendTags } from './listing.js';
import { deleteManifest, receiveManifest, requireManifest, sendManifest } from './manifests.js';
import { Refusal, send, type Exchange } from './reply.js';
import type { RegistryStorage } from './storage.js';
import { rangeOf, type Uploads } from './uploads.js';
import { Fetch, type PullThrough } from './upstream.js';

/** What a server serves from. */
export interface Holding {
  readonly storage: RegistryStorage;
  /** The same, where it is its own. */
  readonly disk?: DiskStorage;
  readonly uploads?: Uploads;
  readonly upstream?: PullThrough;
  readonly readOnly: boolean;
  readonly sparse: boolean;
  readonly onPut: (digests: readonly Digest[]) => void;
}

/** One repository, as HTTP shows it: the endpoints of distribution-spec v1.1.1. */
export class Repository {
  readonly #name: string;
  readonly #holding: Holding;

  constructor(name: string, holding: Holding) {
    this.#name = name;
    this.#holding = holding;
  }

  /** @param last - What follows the kind of thing in the path. */
  async answer(exchange: Exchange, kind: string, last: string): Promise<void> {
    const { method } = exchange;
    switch (`${method === 'HEAD' ? 'GET' : method} ${kind}`) {
      case 'GET manifests':
        return sendManifest(exchange, await this.#manifest(last));
      case 'PUT manifests':
        return receiveManifest(exchange, this.#writable().disk, {
          repository: this.#name,
          ref: last,
          sparse: this.#holding.sparse,
          onPut: this.#holding.onPut,
        });
      case 'DELETE manifests':
        return deleteManifest(exchange, this.#writable().disk, this.#name, last);
      case 'GET blobs':
        return this.#sendBlob(exchange, requireDigest(last));
      case 'DELETE blobs':
        return this.#deleteBlob(exchange, requireDigest(last));
      case 'POST blobs/uploads':
        if (last === '') return this.#begin(exchange);
        break;
      case 'GET blobs/uploads':
        return this.#status(exchange, last);
      case 'PATCH blobs/uploads':
        return this.#patch(exchange, last);
      case 'PUT blobs/uploads':
        return this.#put(exchange, last);
      case 'DELETE blobs/uploads':
        this.#writable().uploads.cancel(this.#name, last);
        return send(exchange, 204, {});
      case 'GET tags':
        if (last === 'list') return this.#tags(exchange);
        throw new Refusal(404, 'UNSUPPORTED', 'no such resource');
      case 'GET referrers':
        return sendReferrers(exchange, this.#holding.storage, { repository: this.#name, subject: requireDigest(last) });
    }
    throw new Refusal(405, 'UNSUPPORTED', 'the operation is unsupported', { allow: allowed[kind] ?? 'GET, HEAD' });
  }

  async #manifest(ref: string): ReturnType<PullThrough['manifest']> {
    const { upstream, storage } = this.#holding;
    return upstream === undefined ? requireManifest(storage, this.#name, ref) : upstream.manifest(this.#name, ref);
  }

  async #tags(exchange: Exchange): Promise<void> {
    const { upstream, storage } = this.#holding;
    const tags = upstream === undefined ? storage.tags(this.#name) : await upstream.tags(this.#name);
    sendTags(exchange, this.#name, tags);
  }

  async #sendBlob(exchange: Exchange, digest: Digest): Promise<void> {
    const { storage, disk, upstream } = this.#holding;
    if (upstream !== undefined) return this.#sendThrough(exchange, digest, upstream);
    const blob = storage.blob(this.#name, digest);
    if (blob === undefined) throw blobUnknown(digest);
    // Who looks whether it is there is often about to push what needs it.
    if (exchange.method === 'HEAD') disk?.touchBlob(this.#name, digest);
    await sendBlob(exchange, digest, blob);
  }

  async #sendThrough(exchange: Exchange, digest: Digest, upstream: PullThrough): Promise<void> {
    if (exchange.method === 'HEAD') {
      const size = await upstream.blobSize(this.#name, digest);
      if (size === undefined) throw blobUnknown(digest);
      return sendBlob(exchange, digest, { path: '', size });
    }
    const found = await upstream.blob(this.#name, digest);
    if (!(found instanceof Fetch)) return sendBlob(exchange, digest, found);
    const range = parseRange(exchange.request.headers.range, found.size);
    if (range === 'unsatisfiable') {
      throw new Refusal(416, 'SIZE_INVALID', 'no such range', { 'content-range': `bytes */${found.size}` });
    }
    const { start, end } = range ?? { start: 0, end: found.size - 1 };
    exchange.response.writeHead(range === undefined ? 200 : 206, {
      'content-type': 'application/octet-stream',
      'content-length': end - start + 1,
      'docker-content-digest': digest,
      ...(range !== undefined && { 'content-range': `bytes ${start}-${end}/${found.size}` }),
    });
    await pipeline(Readable.from(found.read(start, end), { objectMode: false }), exchange.response);
  }

  #deleteBlob(exchange: Exchange, digest: Digest): void {
    if (!this.#writable().disk.deleteBlob(this.#name, digest)) throw blobUnknown(digest);
    send(exchange, 202, {});
  }

  /** POST: begins an upload, or does all of it, or finds that there is nothing to do. */
  async #begin(exchange: Exchange): Promise<void> {
    const { uploads } = this.#writable();
    const { searchParams } = exchange.url;
    const mount = searchParams.get('mount');
    if (mount !== null && this.#mount(requireDigest(mount), searchParams.get('from') ?? undefined)) {
      return this.#created(exchange, requireDigest(mount));
    }
    const text = searchParams.get('digest');
    const digest = text === null ? undefined : requireDigest(text);
    const id = uploads.begin(this.#name);
    if (digest === undefined) return this.#accepted(exchange, id, 0);
    await this.#receive(exchange, id, 0);
    await uploads.finish(this.#name, id, digest);
    this.#created(exchange, digest);
  }

  /** Without `from`, a blob of any repository will do. */
  #mount(digest: Digest, from: string | undefined): boolean {
    const { disk } = this.#writable();
    if (from !== undefined && !isRepositoryPath(from)) return false;
    const found = from === undefined ? disk.places().some(name => disk.blob(name, digest)) : disk.blob(from, digest);
    if (!found) return false;
    disk.linkBlob(this.#name, digest);
    return true;
  }

  #status(exchange: Exchange, id: string): void {
    const size = this.#writable().uploads.size(this.#name, id);
    send(exchange, 204, { ...this.#where(id), range: rangeOf(size) });
  }

  async #patch(exchange: Exchange, id: string): Promise<void> {
    const size = await this.#receive(exchange, id, startOf(exchange));
    this.#accepted(exchange, id, size);
  }

  async #put(exchange: Exchange, id: string): Promise<void> {
    const { uploads } = this.#writable();
    const digest = requireDigest(exchange.url.searchParams.get('digest') ?? '');
    await this.#receive(exchange, id, startOf(exchange));
    await uploads.finish(this.#name, id, digest);
    this.#created(exchange, digest);
  }

  async #receive({ request }: Exchange, id: string, start: number | undefined): Promise<number> {
    return this.#writable().uploads.append(this.#name, id, request as AsyncIterable<Uint8Array>, start);
  }

  #accepted(exchange: Exchange, id: string, size: number): void {
    send(exchange, 202, { ...this.#where(id), range: rangeOf(size) });
  }

  #created(exchange: Exchange, digest: Digest): void {
    send(exchange, 201, { location: `/v2/${this.#name}/blobs/${digest}`, 'docker-content-digest': digest });
  }

  #where(id: string): { readonly location: string; readonly 'docker-upload-uuid': string } {
    return { location: `/v2/${this.#name}/blobs/uploads/${id}`, 'docker-upload-uuid': id };
  }

  #writable(): { readonly disk: DiskStorage; readonly uploads: Uploads } {
    const { disk, uploads, readOnly } = this.#holding;
    if (disk !== undefined && uploads !== undefined && !readOnly) return { disk, uploads };
    throw new Refusal(405, 'UNSUPPORTED', 'the registry is read-only', { allow: 'GET, HEAD' });
  }
}

const allowed: Readonly<Record<string, string>> = {
  manifests: 'GET, HEAD, PUT, DELETE',
  blobs: 'GET, HEAD, DELETE',
  'blobs/uploads': 'POST, GET, PATCH, PUT, DELETE',
};

/** `Content-Range: 0-1023`, which is not the header of RFC 9110 of that name; `undefined` where it is missing. */
function startOf({ request }: Exchange): number | undefined {
  const header = request.headers['content-range'];
  if (header === undefined) return undefined;
  const match = /^(?:bytes[ =])?(\d{1,15})-(\d{1,15})(?:\/(?:\d+|\*))?$/.exec(header.trim());
  const [start, end] = [Number(match?.[1]), Number(match?.[2])];
  const length = request.headers['content-length'];
  const fits = match !== null && end >= start && (length === undefined || Number(length) === end - start + 1);
  if (fits) return start;
  throw new Refusal(400, 'BLOB_UPLOAD_INVALID', 'the content range is malformed, or not as long as the content');
}
