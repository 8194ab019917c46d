import { request } from 'node:http';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';

import { openTunnel } from '../host/tunnel.js';
import type { AbortOptions } from '../types.js';
import type { Live } from './live.js';
import { readNetwork } from './network-state.js';
import type { ContainerRecord } from './record.js';

/** What is fetched, besides the path. */
export interface FetchOptions extends AbortOptions {
  /** The port inside. @defaultValue `80` */
  readonly port?: number;
  /** @defaultValue `'GET'` */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** A connection to a port of a container that runs, as if from inside; its network does not matter, nor what it publishes. */
export async function dialInto(
  live: Live,
  record: ContainerRecord,
  port: number,
  call: string,
  { signal }: AbortOptions = {},
): Promise<Socket> {
  if (!Number.isInteger(port) || port < 1 || port > 65535)
    throw new TypeError(`${call}: port: expected 1 to 65535, got ${JSON.stringify(port)}`);
  await live.require(record, call);
  const { runDir } = live.paths(record.id);
  // A server may listen on one of its addresses only.
  const own = readNetwork(runDir).endpoints.flatMap(({ ip, ip6 }) => (ip6 === undefined ? [ip] : [ip, ip6]));
  const socketPath = join(runDir, 'monitor.sock');
  const addresses = ['127.0.0.1', '::1', ...own];
  return openTunnel({ socketPath, port, addresses, call, ref: `${record.name}:${port}`, signal });
}

/** One HTTP request over {@link dialInto}. Redirects are the caller's to follow: they may lead elsewhere. */
export async function fetchFrom(
  live: Live,
  record: ContainerRecord,
  path: string,
  options: FetchOptions,
): Promise<Response> {
  const { port = 80, method = 'GET', headers = {}, body, signal } = options;
  const call = 'container.fetch';
  if (!path.startsWith('/'))
    throw new TypeError(`${call}: path: expected one that begins with /, got ${JSON.stringify(path)}`);
  const socket = await dialInto(live, record, port, call, signal === undefined ? {} : { signal });
  return new Promise((resolve, reject) => {
    const sent = request({
      path,
      method,
      headers: { host: `${record.name}:${port}`, connection: 'close', ...headers },
      createConnection: () => socket,
      ...(signal === undefined ? {} : { signal }),
    });
    sent.on('error', error => reject((signal?.aborted === true ? signal.reason : error) as Error));
    sent.on('response', incoming => {
      const status = incoming.statusCode ?? 0;
      const init = { status, statusText: incoming.statusMessage ?? '', headers: toHeaders(incoming.rawHeaders) };
      const empty = method === 'HEAD' || [101, 204, 205, 304].includes(status);
      if (empty) incoming.resume();
      resolve(new Response(empty ? null : (Readable.toWeb(incoming) as ReadableStream<Uint8Array>), init));
    });
    sent.end(body);
  });
}

function toHeaders(raw: readonly string[]): Headers {
  const headers = new Headers();
  for (let i = 0; i + 1 < raw.length; i += 2) headers.append(raw[i] ?? '', raw[i + 1] ?? '');
  return headers;
}
