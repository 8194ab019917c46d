import { spawn } from 'node:child_process';
import { Readable, Transform, type Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import * as zlib from 'node:zlib';

import { Decompress } from 'fzstd';

import { LimitError, ParseError } from '../errors.js';
import type { AbortOptions } from '../types.js';
import { abortable, onAborted } from '../util/abort.js';
import { findProgram } from './program.js';

/** What a stream is compressed with, as its first bytes tell. */
export type Compression = 'none' | 'gzip' | 'zstd' | 'bzip2' | 'xz';

/** So many bytes must be there for {@link sniffCompression} to be sure. */
export const SNIFF_BYTES = 6;

/** 1.4 times as fast as zlib's default of 16 KiB. */
const CHUNK_BYTES = 1 << 20;
/** Below this a ratio says nothing: a small file of zeros is no attack. */
const RATIO_FREE_BYTES = 64 << 20;

const magics: readonly (readonly [Compression, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b, 0x08]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
];

/** Tells from the first bytes. A skippable frame (magic `50 2a 4d 18` to `5f 2a 4d 18`) may precede zstd's. */
export function sniffCompression(head: Uint8Array): Compression {
  if (((head[0] ?? 0) & 0xf0) === 0x50 && head[1] === 0x2a && head[2] === 0x4d && head[3] === 0x18) return 'zstd';
  return magics.find(([, magic]) => magic.every((byte, at) => head[at] === byte))?.[0] ?? 'none';
}

/** How to decompress by a program: it reads standard input and writes standard output. */
export function decompressor(compression: Compression): readonly [string, ...string[]] | undefined {
  if (compression === 'none') return undefined;
  const path = findProgram(compression);
  return path === undefined ? undefined : [path, '-dc'];
}

export interface DecompressOptions extends AbortOptions {
  /** The user's call, for messages. */
  readonly call?: string;
  /** What is read, for messages. */
  readonly source?: string;
  /** More output than this is refused. Default: no limit. */
  readonly maxBytes?: number;
  /** More output than this many times the input is refused, from 64 MiB of output on. Default: no limit. */
  readonly maxRatio?: number;
}

/**
 * Decompresses whatever it is: gzip (several members too), zstd, bzip2, xz, or nothing at all. Bytes that are not compressed
 * pass through.
 *
 * gzip is zlib's. zstd is zlib's where Node has it, else the `zstd` program, else a slow one in JavaScript. bzip2 and xz
 * need their programs.
 *
 * @throws {@link ParseError} when it is corrupt or ends early, or the program for it is missing.
 * @throws {@link LimitError} when it unpacks to more than allowed.
 */
export async function* decompress(
  source: AsyncIterable<Uint8Array>,
  options: DecompressOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const peeked = await abortable(peek(source, SNIFF_BYTES), options.signal);
  const compression = sniffCompression(peeked.head);
  const count = { input: 0 };
  let output = 0;
  for await (const chunk of decode(compression, counted(peeked.all, count), options)) {
    output += chunk.length;
    checkLimits(count.input, output, options);
    yield chunk;
  }
}

/** The first bytes of a stream, and the stream as if they had not been read. The stream is closed when `all` is. */
export async function peek(
  source: AsyncIterable<Uint8Array>,
  bytes: number,
): Promise<{ readonly head: Uint8Array; readonly all: AsyncIterable<Uint8Array> }> {
  const iterator = source[Symbol.asyncIterator]();
  const chunks: Uint8Array[] = [];
  for (let have = 0; have < bytes;) {
    const next = await iterator.next();
    if (next.done) break;
    chunks.push(next.value);
    have += next.value.length;
  }
  return { head: Buffer.concat(chunks.map(chunk => chunk.subarray(0, bytes))), all: resume(chunks, iterator) };
}

async function* resume(
  chunks: Uint8Array[],
  iterator: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* chunks.splice(0);
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value;
  } finally {
    await iterator.return?.();
  }
}

async function* counted(
  source: AsyncIterable<Uint8Array>,
  count: { input: number },
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of source) {
    count.input += chunk.length;
    yield chunk;
  }
}

function checkLimits(input: number, output: number, options: DecompressOptions): void {
  const { call = 'decompress', source: what = 'the stream', maxBytes, maxRatio } = options;
  if (maxBytes !== undefined && output > maxBytes) {
    throw new LimitError({ call, what, reason: `unpacks to more than ${maxBytes} bytes`, limit: maxBytes });
  }
  if (maxRatio !== undefined && output > RATIO_FREE_BYTES && output > input * maxRatio) {
    const reason = `unpacks to more than ${maxRatio} times its size: it looks like a decompression bomb`;
    throw new LimitError({ call, what, reason, limit: maxRatio });
  }
}

function decode(
  compression: Compression,
  source: AsyncIterable<Uint8Array>,
  options: DecompressOptions,
): AsyncIterable<Uint8Array> {
  if (compression === 'none') return source;
  if (compression === 'gzip')
    return through(zlib.createGunzip({ chunkSize: CHUNK_BYTES }), source, compression, options);
  const native = compression === 'zstd' ? nativeZstd() : undefined;
  if (native !== undefined) return through(native, source, compression, options);
  const command = decompressor(compression);
  if (command !== undefined) return throughProgram(command, source, compression, options);
  if (compression === 'zstd') return through(slowZstd(), source, compression, options);
  throw malformed(
    options,
    `is compressed by ${compression}, which needs the program of that name. Install it, or decompress it first`,
  );
}

/** Node has it from 22.15 and 23.8 on. */
function nativeZstd(): Duplex | undefined {
  const create = (zlib as { createZstdDecompress?: (options: { chunkSize: number }) => Duplex }).createZstdDecompress;
  return create?.({ chunkSize: CHUNK_BYTES });
}

/** Pure JavaScript: about 110 MB/s, on the main thread. */
function slowZstd(): Transform {
  const decoder = new Decompress();
  return new Transform({
    readableHighWaterMark: CHUNK_BYTES,
    transform(chunk: Uint8Array, _encoding, done) {
      run(() => decoder.push(chunk, false), done);
    },
    flush(done) {
      run(() => decoder.push(new Uint8Array(0), true), done);
    },
    construct(done) {
      decoder.ondata = (data): void => void (data.length > 0 && this.push(data));
      done();
    },
  });
}

function run(step: () => void, done: (error?: Error) => void): void {
  try {
    step();
  } catch (error) {
    return done(error as Error);
  }
  done();
}

/** Runs the source through a stream. What the source throws is passed on as it is; what the stream throws is about the bytes. */
async function* through(
  stream: Duplex,
  source: AsyncIterable<Uint8Array>,
  compression: Compression,
  options: DecompressOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const failed: { source?: { readonly error: unknown } } = {};
  const input = Readable.from(noting(source, failed), { objectMode: false, highWaterMark: CHUNK_BYTES });
  // The source may be waiting for bytes that never come: what is read from is ended, not what feeds it.
  const off = onAborted(options.signal, () => stream.destroy(new Error('aborted')));
  const feeding = pipeline(input, stream);
  feeding.catch(() => {}); // The loop below fails with the same error.
  try {
    for await (const chunk of stream) yield chunk as Buffer;
  } catch (error) {
    options.signal?.throwIfAborted();
    if (failed.source !== undefined) throw failed.source.error;
    throw malformed(options, `is not good ${compression}, or ends early: ${messageOf(error)}`, error);
  } finally {
    off();
    input.destroy();
    stream.destroy();
  }
}

async function* throughProgram(
  [path, ...args]: readonly [string, ...string[]],
  source: AsyncIterable<Uint8Array>,
  compression: Compression,
  options: DecompressOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const child = spawn(path, args, { stdio: ['pipe', 'pipe', 'pipe'], env: {} });
  const failed: { source?: { readonly error: unknown } } = {};
  const input = Readable.from(noting(source, failed), { objectMode: false, highWaterMark: CHUNK_BYTES });
  const off = onAborted(options.signal, () => child.kill('SIGKILL'));
  // A program that gives up closes its input; how it ended says why.
  pipeline(input, child.stdin).catch(() => void (failed.source !== undefined && child.kill('SIGKILL')));
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint = (complaint + text).slice(-1000)));
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  ended.catch(() => {}); // Awaited below, unless the caller leaves early.
  try {
    for await (const chunk of child.stdout) yield chunk as Buffer;
    const code = await ended;
    options.signal?.throwIfAborted();
    if (failed.source !== undefined) throw failed.source.error;
    if (code !== 0) throw malformed(options, `is not good ${compression}, or ends early: ${complaint.trim()}`);
  } finally {
    off();
    input.destroy();
    child.kill('SIGKILL');
    await Promise.allSettled([ended]);
  }
}

async function* noting(
  source: AsyncIterable<Uint8Array>,
  failed: { source?: { readonly error: unknown } },
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* source;
  } catch (error) {
    failed.source = { error };
    throw error;
  }
}

function malformed(options: DecompressOptions, reason: string, cause?: unknown): ParseError {
  return new ParseError({ call: options.call ?? 'decompress', source: options.source ?? 'the stream', reason, cause });
}

function messageOf(error: unknown): string {
  return String((error as { message?: unknown }).message ?? error);
}
