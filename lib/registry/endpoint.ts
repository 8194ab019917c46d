import { abortable } from '../util/abort.js';

import type { Request, Response } from './transport.js';

/** Where a registry is, and how far it is trusted. */
export class Endpoint {
  readonly #urls: readonly [URL, ...URL[]];
  readonly #send: (request: Request) => Promise<Response>;
  readonly #closing: AbortSignal;
  #settled: Promise<URL> | undefined;
  #url: URL;

  /**
   * @param urls - Where it may be, the best first: see `registryUrls`.
   * @param send - Sends one request, once.
   */
  constructor(urls: readonly [URL, ...URL[]], send: (request: Request) => Promise<Response>, closing: AbortSignal) {
    this.#urls = urls;
    this.#url = urls[0];
    this.#send = send;
    this.#closing = closing;
  }

  /** Its root; for sure only after {@link Endpoint.settle}. */
  get url(): URL {
    return this.#url;
  }

  /** A registry that may be insecure may have signed its certificate itself. */
  get unverified(): boolean {
    return this.#urls.length > 1;
  }

  /** Finds out whether a registry that may be insecure speaks TLS. Others are asked nothing. */
  async settle(signal: AbortSignal | undefined): Promise<void> {
    if (this.#urls.length === 1) return;
    this.#settled ??= this.#probe();
    this.#url = await abortable(this.#settled, signal);
  }

  async #probe(): Promise<URL> {
    const [secure, plain = secure] = this.#urls;
    const url = new URL('v2/', secure);
    try {
      const request = { call: 'registry', method: 'GET', url, headers: {}, signal: this.#closing } as const;
      (await this.#send({ ...request, unverified: true })).discard();
      return secure;
    } catch {
      // Whatever it was: if it is not that, plain HTTP fails as well, and says why.
      return plain;
    }
  }
}
