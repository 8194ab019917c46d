import { RegistryError } from '../errors.js';
import { sleep } from '../util/abort.js';

import { Authorizer } from './auth.js';
import type { CredentialProvider } from './credentials.js';
import type { Endpoint } from './endpoint.js';
import { isTransientStatus, waitBefore, type RetryPolicy } from './retry.js';
import { isTransient, type Request, type Response, type Transport } from './transport.js';

const MAX_REDIRECTS = 10;
const redirects = new Set([301, 302, 303, 307, 308]);

export interface ClientOptions {
  readonly host: string;
  readonly endpoint: Endpoint;
  readonly transport: Transport;
  readonly credentials: CredentialProvider | undefined;
  readonly userAgent: string;
  readonly retry: RetryPolicy;
  readonly closing: AbortSignal;
  /** See `Authorizer`. */
  readonly offline?: boolean;
}

/** A request to the registry, which may lead elsewhere. */
export interface RegistryRequest extends Omit<Request, 'headers'> {
  readonly headers?: Readonly<Record<string, string>>;
  /** What it needs access to: `repository:library/alpine:pull`. */
  readonly scope: string;
}

/** Requests to one registry: logged in, redirected, tried again. */
export class Client {
  readonly #options: ClientOptions;
  readonly #authorizer: Authorizer;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#authorizer = new Authorizer({
      ...options,
      offline: options.offline === true,
      send: request => this.#patiently(request, () => this.#send(request)),
    });
  }

  /** Credentials were found for this registry. */
  get authenticated(): boolean {
    return this.#authorizer.authenticated;
  }

  /** See `Authorizer`. */
  get identityToken(): string | undefined {
    return this.#authorizer.identityToken;
  }

  /**
   * Sends a request and returns the answer, whatever its status; a status that a moment may change is returned only after
   * the last try. A request whose body is a stream is sent once.
   */
  request(request: RegistryRequest): Promise<Response> {
    return this.#patiently(request, () => this.#authorized(request));
  }

  async #patiently(request: Pick<Request, 'body' | 'signal'>, send: () => Promise<Response>): Promise<Response> {
    const once = request.body !== undefined && typeof request.body !== 'string' && !ArrayBuffer.isView(request.body);
    for (let attempt = 1; ; attempt++) {
      let wait: number | undefined;
      try {
        const response = await send();
        if (once || !isTransientStatus(response.status)) return response;
        wait = waitBefore(this.#options.retry, attempt, response.header('retry-after'));
        if (wait === undefined) return response;
        await response.drain();
      } catch (error) {
        if (once || !isTransient(error)) throw error;
        wait = waitBefore(this.#options.retry, attempt);
        if (wait === undefined) throw error;
      }
      await sleep(wait, request.signal);
    }
  }

  async #authorized(request: RegistryRequest): Promise<Response> {
    const known = this.#authorizer.known(request.scope);
    const response = await this.#follow(request, known);
    // A host that we were redirected to has no business asking for a log-in.
    if (response.status !== 401 || response.url.origin !== this.#options.endpoint.url.origin) return response;
    const authorization = await this.#authorizer.answer(response, request.scope, known, request);
    if (authorization === undefined) return response;
    await response.drain();
    return this.#follow(request, authorization);
  }

  async #follow(request: RegistryRequest, authorization: string | undefined): Promise<Response> {
    let url = request.url;
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      // What was meant for the registry goes nowhere else, not even to another port of its host.
      const own = url.origin === this.#options.endpoint.url.origin;
      const headers = { ...request.headers, ...(own && authorization !== undefined && { authorization }) };
      const unverified = own && this.#options.endpoint.unverified;
      const response = await this.#send({ ...request, url, headers, unverified });
      const location = response.header('location');
      const readOnly = request.method === 'GET' || request.method === 'HEAD';
      if (!redirects.has(response.status) || location === undefined || !readOnly) return response;
      await response.drain();
      url = this.#redirected(request, url, location);
    }
    throw this.#astray(request, url, `redirected more than ${MAX_REDIRECTS} times`);
  }

  #redirected(request: RegistryRequest, from: URL, location: string): URL {
    if (!URL.canParse(location, from.href)) throw this.#astray(request, from, 'redirected to what is not a URL');
    const to = new URL(location, from);
    if (to.protocol !== 'https:' && to.protocol !== 'http:') {
      throw this.#astray(request, from, `redirected to ${to.protocol}, which is not HTTP`);
    }
    if (from.protocol === 'https:' && to.protocol === 'http:') {
      throw this.#astray(
        request,
        from,
        `redirected to ${to.host} by plain HTTP, which anybody on the way could change`,
      );
    }
    to.username = to.password = to.hash = '';
    return to;
  }

  #astray(request: RegistryRequest, url: URL, reason: string): RegistryError {
    return new RegistryError({ call: request.call, status: 0, method: request.method, url, reason });
  }

  #send(request: Request): Promise<Response> {
    const headers = { 'user-agent': this.#options.userAgent, ...request.headers };
    return this.#options.transport.send({ ...request, headers });
  }
}
