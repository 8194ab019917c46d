import { request, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { connect } from 'node:tls';

import { errorCode } from '../errors.js';
import { sleep } from '../util/abort.js';
import type { Container } from './container.js';
import { POLL_MS, describe, type Condition } from './ready-condition.js';

/** Of an answer's body; what is over is not looked at. */
const MAX_BODY_BYTES = 1024 * 1024;
/** An answer that takes longer is asked for again. */
const PATIENCE_MS = 5_000;

/** What is asked, and which answer will do. */
export interface HttpOptions {
  /** Inside the container; it need not be published. */
  readonly port: number;
  /** One of these, or a test. Default: anything from 200 to 399. */
  readonly status?: number | readonly number[] | ((status: number) => boolean);
  /** @defaultValue `'GET'` */
  readonly method?: string;
  /** Sent along. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent along. */
  readonly body?: string;
  /** HTTPS. Certificates are checked only against a `ca` that is given: those of containers are seldom anybody's. */
  readonly tls?: boolean | { readonly ca?: string | Uint8Array; readonly servername?: string };
  /** Whether the answer's body, as UTF-8, is what is waited for; the first MiB of it. */
  readonly bodyTest?: (body: string) => boolean;
}

/** A request to the container's port is answered as it should be. */
export function httpCondition(path: string, options: HttpOptions): Condition {
  const isRight = statusTest(options.status);
  let last = 'nobody answered';
  const condition = describe(
    async (container, { signal }) => {
      for (;;) {
        try {
          const { status, body } = await ask(container, path, options, signal);
          if (isRight(status) && (options.bodyTest === undefined || options.bodyTest(body))) return;
          last = isRight(status) ? `${status} with another body` : `${status}`;
        } catch (error) {
          signal.throwIfAborted();
          // Not listening yet, or not speaking HTTP yet: that is what is waited for.
          last = errorCode(error) ?? String(error);
        }
        await sleep(POLL_MS, signal);
      }
    },
    `${options.method ?? 'GET'} ${options.tls === undefined || options.tls === false ? 'http' : 'https'}://…:${options.port}${path}`,
  );
  const words = condition.description ?? '';
  return Object.defineProperty(condition, 'description', { get: () => `${words} (last: ${last})` });
}

function statusTest(wanted: HttpOptions['status']): (status: number) => boolean {
  if (wanted === undefined) return status => status >= 200 && status < 400;
  if (typeof wanted === 'function') return wanted;
  const all = [wanted].flat();
  return status => all.includes(status);
}

async function ask(
  container: Container,
  path: string,
  { port, method = 'GET', headers = {}, body: sent, tls = false }: HttpOptions,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly body: string }> {
  const soon = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]);
  const plain = await container.dial(port, { signal: soon });
  const socket = tls === false ? plain : secured(plain, tls === true ? {} : tls);
  try {
    return await new Promise((resolve, reject) => {
      const asked = request(
        {
          createConnection: () => socket,
          host: 'localhost',
          port,
          path,
          method,
          headers: { host: `localhost:${port}`, connection: 'close', ...headers },
          signal: soon,
        },
        answer => {
          textOf(answer).then(body => resolve({ status: answer.statusCode ?? 0, body }), reject);
        },
      );
      asked.on('error', reject);
      asked.end(sent);
    });
  } finally {
    socket.destroy();
    plain.destroy();
  }
}

function secured(
  socket: Socket,
  { ca, servername = 'localhost' }: Exclude<HttpOptions['tls'], boolean | undefined>,
): Socket {
  return connect({
    socket,
    servername,
    rejectUnauthorized: ca !== undefined,
    ...(ca === undefined ? {} : { ca: typeof ca === 'string' ? ca : Buffer.from(ca) }),
  });
}

async function textOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes >= MAX_BODY_BYTES) break;
  }
  return Buffer.concat(chunks).subarray(0, MAX_BODY_BYTES).toString('utf8');
}
