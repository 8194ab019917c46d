import { readFileSync } from 'node:fs';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { errorCode } from '../../errors.js';
import { isRepositoryPath } from '../../oci/reference.js';
import type { Digest, PruneReport } from '../../types.js';
import { Gate, type Authenticate } from './auth.js';
import { collectRegistry, type CollectRegistryOptions } from './collect.js';
import { DiskStorage } from './disk.js';
import { sendCatalog, sendSearch } from './listing.js';
import { Refusal, refuse, sendJson, type Exchange } from './reply.js';
import { Repository, type Holding } from './repository.js';
import type { RegistryStorage } from './storage.js';
import { Uploads } from './uploads.js';
import { PullThrough, type Upstream } from './upstream.js';

/** What a registry serves, and to whom. */
export interface RegistryServerOptions {
  /** A directory of its own, made where it is missing. One server at a time may use it. */
  readonly root?: string;
  /** Instead of a directory: what is served, read-only. `engine.images.storage()` serves the engine's images without a copy. */
  readonly storage?: RegistryStorage;
  /** Refuses whoever wants to change something. Default `false`; with `storage` and `upstream` it is always so. */
  readonly readOnly?: boolean;
  /** A file that `htpasswd -B` wrote: whoever is not in it gets nothing. It is read again when it changes. */
  readonly htpasswd?: string;
  /** Instead of a file: says whether somebody may come in. Asked for every request. */
  readonly authenticate?: Authenticate;
  /** With a log-in: anybody may pull. Default `false`. */
  readonly anonymousPull?: boolean;
  /** Fetches what is missing from another registry, and keeps it. */
  readonly upstream?: Upstream;
  /** Takes manifests also when what they refer to is not there. Default `false`. */
  readonly sparse?: boolean;
  /** Speaks TLS: PEM, or paths of files that have it. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

/** Where a server listens. */
export interface ListenOptions {
  /** Default `127.0.0.1`. */
  readonly hostname?: string;
  /** Default `0`: one that is free. */
  readonly port?: number;
}

/** A connection on which nothing moves is closed after this. */
const IDLE_MS = 120_000;

/**
 * A registry in this process, which docker, podman, skopeo and all clients of the distribution specification push to and
 * pull from.
 *
 * @see {@link https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md | distribution-spec v1.1.1}
 * @example
 * await using server = new RegistryServer({ root: '/srv/registry', htpasswd: '/srv/htpasswd' });
 * const host = await server.listen({ port: 5000 });
 */
export class RegistryServer implements AsyncDisposable {
  readonly #options: RegistryServerOptions;
  readonly #holding: Holding;
  readonly #gate: Gate | undefined;
  #server: Server | undefined;
  /** What manifests that are put while a collection runs need. */
  #inUse: Set<Digest> | undefined;

  /**
   * @throws `TypeError` when there is neither a root nor a storage, or both.
   * @throws {@link ParseError} when the htpasswd file has lines that are none.
   */
  constructor(options: RegistryServerOptions) {
    if ((options.root === undefined) === (options.storage === undefined)) {
      throw new TypeError('RegistryServer: expected either a root or a storage');
    }
    if (options.upstream !== undefined && options.root === undefined) {
      throw new TypeError('RegistryServer: expected a root, in which what comes from the upstream is kept');
    }
    this.#options = options;
    this.#gate = gateOf(options);
    this.#holding = this.#hold(options);
  }

  /** `host:port`, as clients name it. @throws `TypeError` when it does not listen. */
  get host(): string {
    const address = this.#server?.address() as AddressInfo | null | undefined;
    if (address === null || address === undefined) throw new TypeError('RegistryServer: it does not listen');
    return address.family === 'IPv6' ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
  }

  /**
   * Begins to serve.
   *
   * @returns `host:port`.
   */
  async listen(options: ListenOptions = {}): Promise<string> {
    if (this.#server !== undefined) throw new TypeError('RegistryServer: it listens already');
    const server = await this.#create();
    this.#server = server;
    server.timeout = IDLE_MS;
    server.keepAliveTimeout = 60_000;
    // A layer may take hours; that something moves is what counts.
    server.requestTimeout = 0;
    const { hostname = '127.0.0.1', port = 0 } = options;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(port, hostname, () => {
        server.off('error', reject);
        resolve();
      });
    });
    return this.host;
  }

  /** Answers one request: for whoever has a server of his own. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const method = request.method ?? 'GET';
    const url = new URL(`http://registry${(request.url ?? '/').startsWith('/') ? '' : '/'}${request.url ?? '/'}`);
    const exchange: Exchange = { request, response, method, url };
    // A client that leaves is told nothing.
    response.on('error', () => {});
    try {
      response.setHeader('docker-distribution-api-version', 'registry/2.0');
      await this.#route(exchange);
    } catch (error) {
      if (error instanceof Refusal) return refuse(exchange, error);
      if (request.errored || response.destroyed) return void response.destroy();
      const full = errorCode(error) === 'ENOSPC' || errorCode(error) === 'EDQUOT';
      const message = full ? 'the disk of the registry is full' : 'the registry failed';
      refuse(exchange, new Refusal(full ? 507 : 500, 'UNKNOWN', message));
    }
  }

  /**
   * Takes away what no manifest needs any more. Pushes may go on meanwhile.
   *
   * @throws `TypeError` when it serves what belongs to somebody else.
   */
  async collect(options: CollectRegistryOptions = {}): Promise<PruneReport> {
    const { disk, uploads } = this.#holding;
    if (disk === undefined || uploads === undefined)
      throw new TypeError('RegistryServer: what it serves is not its own');
    if (this.#inUse !== undefined) throw new TypeError('RegistryServer: a collection is going on');
    const inUse = (this.#inUse = new Set());
    try {
      return await collectRegistry(disk, uploads, inUse, options);
    } finally {
      this.#inUse = undefined;
    }
  }

  /** Ends all connections. Uploads that are under way can be gone on with when it listens again. */
  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server !== undefined) {
      const closed = new Promise<void>(resolve => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    }
    await this.#holding.upstream?.close();
  }

  /** As {@link RegistryServer.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #hold({ root, storage, upstream, readOnly = false, sparse = false }: RegistryServerOptions): Holding {
    const onPut = (digests: readonly Digest[]): void => {
      for (const digest of digests) this.#inUse?.add(digest);
    };
    if (root === undefined) return { storage: storage as RegistryStorage, readOnly: true, sparse, onPut };
    const disk = new DiskStorage(root);
    return {
      storage: disk,
      disk,
      uploads: new Uploads(disk),
      readOnly: readOnly || upstream !== undefined,
      sparse,
      onPut,
      ...(upstream !== undefined && { upstream: new PullThrough(disk, upstream) }),
    };
  }

  async #create(): Promise<Server> {
    const listener = (request: IncomingMessage, response: ServerResponse): void => {
      // What fails is answered in there; what cannot be answered ends the connection.
      this.handle(request, response).catch(() => response.destroy());
    };
    const { tls } = this.#options;
    if (tls === undefined) return (await import('node:http')).createServer(listener);
    return (await import('node:https')).createServer({ cert: pem(tls.cert), key: pem(tls.key) }, listener);
  }

  async #route(exchange: Exchange): Promise<void> {
    const { method, url } = exchange;
    const path = url.pathname;
    const reads = method === 'GET' || method === 'HEAD';
    await this.#admit(exchange, reads && path !== '/v2/_catalog' && path !== '/v2/');
    if (path === '/v2/' || path === '/v2') return reads ? sendJson(exchange, 200, {}) : notAllowed('GET, HEAD');
    if (path === '/v2/_catalog') return reads ? sendCatalog(exchange, this.#holding.storage) : notAllowed('GET, HEAD');
    if (path === '/v1/search') return reads ? sendSearch(exchange, this.#holding.storage) : notAllowed('GET, HEAD');
    const match = /^\/v2\/(.+)\/(manifests|blobs\/uploads|blobs|tags|referrers)\/([^/]*)$/.exec(path);
    if (match === null) throw new Refusal(404, 'UNSUPPORTED', 'no such resource');
    const [, name = '', kind = '', last = ''] = match;
    if (!isRepositoryPath(name)) {
      throw new Refusal(400, 'NAME_INVALID', 'invalid repository name', {}, { name: name.slice(0, 300) });
    }
    await new Repository(name, this.#holding).answer(exchange, kind, decode(last));
  }

  async #admit({ request }: Exchange, public_: boolean): Promise<void> {
    if (this.#gate === undefined || (public_ && this.#options.anonymousPull === true)) return;
    if ((await this.#gate.admit(request.headers.authorization)) !== undefined) return;
    throw new Refusal(401, 'UNAUTHORIZED', 'authentication required', {
      'www-authenticate': 'Basic realm="tscontainer registry"',
    });
  }
}

function gateOf({ htpasswd, authenticate }: RegistryServerOptions): Gate | undefined {
  if (htpasswd !== undefined && authenticate !== undefined) {
    throw new TypeError('RegistryServer: expected either htpasswd or authenticate');
  }
  if (authenticate !== undefined) return Gate.of(authenticate);
  return htpasswd === undefined ? undefined : Gate.htpasswd(htpasswd);
}

function notAllowed(allow: string): never {
  throw new Refusal(405, 'UNSUPPORTED', 'the operation is unsupported', { allow });
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Refusal(400, 'NAME_INVALID', 'the path is malformed');
  }
}

function pem(text: string): string {
  return text.includes('-----BEGIN') ? text : readFileSync(text, 'utf8');
}
