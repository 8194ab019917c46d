import { randomBytes } from 'node:crypto';
import { createReadStream, realpathSync, statSync } from 'node:fs';
import { open, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';

import { decompress, sniffCompression, SNIFF_BYTES } from '../archive/compression.js';
import { errorCode, LimitError, NotFoundError, ParseError } from '../errors.js';
import type { Origin } from '../oci/json.js';
import { failure } from '../store/failure.js';
import { onAborted } from '../util/abort.js';
import { indexTar, type IndexedFile } from './tar-index.js';

/** Links that lead to links; Docker's own archives have one step. */
const MAX_LINKS = 16;
const CHUNK_BYTES = 1 << 20;
/** An archive that is larger than so many times what came is a bomb. */
const MAX_RATIO = 2000;

/** Files by name, from an archive or a directory. */
export interface ArchiveFiles extends AsyncDisposable {
  /** For messages. */
  readonly origin: Origin;
  has(path: string): boolean;
  /** @throws {@link ParseError} when there is no such file. */
  size(path: string): number;
  /** @throws {@link ParseError} when there is no such file, {@link LimitError} when it is larger than `maxBytes`. */
  read(path: string, maxBytes: number): Promise<Buffer>;
  open(path: string, offset?: number): AsyncIterable<Uint8Array>;
}

export interface OpenOptions {
  readonly call: string;
  /** Where a stream, or what is compressed, is kept meanwhile. */
  readonly directory: string;
  readonly signal: AbortSignal;
}

/**
 * Opens an archive, or a directory, for reading files by name. What does not lie on disk uncompressed is written there
 * first, to a file without a name, which goes with this process whatever happens to it.
 */
export async function openArchive(source: string | Readable, options: OpenOptions): Promise<ArchiveFiles> {
  const origin = { call: options.call, source: typeof source === 'string' ? source : 'the archive' };
  if (typeof source === 'string' && statOf(source, options.call).isDirectory())
    return new DirectoryFiles(source, origin);
  const file = typeof source === 'string' ? await openPlain(source, options) : await spool(source, options);
  try {
    return new TarFiles(file, await indexTar(file, origin), origin);
  } catch (error) {
    await file.close();
    throw error;
  }
}

function statOf(path: string, call: string): { isDirectory(): boolean } {
  try {
    return statSync(path);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw failure(call, path, error);
    throw new NotFoundError({ call, kind: 'file', ref: path, cause: error });
  }
}

async function openPlain(path: string, options: OpenOptions): Promise<FileHandle> {
  const file = await open(path).catch((error: unknown) => {
    throw failure(options.call, path, error);
  });
  const { buffer } = await file.read(Buffer.alloc(SNIFF_BYTES), 0, SNIFF_BYTES, 0);
  if (sniffCompression(buffer) === 'none' && (await file.stat()).isFile()) return file;
  await file.close();
  return spool(createReadStream(path, { highWaterMark: CHUNK_BYTES }), options);
}

/** A stream, decompressed, in a file without a name: it goes with this process. */
export async function spool(source: Readable, { call, directory, signal }: OpenOptions): Promise<FileHandle> {
  const path = join(directory, `load.tmp-${process.pid}-${randomBytes(4).toString('hex')}`);
  const file = await open(path, 'wx+', 0o600);
  // A stream that stalls is not waited for.
  const off = onAborted(signal, () => source.destroy());
  try {
    await unlink(path);
    for await (const chunk of decompress(source, { signal, call, source: 'the archive', maxRatio: MAX_RATIO })) {
      await file.appendFile(chunk);
      signal.throwIfAborted();
    }
    signal.throwIfAborted();
    return file;
  } catch (error) {
    await file.close();
    source.destroy();
    throw signal.aborted ? signal.reason : failure(call, directory, error);
  } finally {
    off();
  }
}

class TarFiles implements ArchiveFiles {
  readonly origin: Origin;
  readonly #file: FileHandle;
  readonly #files: ReadonlyMap<string, IndexedFile>;

  constructor(file: FileHandle, files: ReadonlyMap<string, IndexedFile>, origin: Origin) {
    this.#file = file;
    this.#files = files;
    this.origin = origin;
  }

  has(path: string): boolean {
    return this.#find(path) !== undefined;
  }

  size(path: string): number {
    return this.#require(path).size;
  }

  async read(path: string, maxBytes: number): Promise<Buffer> {
    const { offset, size } = this.#require(path);
    checkSize(this.origin, path, size, maxBytes);
    const buffer = Buffer.alloc(size);
    await this.#file.read(buffer, 0, size, offset);
    return buffer;
  }

  async *open(path: string, from = 0): AsyncGenerator<Uint8Array, void, undefined> {
    const { offset, size } = this.#require(path);
    // Not a stream of the handle: several layers are read at once, and none may close it.
    for (let at = from; at < size;) {
      const want = Math.min(CHUNK_BYTES, size - at);
      const { bytesRead, buffer } = await this.#file.read(Buffer.allocUnsafe(want), 0, want, offset + at);
      if (bytesRead === 0) throw new ParseError({ ...this.origin, reason: `became shorter while ${path} was read` });
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }

  #require(path: string): Extract<IndexedFile, { kind: 'file' }> {
    return this.#find(path) ?? missing(this.origin, path);
  }

  #find(path: string): Extract<IndexedFile, { kind: 'file' }> | undefined {
    let found = this.#files.get(path);
    for (let links = 0; found?.kind === 'link'; links++) {
      if (links > MAX_LINKS) throw new ParseError({ ...this.origin, reason: `its entry ${path} is a link to itself` });
      found = this.#files.get(found.target);
    }
    return found;
  }
}

class DirectoryFiles implements ArchiveFiles {
  readonly origin: Origin;
  readonly #root: string;

  constructor(root: string, origin: Origin) {
    this.#root = realpathSync(root);
    this.origin = origin;
  }

  has(path: string): boolean {
    return this.#find(path) !== undefined;
  }

  size(path: string): number {
    return this.#require(path).size;
  }

  async read(path: string, maxBytes: number): Promise<Buffer> {
    const { full, size } = this.#require(path);
    checkSize(this.origin, path, size, maxBytes);
    await using file = await open(full);
    return file.readFile();
  }

  open(path: string, offset = 0): AsyncIterable<Uint8Array> {
    return createReadStream(this.#require(path).full, { start: offset, highWaterMark: CHUNK_BYTES });
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #require(path: string): { full: string; size: number } {
    return this.#find(path) ?? missing(this.origin, path);
  }

  /** Links are followed as long as they stay inside. */
  #find(path: string): { full: string; size: number } | undefined {
    let full: string;
    try {
      full = realpathSync(join(this.#root, path));
    } catch (error) {
      if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errorCode(error) ?? '')) return undefined;
      throw failure(this.origin.call, path, error);
    }
    if (!full.startsWith(`${this.#root}/`)) {
      throw new ParseError({ ...this.origin, reason: `its file ${path} leads out of it, to ${full}` });
    }
    const stat = statSync(full);
    return stat.isFile() ? { full, size: stat.size } : undefined;
  }
}

function missing(origin: Origin, path: string): never {
  throw new ParseError({ ...origin, reason: `refers to ${path}, which is not in it` });
}

function checkSize(origin: Origin, path: string, size: number, maxBytes: number): void {
  if (size <= maxBytes) return;
  const reason = `its file ${path} has ${size} bytes, at most ${maxBytes} are read`;
  throw new LimitError({ call: origin.call, what: origin.source, reason, limit: maxBytes });
}
