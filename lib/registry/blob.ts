import { Readable } from 'node:stream';

import { IntegrityError, RegistryError } from '../errors.js';
import type { Descriptor } from '../oci/descriptor.js';
import type { Digester } from '../oci/digest.js';
import { onAborted, sleep } from '../util/abort.js';

import { waitBefore, type RetryPolicy } from './retry.js';
import { isTransient, type Response } from './transport.js';

/** After this much came, a further cut counts as the first again: a large blob may survive any number of them. */
const PROGRESS_BYTES = 1024 * 1024;
const BUFFER_BYTES = 1024 * 1024;

export interface BlobTransfer {
  /** The user's call, for messages. */
  readonly call: string;
  /** `host/repository@digest`, for messages. */
  readonly name: string;
  readonly descriptor: Descriptor;
  /** Bytes that the caller has already. */
  readonly offset: number;
  /** Has seen the bytes before `offset`; `undefined` leaves the digest unchecked. */
  readonly digester: Digester | undefined;
  readonly retry: RetryPolicy;
  /** Asks for the bytes from `offset` on; rejects for every status but 200 and 206. */
  readonly ask: (offset: number, signal: AbortSignal) => Promise<Response>;
  /** Ours: aborted when the stream is destroyed. */
  readonly controller: AbortController;
  /** The caller's and the registry's. */
  readonly signals: readonly (AbortSignal | undefined)[];
}

/**
 * Asks for a blob, and resolves once the registry has begun to send it. A connection that is cut or stalls is replaced
 * and goes on where it was.
 */
export async function openBlob(transfer: BlobTransfer): Promise<Readable> {
  const { controller, signals } = transfer;
  const offs = signals.map(signal => onAborted(signal, reason => controller.abort(reason)));
  const release = (): void => offs.forEach(off => off());
  try {
    const first = await askAt(transfer, transfer.offset);
    return new BlobStream(verified(transfer, first), controller, release);
  } catch (error) {
    release();
    throw error;
  }
}

class BlobStream extends Readable {
  readonly #chunks: AsyncGenerator<Uint8Array, void, undefined>;
  readonly #controller: AbortController;
  readonly #release: () => void;

  constructor(chunks: AsyncGenerator<Uint8Array, void, undefined>, controller: AbortController, release: () => void) {
    super({ highWaterMark: BUFFER_BYTES });
    this.#chunks = chunks;
    this.#controller = controller;
    this.#release = release;
    // Also when nobody is reading at that moment, and so nobody would notice.
    onAborted(controller.signal, reason => this.destroy(reason as Error));
  }

  override _read(): void {
    this.#chunks.next().then(
      ({ done, value }) => this.push(done === true ? null : value),
      (error: unknown) => this.destroy(error as Error),
    );
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#release();
    // Unblocks a read that is under way; what it fails with is not ours to tell any more.
    this.#controller.abort();
    this.#chunks.return().catch(() => {});
    callback(error);
  }
}

/** The bytes from `offset` on; ends only when all of them came and are the right ones. */
async function* verified(transfer: BlobTransfer, first: Response): AsyncGenerator<Uint8Array, void, undefined> {
  const { descriptor, digester, call, name } = transfer;
  let at = transfer.offset;
  for await (const chunk of uninterrupted(transfer, first)) {
    at += chunk.length;
    if (at > descriptor.size) throw wrongSize(transfer, `at least ${at} bytes`);
    digester?.update(chunk);
    yield chunk;
  }
  if (at < descriptor.size) throw wrongSize(transfer, `${at} bytes`);
  const actual = digester?.digest();
  if (actual !== undefined && actual !== descriptor.digest) {
    throw new IntegrityError({ call, what: name, expected: descriptor.digest, actual, remedy: REMEDY });
  }
}

async function* uninterrupted(transfer: BlobTransfer, first: Response): AsyncGenerator<Uint8Array, void, undefined> {
  let at = transfer.offset;
  let response = first;
  for (let attempt = 1, before = at; ; attempt++) {
    try {
      for await (const chunk of response.chunks()) {
        at += chunk.length;
        yield chunk;
      }
      return;
    } catch (error) {
      if (at - before >= PROGRESS_BYTES) attempt = 1;
      before = at;
      const wait = isTransient(error) ? waitBefore(transfer.retry, attempt) : undefined;
      if (wait === undefined) throw error;
      // The connection was cut after the last byte.
      if (at === transfer.descriptor.size) return;
      await sleep(wait, transfer.controller.signal);
      response = await askAt(transfer, at);
    }
  }
}

/** An answer whose body begins at `offset`. */
async function askAt(transfer: BlobTransfer, offset: number): Promise<Response> {
  const response = await transfer.ask(offset, transfer.controller.signal);
  try {
    return response.status === 206
      ? checkRange(transfer, response, offset)
      : await checkWhole(transfer, response, offset);
  } catch (error) {
    response.discard();
    throw error;
  }
}

/** The `Content-Range` must be what we asked for, or the pieces do not fit. */
function checkRange(transfer: BlobTransfer, response: Response, offset: number): Response {
  const text = response.header('content-range') ?? '';
  const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(text);
  if (range === null || Number(range[1]) !== offset) {
    const { call } = transfer;
    const { status, method, url } = response;
    const reason = `asked for the bytes from ${offset} on, the registry sent ${JSON.stringify(text)}`;
    throw new RegistryError({ call, status, method, url, reason });
  }
  if (range[3] !== '*' && Number(range[3]) !== transfer.descriptor.size) throw wrongSize(transfer, `${range[3]} bytes`);
  return response;
}

/** A registry that knows no ranges sends everything again; what we have is skipped. */
async function checkWhole(transfer: BlobTransfer, response: Response, offset: number): Promise<Response> {
  const length = response.header('content-length');
  if (length !== undefined && Number(length) !== transfer.descriptor.size) throw wrongSize(transfer, `${length} bytes`);
  return offset === 0 ? response : { ...wrap(response), chunks: () => skip(response, offset) };
}

function wrap(response: Response): Response {
  const { status, url, method } = response;
  return {
    status,
    url,
    method,
    header: name => response.header(name),
    headers: name => response.headers(name),
    chunks: () => response.chunks(),
    bytes: maxBytes => response.bytes(maxBytes),
    drain: () => response.drain(),
    discard: () => response.discard(),
  };
}

async function* skip(response: Response, bytes: number): AsyncGenerator<Uint8Array, void, undefined> {
  let left = bytes;
  for await (const chunk of response.chunks()) {
    if (chunk.length > left) yield chunk.subarray(left);
    left = Math.max(0, left - chunk.length);
  }
}

const REMEDY = 'The registry, or something on the way to it, changed the content: nothing of it was kept';

function wrongSize({ call, name, descriptor }: BlobTransfer, actual: string): IntegrityError {
  return new IntegrityError({ call, what: name, expected: `${descriptor.size} bytes`, actual, remedy: REMEDY });
}
