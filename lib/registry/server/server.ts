import { mkdirSync, readFileSync } from 'node:fs';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { PruneReport } from '../../types.js';
import { registryUrls } from '../address.js';
import { Gate, type Authenticate } from './auth.js';
import type { CollectRegistryOptions } from './collect.js';
import type { Service } from './service.js';
import type { RegistryStorage } from './storage.js';
import type { Upstream } from './upstream.js';

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
  readonly #gate: Gate | undefined;
  /** Loaded when there is something to answer: most processes that import this package are no registry. */
  #service: Promise<Service> | undefined;
  #server: Server | undefined;

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
    if (options.upstream !== undefined) registryUrls(options.upstream.host, options.upstream.insecure);
    this.#options = options;
    this.#gate = gateOf(options);
    if (options.root !== undefined) mkdirSync(options.root, { recursive: true, mode: 0o700 });
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
    await this.#open();
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
    // A client that leaves is told nothing.
    response.on('error', () => {});
    await (await this.#open()).handle(request, response);
  }

  /**
   * Takes away what no manifest needs any more. Pushes may go on meanwhile.
   *
   * @throws `TypeError` when it serves what belongs to somebody else.
   */
  async collect(options: CollectRegistryOptions = {}): Promise<PruneReport> {
    return (await this.#open()).collect(options);
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
    await (await this.#service)?.close();
  }

  /** As {@link RegistryServer.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #open(): Promise<Service> {
    return (this.#service ??= import('./service.js').then(({ Service }) => new Service(this.#options, this.#gate)));
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
}

function gateOf({ htpasswd, authenticate }: RegistryServerOptions): Gate | undefined {
  if (htpasswd !== undefined && authenticate !== undefined) {
    throw new TypeError('RegistryServer: expected either htpasswd or authenticate');
  }
  if (authenticate !== undefined) return Gate.of(authenticate);
  return htpasswd === undefined ? undefined : Gate.htpasswd(htpasswd);
}

function pem(text: string): string {
  return text.includes('-----BEGIN') ? text : readFileSync(text, 'utf8');
}
