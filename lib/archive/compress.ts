import { spawn } from 'node:child_process';
import type { Duplex, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import * as zlib from 'node:zlib';

import { UnsupportedError } from '../errors.js';
import { onAborted } from '../util/abort.js';
import { findProgram } from './program.js';

/** Large pieces: with zlib's 16 KiB the trips through the thread pool are what is measured. */
const CHUNK_BYTES = 1 << 20;
/** zstd's own default. */
const ZSTD_LEVEL = 3;

export interface CompressOptions {
  readonly signal?: AbortSignal | undefined;
  /** The user's call, for messages. */
  readonly call: string;
}

/**
 * Compresses a stream, the same for the same bytes: gzip at its default level, which is Docker's, without a name or a time
 * in its header; zstd where Node has it, or else by the program of that name.
 *
 * @throws {@link UnsupportedError} when this machine has no zstd.
 */
export async function* compress(
  source: Readable,
  how: 'gzip' | 'zstd',
  options: CompressOptions,
): AsyncGenerator<Buffer, void, undefined> {
  const native = how === 'gzip' ? zlib.createGzip({ chunkSize: CHUNK_BYTES }) : nativeZstd();
  if (native === undefined) return yield* throughZstd(source, options);
  const off = onAborted(options.signal, () => native.destroy(new Error('aborted')));
  const feeding = pipeline(source, native);
  feeding.catch(() => {}); // The loop below fails with the same error.
  try {
    for await (const chunk of native) yield chunk as Buffer;
    await feeding;
  } finally {
    off();
    source.destroy();
    native.destroy();
  }
}

/** Whether this machine can write zstd. */
export function canCompressZstd(): boolean {
  return 'createZstdCompress' in zlib || findProgram('zstd') !== undefined;
}

/** Node has it from 22.15 and 23.8 on. */
function nativeZstd(): Duplex | undefined {
  return (zlib as { createZstdCompress?: (options: { chunkSize: number }) => Duplex }).createZstdCompress?.({
    chunkSize: CHUNK_BYTES,
  });
}

async function* throughZstd(source: Readable, options: CompressOptions): AsyncGenerator<Buffer, void, undefined> {
  const program = findProgram('zstd');
  if (program === undefined) {
    throw new UnsupportedError({
      call: options.call,
      feature: 'zstd',
      reason: 'neither this version of Node nor a program compresses by zstd: install zstd, or use Node 22.15 or later',
    });
  }
  // One thread: with more, the same bytes come out differently from machine to machine.
  const args = ['-c', '-q', `-${ZSTD_LEVEL}`, '--single-thread', '--no-check'];
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'ignore'], env: {} });
  const off = onAborted(options.signal, () => child.kill('SIGKILL'));
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  ended.catch(() => {}); // Awaited below.
  const feeding = pipeline(source, child.stdin);
  feeding.catch(() => child.kill('SIGKILL'));
  try {
    for await (const chunk of child.stdout) yield chunk as Buffer;
    await feeding;
    options.signal?.throwIfAborted();
    const code = await ended;
    if (code !== 0) throw new Error(`zstd ended with ${code}`);
  } finally {
    off();
    source.destroy();
    child.kill('SIGKILL');
  }
}
