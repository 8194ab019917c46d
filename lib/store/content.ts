import { createReadStream, existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';

import { IntegrityError, LimitError, NotFoundError, ParseError } from '../errors.js';
import type { Descriptor } from '../oci/descriptor.js';
import { algorithmOf, digester, type DigestAlgorithm, hexOf, isDigest, sha256 } from '../oci/digest.js';
import type { Digest } from '../types.js';
import { writeFileAtomic } from '../util/files.js';
import { attempt, attemptAsync } from './failure.js';
import type { Ingest, IngestOptions } from './ingest.js';
import type { Locks } from './locks.js';
import { ensureDirectory } from './trash.js';

/** More than any manifest or configuration may have; layers are streamed. */
const READ_MAX_BYTES = 64 * 1024 * 1024;

/** Bytes per read of a stream: with 64 KiB the trips through the thread pool are what is measured. */
const STREAM_BYTES = 1024 * 1024;

/** What is known of a blob without reading it. */
export interface BlobInfo {
  readonly size: number;
  /** When it was committed. */
  readonly committedAt: Date;
}

/**
 * Blobs by digest, laid out as an OCI image layout, so that skopeo, umoci and crane can read the store as it is. What is
 * under `blobs/` is whole, verified and on disk: nothing else is ever renamed there.
 *
 * @see {@link https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md | image-spec v1.1.1, image-layout.md}
 */
export class ContentStore {
  readonly #root: string;
  readonly #locks: Locks;

  constructor(root: string, locks: Locks) {
    this.#root = root;
    this.#locks = locks;
  }

  /** Makes what an image layout has, where it is missing. */
  static create(root: string): void {
    for (const directory of ['blobs/sha256', 'blobs/sha512', 'ingest']) ensureDirectory(join(root, directory));
    writeFileAtomic(join(root, 'index.json'), printIndex([]));
    writeFileAtomic(join(root, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  }

  /** Where a blob is or would be. */
  path(digest: Digest): string {
    return join(this.#root, 'blobs', algorithmOf(digest), hexOf(digest));
  }

  /** `undefined` when the blob is not here. */
  stat(digest: Digest): BlobInfo | undefined {
    const stat = statSync(this.path(digest), { throwIfNoEntry: false });
    return stat?.isFile() === true ? { size: stat.size, committedAt: stat.ctime } : undefined;
  }

  /**
   * Reads a blob into memory and verifies it.
   *
   * @param options.maxBytes - Refuses larger ones. Default 64 MiB.
   * @throws {@link NotFoundError}, {@link LimitError}, or {@link IntegrityError} when the disk has changed it.
   */
  async read(digest: Digest, options: { readonly maxBytes?: number } = {}): Promise<Buffer> {
    const { maxBytes = READ_MAX_BYTES } = options;
    const { size } = this.#require('content.read', digest);
    if (size > maxBytes) {
      throw new LimitError({
        call: 'content.read',
        what: digest,
        reason: `has ${size} bytes, more than the ${maxBytes} allowed`,
        limit: maxBytes,
      });
    }
    const path = this.path(digest);
    const bytes = await attemptAsync('content.read', path, () => readFile(path));
    const actual = digestOf(algorithmOf(digest), bytes);
    if (actual === digest) return bytes;
    throw new IntegrityError({
      call: 'content.read',
      what: path,
      expected: digest,
      actual,
      remedy: 'The file was changed after it was stored: delete it and pull the image again',
    });
  }

  /** Streams a blob. Its bytes were verified when they came; this does not do it again. */
  open(digest: Digest, options: { readonly start?: number } = {}): Readable {
    this.#require('content.open', digest);
    return createReadStream(this.path(digest), { highWaterMark: STREAM_BYTES, start: options.start ?? 0 });
  }

  /**
   * Stores bytes that are at hand.
   *
   * @throws {@link IntegrityError} when they are not what was expected.
   */
  async put(bytes: string | Uint8Array, expected?: Digest): Promise<Digest> {
    const data = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
    const digest = expected === undefined ? sha256(data) : digestOf(algorithmOf(expected), data);
    if (expected !== undefined && expected !== digest) {
      throw new IntegrityError({ call: 'content.put', what: `${data.length} bytes`, expected, actual: digest });
    }
    if (this.stat(digest)?.size === data.length) return digest;
    const path = this.path(digest);
    attempt('content.put', path, () => writeFileAtomic(path, data, { aside: join(this.#root, 'tmp') }));
    return digest;
  }

  /**
   * Begins, or goes on with, the download of a blob. Only one process at a time writes the same one: others wait here,
   * and then find it whole, or take over what a dead one had written.
   *
   * @throws `options.signal.reason` when aborted while waiting.
   */
  async ingest(options: IngestOptions): Promise<Ingest> {
    const { Ingest } = await import('./ingest.js');
    const hex = hexOf(options.digest);
    const lock = await this.#locks.acquire(`ingest-${hex}`, { signal: options.signal });
    const paths = { partial: join(this.#root, 'ingest', hex), blob: this.path(options.digest) };
    return Ingest.open({ ...options, ...paths, lock, present: this.stat(options.digest)?.size === options.size });
  }

  /** Deletes a blob; `false` when it was not there. Whether anybody needs it is the caller's to know. */
  delete(digest: Digest): boolean {
    if (this.stat(digest) === undefined) return false;
    const path = this.path(digest);
    attempt('content.delete', path, () => rmSync(path, { force: true }));
    return true;
  }

  /** All blobs. */
  *list(): Generator<Digest> {
    for (const algorithm of ['sha256', 'sha512'] as const) {
      const directory = join(this.#root, 'blobs', algorithm);
      for (const hex of existsSync(directory) ? readdirSync(directory) : []) {
        const digest = `${algorithm}:${hex}`;
        if (isDigest(digest)) yield digest;
      }
    }
  }

  /**
   * Rewrites `index.json`, which outside readers go by: one descriptor per tagged manifest, with the tag in the
   * annotation `org.opencontainers.image.ref.name`. `entries` is asked under a lock, so that the last writer has seen
   * what all others did.
   */
  async writeIndex(entries: () => readonly Descriptor[] | Promise<readonly Descriptor[]>): Promise<void> {
    const path = join(this.#root, 'index.json');
    await this.#locks.while('index', {}, async () => {
      const text = printIndex(await entries());
      // A missing one is written, and so is one that cannot be read.
      if ((await readFile(path, 'utf8').catch(() => '')) === text) return;
      attempt('content.writeIndex', path, () => writeFileAtomic(path, text, { aside: join(this.#root, 'tmp') }));
    });
  }

  /** The descriptors in `index.json`. */
  async readIndex(): Promise<readonly Descriptor[]> {
    const path = join(this.#root, 'index.json');
    const text = await attemptAsync('content.readIndex', path, () => readFile(path, 'utf8'));
    try {
      return (JSON.parse(text) as { manifests: readonly Descriptor[] }).manifests;
    } catch (cause) {
      throw new ParseError({ call: 'content.readIndex', source: path, reason: 'is not JSON', cause });
    }
  }

  #require(call: string, digest: Digest): BlobInfo {
    const info = this.stat(digest);
    if (info !== undefined) return info;
    throw new NotFoundError({ call, kind: 'blob', ref: digest, remedy: 'Pull or load the image again' });
  }
}

function digestOf(algorithm: DigestAlgorithm, bytes: Uint8Array): Digest {
  const hash = digester(algorithm);
  hash.update(bytes);
  return hash.digest();
}

function printIndex(manifests: readonly Descriptor[]): string {
  return `${JSON.stringify({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests }, null, 2)}\n`;
}
