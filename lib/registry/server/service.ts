import type { IncomingMessage, ServerResponse } from 'node:http';

import { errorCode } from '../../errors.js';
import { isRepositoryPath } from '../../oci/reference.js';
import type { Digest, PruneReport } from '../../types.js';
import type { Gate } from './auth.js';
import { collectRegistry, type CollectRegistryOptions } from './collect.js';
import { DiskStorage } from './disk.js';
import { sendCatalog, sendSearch } from './listing.js';
import { Refusal, refuse, sendJson, type Exchange } from './reply.js';
import { Repository, type Holding } from './repository.js';
import type { RegistryServerOptions } from './server.js';
import type { RegistryStorage } from './storage.js';
import { Uploads } from './uploads.js';
import { PullThrough } from './upstream.js';

/** What answers for a {@link RegistryServer}, and has what it serves: loaded when it begins to. */
export class Service {
  readonly #options: RegistryServerOptions;
  readonly #holding: Holding;
  readonly #gate: Gate | undefined;
  /** What manifests that are put while a collection runs need. */
  #inUse: Set<Digest> | undefined;

  constructor(options: RegistryServerOptions, gate: Gate | undefined) {
    this.#options = options;
    this.#gate = gate;
    this.#holding = this.#hold(options);
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const method = request.method ?? 'GET';
    const url = new URL(`http://registry${(request.url ?? '/').startsWith('/') ? '' : '/'}${request.url ?? '/'}`);
    const exchange: Exchange = { request, response, method, url };
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

  async collect(options: CollectRegistryOptions): Promise<PruneReport> {
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

  async close(): Promise<void> {
    await this.#holding.upstream?.close();
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
