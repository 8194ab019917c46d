import type { Readable } from 'node:stream';

import type { Dispatcher } from 'undici';

import { errorCode, LimitError, NetworkError } from '../errors.js';

import { withUsualAuthorities, type TlsOptions } from './certificates.js';
import { proxyFor } from './proxy.js';

/** One HTTP request; redirects, retries and log-ins are others' business. */
export interface Request {
  /** The user's call, for messages. */
  readonly call: string;
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | Readable;
  readonly signal: AbortSignal;
  /** Whoever the certificate of the registry itself was signed by will do. Never for another host. */
  readonly unverified?: boolean;
}

/** The answer. One of `chunks`, `bytes`, `drain` and `discard` must be called, or its connection stays taken. */
export interface Response {
  readonly status: number;
  readonly url: URL;
  readonly method: string;
  header(name: string): string | undefined;
  /** All lines of that name. */
  headers(name: string): readonly string[];
  /** The body as it comes; fails with {@link NetworkError} when it is cut or stalls. */
  chunks(): AsyncGenerator<Uint8Array, void, undefined>;
  /** The whole body, refused when it has more than `maxBytes`. */
  bytes(maxBytes: number): Promise<Buffer>;
  /** Reads what is left so that the connection can be used again; gives it up when that is much. */
  drain(): Promise<void>;
  /** Gives the connection up. */
  discard(): void;
}

export interface TransportOptions {
  /** Connections to each host. */
  readonly connections: number;
  readonly connectTimeoutMs: number;
  /** How long an answer, or the next piece of it, may take to come. */
  readonly stallTimeoutMs: number;
  /** `host:port` of the registry. Who we are is shown to it alone. */
  readonly host: string;
  /** Read when the first connection is made. */
  readonly tls?: () => TlsOptions | undefined;
}

/** What is left of a body that nobody wants: read when it is less than this, else the connection is closed. */
const DRAIN_BYTES = 64 * 1024;
const KEEP_ALIVE_MS = 10_000;

/**
 * Everything we know of undici is in this file. It is imported by the first request, since that takes longer than opening
 * an engine may.
 */
export class Transport {
  readonly #options: TransportOptions;
  /** By proxy, and by what TLS is told; the empty key is for neither. */
  readonly #dispatchers = new Map<string, Promise<Dispatcher>>();

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  /**
   * @throws {@link NetworkError} when there is no answer.
   * @throws the signal's reason.
   */
  async send(request: Request): Promise<Response> {
    request.signal.throwIfAborted();
    const dispatcher = await this.#dispatcher(request);
    try {
      const answer = await dispatcher.request({
        origin: request.url.origin,
        path: request.url.pathname + request.url.search,
        method: request.method,
        headers: request.headers,
        ...(request.body !== undefined && { body: request.body }),
        signal: request.signal,
      });
      return new Answer(request, answer, this.#options.stallTimeoutMs);
    } catch (error) {
      request.signal.throwIfAborted();
      throw connectionFailure(request, error);
    }
  }

  /** Closes all connections; what is under way on them fails. */
  async close(): Promise<void> {
    await Promise.all([...this.#dispatchers.values()].map(async dispatcher => (await dispatcher).destroy()));
  }

  #dispatcher({ url, unverified = false }: Request): Promise<Dispatcher> {
    const proxy = proxyFor(url);
    const own = url.host === this.#options.host;
    const key = [proxy?.href ?? '', own && url.protocol === 'https:' ? `own ${unverified}` : ''].join(' ').trim();
    const known = this.#dispatchers.get(key);
    if (known !== undefined) return known;
    const fresh = connect(this.#options, proxy, { own, unverified: own && unverified });
    this.#dispatchers.set(key, fresh);
    // A certificate that cannot be read may be there the next time.
    fresh.catch(() => this.#dispatchers.delete(key));
    return fresh;
  }
}

async function connect(
  options: TransportOptions,
  proxy: URL | undefined,
  { own, unverified }: { readonly own: boolean; readonly unverified: boolean },
): Promise<Dispatcher> {
  const { Agent, ProxyAgent } = await import('undici');
  const tls = tlsOf(options, own, unverified);
  const settings = {
    connections: options.connections,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: 60_000,
    headersTimeout: options.stallTimeoutMs,
    // Ours, in `chunks`: undici's also runs while the reader is slow.
    bodyTimeout: 0,
    autoSelectFamily: true,
    connect: { timeout: options.connectTimeoutMs, ...tls },
  };
  if (proxy === undefined) return new Agent(settings);
  const { username, password } = proxy;
  const login = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64');
  const uri = `${proxy.protocol}//${proxy.host}`;
  return new ProxyAgent({
    ...settings,
    uri,
    requestTls: { timeout: options.connectTimeoutMs, ...tls },
    ...(username !== '' && { token: `Basic ${login}` }),
  });
}

/** A registry's own authority may also have signed for where it sends us; who we are is for the registry alone. */
function tlsOf(options: TransportOptions, own: boolean, unverified: boolean): object {
  const { ca = [], cert = [], key = [] } = options.tls?.() ?? {};
  return {
    ...(ca.length > 0 && { ca: withUsualAuthorities(ca) }),
    ...(own && cert.length > 0 && { cert: [...cert], key: [...key] }),
    ...(unverified && { rejectUnauthorized: false }),
  };
}

class Answer implements Response {
  readonly status: number;
  readonly url: URL;
  readonly method: string;
  readonly #request: Request;
  readonly #answer: Dispatcher.ResponseData;
  readonly #stallTimeoutMs: number;

  constructor(request: Request, answer: Dispatcher.ResponseData, stallTimeoutMs: number) {
    this.status = answer.statusCode;
    this.url = request.url;
    this.method = request.method;
    this.#request = request;
    this.#answer = answer;
    this.#stallTimeoutMs = stallTimeoutMs;
    // A body that is given up, or that is cut while nobody reads it, must not end the process.
    answer.body.on('error', () => {});
  }

  header(name: string): string | undefined {
    return this.headers(name)[0];
  }

  headers(name: string): readonly string[] {
    const value = this.#answer.headers[name];
    return value === undefined ? [] : Array.isArray(value) ? value : [value];
  }

  async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    const { body } = this.#answer;
    // Counts only while we wait for the registry, not while the reader of these chunks takes its time.
    let waiting = true;
    const timer = setTimeout(() => (waiting ? body.destroy(this.#stalled()) : timer.refresh()), this.#stallTimeoutMs);
    try {
      for await (const chunk of body as AsyncIterable<Uint8Array>) {
        waiting = false;
        yield chunk;
        waiting = true;
        timer.refresh();
      }
    } catch (error) {
      this.#request.signal.throwIfAborted();
      throw connectionFailure(this.#request, error);
    } finally {
      clearTimeout(timer);
    }
  }

  async bytes(maxBytes: number): Promise<Buffer> {
    const announced = Number(this.header('content-length') ?? 0);
    if (announced > maxBytes) this.#tooLarge(`announces ${announced} bytes`, maxBytes);
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of this.chunks()) {
      length += chunk.length;
      if (length > maxBytes) this.#tooLarge('goes on', maxBytes);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  }

  async drain(): Promise<void> {
    try {
      await this.#answer.body.dump({ limit: DRAIN_BYTES, signal: this.#request.signal });
    } catch {
      // Only the connection is lost, and the next request opens another.
    }
  }

  discard(): void {
    this.#answer.body.destroy();
  }

  #tooLarge(what: string, limit: number): never {
    this.discard();
    throw new LimitError({
      call: this.#request.call,
      what: shown(this.url),
      reason: `the answer ${what}, at most ${limit} are read`,
      limit,
    });
  }

  #stalled(): NetworkError {
    return networkError(this.#request, 'ETIMEDOUT', `nothing came for ${this.#stallTimeoutMs} ms`);
  }
}

interface Diagnosis {
  readonly reason: string;
  readonly remedy?: string;
  /** Asking again is pointless. */
  readonly lasting?: true;
}

const diagnoses: Readonly<Record<string, Diagnosis>> = {
  ENOTFOUND: {
    reason: 'the host name is unknown',
    remedy: 'Check its spelling, and the DNS of this machine',
    lasting: true,
  },
  EAI_AGAIN: { reason: 'the name server does not answer', remedy: 'Check the DNS of this machine' },
  ECONNREFUSED: { reason: 'the connection was refused', remedy: 'Is a registry listening there?', lasting: true },
  ECONNRESET: { reason: 'the connection was cut' },
  EPIPE: { reason: 'the connection was cut' },
  UND_ERR_SOCKET: { reason: 'the connection was cut' },
  UND_ERR_CONNECT_TIMEOUT: {
    reason: 'no connection came about in time',
    remedy: 'Check the network, or set HTTPS_PROXY',
  },
  UND_ERR_HEADERS_TIMEOUT: { reason: 'no answer came in time' },
  UND_ERR_HEADERS_OVERFLOW: { reason: 'the headers of the answer are too large', lasting: true },
};

const plainHttp: Diagnosis = {
  reason: 'it does not speak TLS',
  remedy: 'If plain HTTP is meant, list the host as insecure',
  lasting: true,
};

function diagnose(code: string | undefined): Diagnosis {
  if (code === undefined) return { reason: 'the connection failed' };
  if (Object.hasOwn(diagnoses, code) && diagnoses[code]) return diagnoses[code];
  if (code === 'EPROTO' || code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG') {
    return plainHttp;
  }
  if (/CERT|SELF_SIGNED|UNABLE_TO_|ERR_TLS/.test(code)) {
    return {
      reason: `its certificate is not trusted (${code})`,
      remedy: 'Point NODE_EXTRA_CA_CERTS at the authority that signed it, or put it into certs.d',
      lasting: true,
    };
  }
  if (code.startsWith('HPE_')) return { reason: `it does not speak HTTP (${code})`, lasting: true };
  return { reason: `the connection failed (${code})` };
}

/** Whether the same request may well succeed a moment later. */
export function isTransient(error: unknown): boolean {
  if (errorCode(error) !== 'CTR_NETWORK') return false;
  return diagnose(errorCode((error as NetworkError).cause)).lasting !== true;
}

function connectionFailure(request: Request, error: unknown): unknown {
  if (errorCode(error)?.startsWith('CTR_')) return error;
  const { reason, remedy } = diagnose(errorCode(error));
  return new NetworkError({
    call: request.call,
    address: request.url.host,
    reason,
    ...(remedy !== undefined && { remedy }),
    cause: error,
  });
}

function networkError(request: Request, code: string, reason: string): NetworkError {
  return new NetworkError({ call: request.call, address: request.url.host, reason, cause: { code } });
}

/** Without query, which may hold a signature that lets its bearer in. */
function shown(url: URL): string {
  return url.origin + url.pathname;
}
