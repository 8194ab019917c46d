import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';

import { mediaTypes, type Descriptor, type Platform } from '../../lib/oci/descriptor.js';
import { sha256 } from '../../lib/oci/digest.js';
import type { Digest } from '../../lib/types.js';
import { RegistryAuth, type AuthOptions } from './registry-auth.js';
import { playFault, type Fault } from './registry-faults.js';

export type { Fault } from './registry-faults.js';
export type { AuthOptions } from './registry-auth.js';

/** What came in, in order. Headers in lower case. */
export interface RecordedRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

export interface TestRegistryOptions {
  readonly auth?: AuthOptions;
  /** Serves what another one holds, as the content host that a registry redirects to. */
  readonly contentOf?: TestRegistry;
}

interface Stored {
  readonly mediaType: string;
  readonly bytes: Buffer;
}

interface Content {
  readonly blobs: Map<string, Buffer>;
  /** `repository` to `tag or digest` to manifest. */
  readonly manifests: Map<string, Map<string, Stored>>;
}

/** One layer: a tar, with how to store it. `compressed` holds what is stored where Node cannot make it, as for zstd. */
export type TestLayer =
  | Buffer
  | { readonly tar: Buffer; readonly compression: 'none' | 'gzip' }
  | { readonly tar: Buffer; readonly compression: 'zstd'; readonly compressed: Buffer };

export interface TestImageOptions {
  /** Tars; a plain buffer is stored with gzip. */
  readonly layers: readonly TestLayer[];
  /** The `config` object of the image's config: `{ Cmd: ['sh'] }`. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Docker's media types instead of OCI's. */
  readonly docker?: boolean;
  /** Default: `linux/amd64`. */
  readonly platform?: Platform;
}

export interface TestImage {
  readonly manifest: Descriptor;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly diffIds: readonly Digest[];
}

/** A real HTTP registry inside this process, on a loopback port of its own, that fails as it is told to. */
export class TestRegistry implements AsyncDisposable {
  readonly requests: RecordedRequest[] = [];
  readonly #content: Content;
  readonly #auth: RegistryAuth | undefined;
  readonly #faults: { pattern: RegExp; fault: Fault; left: number }[] = [];
  readonly #uploads = new Map<string, Buffer[]>();
  #server!: Server;

  private constructor(options: TestRegistryOptions) {
    this.#content =
      options.contentOf !== undefined ? options.contentOf.#content : { blobs: new Map(), manifests: new Map() };
    this.#auth = options.auth && new RegistryAuth(options.auth);
  }

  static async start(options: TestRegistryOptions = {}): Promise<TestRegistry> {
    const registry = new TestRegistry(options);
    registry.#server = createServer((request, response) => {
      // Whatever goes wrong here, the client is to see it rather than wait.
      registry.#serve(request, response).catch(() => response.destroy());
    });
    registry.#server.listen(0, '127.0.0.1');
    await once(registry.#server, 'listening');
    return registry;
  }

  /** `127.0.0.1:PORT`. */
  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Tokens given out so far are worth nothing any more. */
  revokeTokens(): void {
    this.#auth?.revoke();
  }

  /**
   * Makes requests fail. `pattern` is matched with `METHOD /path?query`; the first fault that matches and has `times` left
   * is played. Default: every time.
   */
  fail(pattern: RegExp, fault: Fault, times = Infinity): void {
    this.#faults.push({ pattern, fault, left: times });
  }

  /** Requests whose `METHOD /path` matches. */
  seen(pattern: RegExp): RecordedRequest[] {
    return this.requests.filter(({ method, path }) => pattern.test(`${method} ${path}`));
  }

  putBlob(bytes: Buffer, mediaType: string): Descriptor {
    const digest = sha256(bytes);
    this.#content.blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  }

  /** Stores a manifest under a tag or digest, and always under its digest. */
  putManifest(repository: string, ref: string, mediaType: string, document: object | Buffer): Descriptor {
    const bytes = Buffer.isBuffer(document) ? document : Buffer.from(JSON.stringify(document));
    const digest = sha256(bytes);
    const stored = this.#content.manifests.get(repository) ?? new Map<string, Stored>();
    this.#content.manifests.set(repository, stored);
    stored.set(ref, { mediaType, bytes }).set(digest, { mediaType, bytes });
    return { mediaType, digest, size: bytes.length };
  }

  /** Stores an image: its layers, config and manifest. */
  putImage(repository: string, tag: string, options: TestImageOptions): TestImage {
    const { docker = false, platform = { os: 'linux', architecture: 'amd64' } } = options;
    const layers = options.layers.map(layer => this.#putLayer(layer, docker));
    const diffIds = options.layers.map(layer => sha256(Buffer.isBuffer(layer) ? layer : layer.tar));
    const config = this.putBlob(
      Buffer.from(
        JSON.stringify({
          ...platform,
          created: '2026-01-02T03:04:05.678901234Z',
          config: options.config ?? {},
          rootfs: { type: 'layers', diff_ids: diffIds },
          history: diffIds.map((_, i) => ({ created: '2026-01-02T03:04:05Z', created_by: `layer ${i}` })),
        }),
      ),
      docker ? mediaTypes.dockerConfig : mediaTypes.ociConfig,
    );
    const mediaType = docker ? mediaTypes.dockerManifest : mediaTypes.ociManifest;
    const manifest = this.putManifest(repository, tag, mediaType, { schemaVersion: 2, mediaType, config, layers });
    return { manifest, config, layers, diffIds };
  }

  /** Stores an index of manifests that were stored before. */
  putIndex(
    repository: string,
    tag: string,
    manifests: readonly (Descriptor & { readonly platform?: Platform })[],
    options: { readonly docker?: boolean } = {},
  ): Descriptor {
    const mediaType = options.docker ? mediaTypes.dockerIndex : mediaTypes.ociIndex;
    return this.putManifest(repository, tag, mediaType, { schemaVersion: 2, mediaType, manifests });
  }

  /** What a client uploaded, or was put here. */
  blob(digest: string): Buffer | undefined {
    return this.#content.blobs.get(digest);
  }

  manifest(repository: string, ref: string): { mediaType: string; bytes: Buffer } | undefined {
    return this.#content.manifests.get(repository)?.get(ref);
  }

  /** Connections that are open. */
  connections(): Promise<number> {
    return new Promise((resolve, reject) =>
      this.#server.getConnections((error, count) => (error === null ? resolve(count) : reject(error))),
    );
  }

  /** Resolves when the last connection is closed. */
  async idle(): Promise<void> {
    while ((await this.connections()) > 0) await new Promise(resolve => setImmediate(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #putLayer(layer: TestLayer, docker: boolean): Descriptor {
    if (Buffer.isBuffer(layer)) return this.#putLayer({ tar: layer, compression: 'gzip' }, docker);
    switch (layer.compression) {
      case 'none':
        return this.putBlob(layer.tar, docker ? mediaTypes.dockerLayer : mediaTypes.ociLayer);
      case 'gzip':
        return this.putBlob(gzipSync(layer.tar), docker ? mediaTypes.dockerLayerGzip : mediaTypes.ociLayerGzip);
      case 'zstd':
        return this.putBlob(layer.compressed, docker ? mediaTypes.dockerLayerZstd : mediaTypes.ociLayerZstd);
    }
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url: path = '', headers } = request;
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    this.requests.push({ method, path, headers, body });

    const entry = this.#faults.find(({ pattern, left }) => left > 0 && pattern.test(`${method} ${path}`));
    if (entry !== undefined) entry.left--;
    const url = new URL(path, `http://${this.host}`);
    const fault = entry && playFault(entry.fault, request, response);
    if (fault === 'played') return;
    if (this.#auth?.serve(url, headers, body, response, this.host) === 'answered') return;
    this.#route(method, url, headers, body, response);
  }

  #route(method: string, url: URL, headers: IncomingMessage['headers'], body: Buffer, response: ServerResponse): void {
    const match = /^\/v2\/(.+)\/(manifests|blobs|blobs\/uploads|tags)\/([^/]*)$/.exec(url.pathname);
    if (url.pathname === '/v2/') return send(response, 200, {}, Buffer.from('{}'));
    const [, repository = '', kind, last = ''] = match ?? [];
    if (kind === 'manifests' && method === 'PUT')
      return this.#receiveManifest(repository, last, headers, body, response);
    if (kind === 'manifests') return this.#sendManifest(repository, last, response);
    if (kind === 'blobs') return this.#sendBlob(last, headers, response);
    if (kind === 'blobs/uploads') return this.#receiveBlob(method, url, last, body, response);
    if (kind === 'tags') return this.#sendTags(repository, url, response);
    refuse(response, 404, 'UNSUPPORTED');
  }

  #sendManifest(repository: string, ref: string, response: ServerResponse): void {
    const stored = this.#content.manifests.get(repository)?.get(ref);
    if (stored === undefined) return refuse(response, 404, 'MANIFEST_UNKNOWN');
    const headers = { 'content-type': stored.mediaType, 'docker-content-digest': sha256(stored.bytes) };
    send(response, 200, headers, stored.bytes);
  }

  #receiveManifest(
    repository: string,
    ref: string,
    headers: IncomingMessage['headers'],
    body: Buffer,
    response: ServerResponse,
  ): void {
    const { digest } = this.putManifest(repository, ref, headers['content-type'] ?? '', body);
    send(response, 201, { location: `/v2/${repository}/manifests/${digest}`, 'docker-content-digest': digest });
  }

  #sendBlob(digest: string, headers: IncomingMessage['headers'], response: ServerResponse): void {
    const bytes = this.#content.blobs.get(digest);
    if (bytes === undefined) return refuse(response, 404, 'BLOB_UNKNOWN');
    const common = { 'content-type': 'application/octet-stream', 'docker-content-digest': digest };
    const range = /^bytes=(\d+)-$/.exec(headers.range ?? '');
    if (range === null) return send(response, 200, common, bytes);
    const from = Number(range[1]);
    if (from >= bytes.length) return refuse(response, 416, 'RANGE_INVALID');
    const contentRange = { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` };
    send(response, 206, { ...common, ...contentRange }, bytes.subarray(from));
  }

  #receiveBlob(method: string, url: URL, id: string, body: Buffer, response: ServerResponse): void {
    if (method === 'POST') {
      const fresh = String(this.#uploads.size + 1);
      this.#uploads.set(fresh, []);
      return send(response, 202, { location: `${url.pathname}${fresh}?state=x` });
    }
    const parts = this.#uploads.get(id);
    if (parts === undefined) return refuse(response, 404, 'BLOB_UPLOAD_UNKNOWN');
    parts.push(body);
    const bytes = Buffer.concat(parts);
    if (method === 'PATCH') return send(response, 202, { location: url.pathname, range: `0-${bytes.length - 1}` });
    const digest = url.searchParams.get('digest');
    if (digest !== sha256(bytes)) return refuse(response, 400, 'DIGEST_INVALID');
    this.#content.blobs.set(digest, bytes);
    send(response, 201, { location: `/v2/x/blobs/${digest}`, 'docker-content-digest': digest });
  }

  #sendTags(repository: string, url: URL, response: ServerResponse): void {
    const stored = this.#content.manifests.get(repository);
    if (stored === undefined) return refuse(response, 404, 'NAME_UNKNOWN');
    const last = url.searchParams.get('last') ?? '';
    const all = [...stored.keys()].filter(ref => !ref.includes(':') && ref > last).sort();
    const tags = all.slice(0, Number(url.searchParams.get('n') ?? all.length));
    const more = tags.length > 0 && tags.length < all.length;
    const next = `<${url.pathname}?n=${tags.length}&last=${tags.at(-1)}>; rel="next"`;
    const headers = { 'content-type': 'application/json', ...(more && { link: next }) };
    send(response, 200, headers, Buffer.from(JSON.stringify({ name: repository, tags })));
  }
}

/** `node:http` leaves the body out where the request was a HEAD. */
function send(
  response: ServerResponse,
  status: number,
  headers: Record<string, string>,
  body: Buffer = Buffer.alloc(0),
): void {
  response.writeHead(status, { 'content-length': String(body.length), ...headers }).end(body);
}

function refuse(response: ServerResponse, status: number, code: string): void {
  const body = JSON.stringify({ errors: [{ code, message: code.toLowerCase().replaceAll('_', ' ') }] });
  send(response, status, { 'content-type': 'application/json' }, Buffer.from(body));
}
