import { request, type IncomingHttpHeaders } from 'node:http';
import { buffer } from 'node:stream/consumers';

/** An answer, to the byte. */
export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Where `Location` leads, in full. */
  readonly location: string;
}

export interface RawOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  /** With `Transfer-Encoding: chunked`. */
  readonly streamed?: boolean;
}

/** HTTP as it is, for tests of what a server answers: no redirects, no retries, no opinion. */
export class RawHttp {
  readonly #origin: string;
  readonly #authorization: string | undefined;

  constructor(host: string, login?: { readonly username: string; readonly password: string }) {
    this.#origin = `http://${host}`;
    this.#authorization = login && `Basic ${Buffer.from(`${login.username}:${login.password}`).toString('base64')}`;
  }

  ask(method: string, target: string, { headers = {}, body, streamed = false }: RawOptions = {}): Promise<RawAnswer> {
    const url = new URL(target, this.#origin);
    const length = streamed ? {} : { 'content-length': String(body?.length ?? 0) };
    const sends = method !== 'GET' && method !== 'HEAD';
    return new Promise((resolve, reject) => {
      const outgoing = request(url, {
        method,
        agent: false,
        headers: {
          ...(sends && length),
          ...(this.#authorization !== undefined && { authorization: this.#authorization }),
          ...headers,
        },
      });
      outgoing.on('error', reject).on('response', response => {
        buffer(response).then(bytes => {
          const { location } = response.headers;
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: bytes,
            location: location === undefined ? '' : new URL(location, url).href,
          });
        }, reject);
      });
      if (streamed && body !== undefined) {
        for (let at = 0; at < body.length; at += 100) outgoing.write(body.subarray(at, at + 100));
        outgoing.end();
      } else outgoing.end(body);
    });
  }
}

/** A URL with one more parameter. */
export function withParameter(url: string, name: string, value: string): string {
  const to = new URL(url);
  to.searchParams.append(name, value);
  return to.href;
}
