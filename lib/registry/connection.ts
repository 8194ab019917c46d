import type { EngineError } from '../errors.js';
import { isDigest } from '../oci/digest.js';
import { onAborted } from '../util/abort.js';

import { checkRepository, registryUrls } from './address.js';
import { certificateDirectories, readCertificates } from './certificates.js';
import { Client, type RegistryRequest } from './client.js';
import { Endpoint } from './endpoint.js';
import type { RegistryOptions } from './options.js';
import { refusal, type Asked } from './refusal.js';
import type { RetryPolicy } from './retry.js';
import { listNames, MAX_PAGE_BYTES } from './tags.js';
import { Transport, type Response } from './transport.js';
import type { Uploads } from './upload.js';

/** What all calls to one registry share: connections, log-ins, and what their failures are told as. */
export class Connection {
  readonly host: string;
  readonly endpoint: Endpoint;
  readonly client: Client;
  readonly retry: RetryPolicy;
  readonly #transport: Transport;
  readonly #closing = new AbortController();

  /** @throws `TypeError` when `host` is none. */
  constructor(host: string, options: RegistryOptions) {
    this.host = host;
    const urls = registryUrls(host, options.insecure);
    const directories = options.certificates === undefined ? certificateDirectories() : [options.certificates];
    this.retry = { retries: options.retries ?? 4, delayMs: options.retryDelayMs ?? 250 };
    this.#transport = new Transport({
      connections: options.connections ?? 8,
      connectTimeoutMs: options.connectTimeoutMs ?? 15_000,
      stallTimeoutMs: options.stallTimeoutMs ?? 60_000,
      host: urls[0].host,
      tls: () => readCertificates(host, directories) ?? readCertificates(urls[0].host, directories),
    });
    this.endpoint = new Endpoint(urls, request => this.#transport.send(request), this.#closing.signal);
    this.client = new Client({
      host,
      endpoint: this.endpoint,
      transport: this.#transport,
      credentials: options.credentials,
      userAgent: options.userAgent ?? 'tscontainer',
      retry: this.retry,
      closing: this.#closing.signal,
      offline: options.offline === true,
    });
  }

  /** Fires when it is closed. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** Ends what is under way, with an `AbortError`, and closes all connections. */
  async close(): Promise<void> {
    this.#closing.abort(new DOMException(`the registry client for ${this.host} was closed`, 'AbortError'));
    await this.#transport.close();
  }

  /** A call of ours: ends with the caller's signal or with the registry, and leaves no listener on either. */
  async call<T>(call: string, caller: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.checkOpen(call);
    const controller = new AbortController();
    const offs = [caller, this.#closing.signal].map(signal => onAborted(signal, reason => controller.abort(reason)));
    try {
      await this.endpoint.settle(controller.signal);
      return await work(controller.signal);
    } finally {
      offs.forEach(off => off());
    }
  }

  /** The answer to a request, refused for other statuses. */
  async expect(
    statuses: number | readonly number[],
    request: RegistryRequest,
    missing?: Asked['missing'],
  ): Promise<Response> {
    const response = await this.client.request(request);
    if ([statuses].flat().includes(response.status)) return response;
    throw await this.refused(response, request.call, missing);
  }

  /** The error that an answer is. */
  refused(response: Response, call: string, missing?: Asked['missing']): Promise<EngineError> {
    const { authenticated } = this.client;
    return refusal(response, { call, host: this.host, authenticated, ...(missing && { missing }) });
  }

  /** Names, page by page. */
  names(
    key: 'tags' | 'repositories',
    first: () => URL,
    about: { call: string; scope: string; signal: AbortSignal | undefined; missing?: Asked['missing'] },
  ): AsyncIterable<string> {
    const { call, scope, missing } = about;
    const settled = async (): Promise<URL> => {
      await this.endpoint.settle(about.signal);
      return first();
    };
    return listNames(key, call, settled, url =>
      this.call(call, about.signal, async signal => {
        const response = await this.expect(200, { call, method: 'GET', url, scope, signal }, missing);
        return { bytes: await response.bytes(MAX_PAGE_BYTES), link: response.header('link') };
      }),
    );
  }

  /** How to upload to a repository. */
  uploads(repository: string, call: string, signal: AbortSignal): Uploads {
    return {
      call,
      root: this.url(repository, '', call),
      scope: `repository:${repository}:pull,push`,
      signal,
      retry: this.retry,
      request: request => this.client.request(request),
      expect: (statuses, request) => this.expect(statuses, request),
    };
  }

  /** @throws `TypeError` when it was closed. */
  checkOpen(call: string): void {
    if (this.#closing.signal.aborted) throw new TypeError(`${call}: the registry client for ${this.host} was closed`);
  }

  /** @throws {@link ParseError} when the repository cannot be one. */
  url(repository: string, rest: string, call: string): URL {
    checkRepository(repository, call);
    return new URL(`v2/${repository}/${rest}`, this.endpoint.url);
  }

  /** What messages call an image or blob. */
  name(repository: string, ref: string): string {
    return `${this.host}/${repository}${isDigest(ref) ? '@' : ':'}${ref}`;
  }
}
