import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

import { IntegrityError } from '../errors.js';
import { algorithmOf, type Digester, digester } from '../oci/digest.js';
import type { AbortOptions, Digest } from '../types.js';
import { attemptAsync, failure } from './failure.js';

/** Written in pieces of at least this: a trip through the thread pool per network chunk would cost more than the write. */
const PIECE_BYTES = 1024 * 1024;

export interface IngestOptions extends AbortOptions {
  readonly digest: Digest;
  /** Of the whole blob, in bytes. */
  readonly size: number;
}

interface IngestSetup extends IngestOptions {
  readonly partial: string;
  readonly blob: string;
  readonly lock: AsyncDisposable;
  /** The blob is in the store already. */
  readonly present: boolean;
}

/**
 * A blob on its way in, by one writer. Its bytes lie in a partial file that outlives a kill; whoever opens it again finds
 * in `offset` how many there are and goes on behind them. End it with {@link Ingest.commit} or {@link Ingest.abort};
 * disposing without either keeps the partial file.
 */
export class Ingest implements AsyncDisposable {
  /** Bytes that were there at the beginning. As many as `size` when there is nothing left to write. */
  readonly offset: number;
  readonly digest: Digest;
  readonly size: number;
  readonly #setup: IngestSetup;
  readonly #file: FileHandle | undefined;
  readonly #hash: Digester;
  #written: number;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  /** The write under way: the next piece is collected and hashed meanwhile. */
  #writing: Promise<void> | undefined;
  #ended = false;

  private constructor(setup: IngestSetup, file: FileHandle | undefined, hash: Digester, offset: number) {
    this.#setup = setup;
    this.#file = file;
    this.#hash = hash;
    this.digest = setup.digest;
    this.size = setup.size;
    this.offset = this.#written = offset;
  }

  /** @internal Takes over the lock, and lets go of it when opening fails. */
  static async open(setup: IngestSetup): Promise<Ingest> {
    const hash = digester(algorithmOf(setup.digest));
    if (setup.present) return new Ingest(setup, undefined, hash, setup.size);
    let file: FileHandle | undefined;
    try {
      file = await open(setup.partial, 'a+', 0o600);
      return new Ingest(setup, file, hash, await resume(file, hash, setup));
    } catch (error) {
      await file?.close();
      await setup.lock[Symbol.asyncDispose]();
      throw failure('content.ingest', setup.partial, error);
    }
  }

  /** The blob was in the store already: nothing to write, and `commit` only lets go. */
  get present(): boolean {
    return this.#setup.present;
  }

  /**
   * Adds bytes, and keeps the chunk until they are on their way. Resolves when more may come.
   *
   * @throws {@link IntegrityError} as soon as there are more bytes than promised.
   */
  async write(chunk: Uint8Array): Promise<void> {
    this.#written += chunk.length;
    if (this.#written > this.size) {
      await this.#discard();
      throw this.#wrong(`${this.size} bytes`, `${this.#written} or more`);
    }
    this.#hash.update(chunk);
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.length;
    if (this.#pendingBytes >= PIECE_BYTES) await this.#flush();
  }

  /**
   * Verifies size and digest, and puts the blob in its place, on disk. Nothing of it is kept when it is not what was
   * promised.
   *
   * @throws {@link IntegrityError}
   */
  async commit(): Promise<void> {
    if (this.#ended) return;
    if (this.#file === undefined) return this.#end();
    const { partial, blob } = this.#setup;
    try {
      await this.#settle();
      await this.#verify();
      await attemptAsync('content.commit', partial, async () => {
        await this.#file?.datasync();
        await rename(partial, blob);
        await syncDirectory(dirname(blob));
      });
    } finally {
      await this.#end();
    }
  }

  /** Gives up. What came so far is kept for the next try, or not. */
  async abort(keepPartial = true): Promise<void> {
    if (this.#ended) return;
    try {
      // A piece that could not be written is missed at the next try, which counts what is there.
      if (keepPartial) await this.#settle().catch(() => {});
      else await this.#discard();
    } finally {
      await this.#end();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.abort(true);
  }

  async #flush(): Promise<void> {
    await this.#writing;
    const [chunks, file] = [this.#pending, this.#file];
    this.#pending = [];
    this.#pendingBytes = 0;
    if (file === undefined) return;
    this.#writing = attemptAsync('content.write', this.#setup.partial, () => writeAll(file, chunks));
    // Whoever comes next hears of it; until then it is not unhandled.
    this.#writing.catch(() => {});
  }

  async #settle(): Promise<void> {
    await this.#flush();
    await this.#writing;
  }

  async #verify(): Promise<void> {
    if (this.#written !== this.size) {
      await this.#discard();
      throw this.#wrong(`${this.size} bytes`, `${this.#written}`);
    }
    const actual = this.#hash.digest();
    if (actual === this.digest) return;
    await this.#discard();
    throw this.#wrong(this.digest, actual);
  }

  async #discard(): Promise<void> {
    await this.#writing?.catch(() => {});
    await rm(this.#setup.partial, { force: true });
  }

  async #end(): Promise<void> {
    this.#ended = true;
    await this.#file?.close();
    await this.#setup.lock[Symbol.asyncDispose]();
  }

  #wrong(expected: string, actual: string): IntegrityError {
    return new IntegrityError({ call: 'content.ingest', what: this.digest, expected, actual });
  }
}

/** Hashes what an earlier try left, and returns how much it is. */
async function resume(file: FileHandle, hash: Digester, { size, signal }: IngestOptions): Promise<number> {
  const stat = await file.stat();
  if (stat.size > size) {
    await file.truncate(0);
    return 0;
  }
  const buffer = Buffer.allocUnsafe(PIECE_BYTES);
  let offset = 0;
  while (offset < stat.size) {
    signal?.throwIfAborted();
    const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
    if (bytesRead === 0) break;
    hash.update(buffer.subarray(0, bytesRead));
    offset += bytesRead;
  }
  return offset;
}

async function writeAll(file: FileHandle, chunks: readonly Uint8Array[]): Promise<void> {
  for (const chunk of chunks) {
    for (let rest = chunk; rest.length > 0;) rest = rest.subarray((await file.write(rest)).bytesWritten);
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
