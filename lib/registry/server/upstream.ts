import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

import { errorCode, isEngineError, type RegistryError } from '../../errors.js';
import { isDigest } from '../../oci/digest.js';
import type { Digest } from '../../types.js';
import { readSubject } from '../referrers.js';
import { Registry } from '../registry.js';
import type { RegistryOptions } from '../options.js';
import type { DiskStorage } from './disk.js';
import { Refusal } from './reply.js';
import type { StoredBlob, StoredManifest } from './storage.js';

/** The registry that a cache stands before. */
export interface Upstream extends RegistryOptions {
  /** `docker.io`, `ghcr.io`, `127.0.0.1:5000`. */
  readonly host: string;
}

/**
 * A cache of another registry. What is asked for by many at a time is fetched once; what a tag stands for is asked each time,
 * and when the other one does not answer, what it was last is served.
 */
export class PullThrough {
  readonly #storage: DiskStorage;
  readonly #registry: Registry;
  readonly #manifests = new Map<string, Promise<StoredManifest>>();
  readonly #blobs = new Map<Digest, Promise<Fetch>>();

  constructor(storage: DiskStorage, { host, ...options }: Upstream) {
    this.#storage = storage;
    this.#registry = new Registry(host, options);
  }

  /** @throws {@link Refusal} */
  async manifest(repository: string, ref: string): Promise<StoredManifest> {
    if (isDigest(ref)) {
      const here = this.#storage.manifest(repository, ref);
      if (here !== undefined) return here;
    }
    return once(this.#manifests, `${repository} ${ref}`, () =>
      translated(() => (isDigest(ref) ? this.#fetchManifest(repository, ref) : this.#current(repository, ref))),
    );
  }

  /** A blob that is here, whole or in part, or is on its way now. */
  async blob(repository: string, digest: Digest): Promise<StoredBlob | Fetch> {
    const here = this.#here(repository, digest);
    if (here !== undefined) return here;
    return once(
      this.#blobs,
      digest,
      () => translated(() => this.#fetchBlob(repository, digest)),
      fetch => fetch.done,
    );
  }

  /** Its size, without fetching it. */
  async blobSize(repository: string, digest: Digest): Promise<number | undefined> {
    return (
      this.#here(repository, digest)?.size ?? (await translated(() => this.#registry.blobSize(repository, digest)))
    );
  }

  /** The other registry's, and when it does not answer, those that were asked for before. */
  async tags(repository: string): Promise<readonly string[] | undefined> {
    try {
      const tags: string[] = [];
      for await (const tag of this.#registry.tags(repository)) tags.push(tag);
      return tags;
    } catch (error) {
      if (!isEngineError(error)) throw error;
      return this.#storage.tags(repository);
    }
  }

  async close(): Promise<void> {
    await this.#registry.close();
    await Promise.allSettled([...this.#blobs.values()].map(async fetch => (await fetch).done));
  }

  /** Whoever may ask us may have what we have: we ask with one log-in for all. */
  #here(repository: string, digest: Digest): StoredBlob | undefined {
    const bytes = this.#storage.bytes(digest);
    if (bytes !== undefined) this.#storage.linkBlob(repository, digest);
    return bytes;
  }

  async #current(repository: string, tag: string): Promise<StoredManifest> {
    try {
      const { digest } = await this.#registry.resolve(repository, tag);
      const here = this.#storage.manifest(repository, digest);
      if (here === undefined) return await this.#fetchManifest(repository, tag);
      this.#storage.putManifest(repository, here, [tag]);
      return here;
    } catch (error) {
      const last = mayPass(error) ? this.#storage.manifest(repository, tag) : undefined;
      if (last === undefined) throw error;
      return last;
    }
  }

  async #fetchManifest(repository: string, ref: string): Promise<StoredManifest> {
    const { descriptor, bytes } = await this.#registry.manifest(repository, ref);
    const { mediaType, digest } = descriptor;
    const manifest = { mediaType, digest, bytes: Buffer.from(bytes) };
    const about = readSubject(bytes, descriptor, 'registry');
    if (about !== undefined) this.#storage.putReferrer(repository, about.subject, about.referrer);
    this.#storage.putManifest(repository, manifest, isDigest(ref) ? [] : [ref]);
    return manifest;
  }

  async #fetchBlob(repository: string, digest: Digest): Promise<Fetch> {
    const size = await this.#registry.blobSize(repository, digest);
    if (size === undefined) throw new Refusal(404, 'BLOB_UNKNOWN', 'blob unknown to registry', {}, { digest });
    const descriptor = { mediaType: 'application/octet-stream', digest, size };
    const stream = await this.#registry.blob(repository, descriptor);
    const path = join(this.#storage.root, 'tmp', `${randomUUID()}.tmp-${process.pid}`);
    return Fetch.start(path, size, stream, () => {
      this.#storage.adopt(digest, path);
      this.#storage.linkBlob(repository, digest);
    });
  }
}

/** A blob on its way, which can be read as far as it came, and further as it comes. */
export class Fetch {
  readonly size: number;
  /** Resolves when it is here whole, or will never be. */
  readonly done: Promise<void>;
  readonly #file: FileHandle;
  #written = 0;
  #readers = 1;
  #state: 'coming' | 'here' | 'failed' = 'coming';
  #waiting: (() => void)[] = [];

  private constructor(
    file: FileHandle,
    path: string,
    size: number,
    stream: AsyncIterable<Uint8Array>,
    adopt: () => void,
  ) {
    this.size = size;
    this.#file = file;
    this.done = this.#run(path, stream, adopt);
  }

  /** @internal */
  static async start(path: string, size: number, stream: AsyncIterable<Uint8Array>, adopt: () => void): Promise<Fetch> {
    return new Fetch(await open(path, 'wx+', 0o600), path, size, stream, adopt);
  }

  /** Its bytes from `start` on. Fails when they will never come. */
  async *read(start: number, end: number): AsyncGenerator<Uint8Array, void, undefined> {
    this.#readers++;
    try {
      for (let at = start; at <= end;) {
        while (this.#written <= at && this.#state === 'coming')
          await new Promise<void>(resolve => this.#waiting.push(resolve));
        if (this.#state === 'failed') throw new Refusal(502, 'UNKNOWN', 'the upstream registry failed');
        const want = Math.min(1024 * 1024, this.#written - at, end + 1 - at);
        const { bytesRead, buffer } = await this.#file.read(Buffer.allocUnsafe(want), 0, want, at);
        at += bytesRead;
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      await this.#leave();
    }
  }

  async #run(path: string, stream: AsyncIterable<Uint8Array>, adopt: () => void): Promise<void> {
    try {
      for await (const chunk of stream) {
        for (let rest = chunk; rest.length > 0;) rest = rest.subarray((await this.#file.write(rest)).bytesWritten);
        this.#written += chunk.length;
        this.#wake();
      }
      await this.#file.datasync();
      adopt();
      this.#state = 'here';
    } catch {
      // Whoever reads is told; whoever asks next begins anew.
      this.#state = 'failed';
      rmSync(path, { force: true });
    } finally {
      this.#wake();
      await this.#leave();
    }
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  async #leave(): Promise<void> {
    if (--this.#readers === 0) await this.#file.close();
  }
}

/** Those who ask for the same at a time get the same; it is forgotten when it is settled, or when `until` is. */
function once<K, T>(
  pending: Map<K, Promise<T>>,
  key: K,
  work: () => Promise<T>,
  until: (value: T) => Promise<void> = () => Promise.resolve(),
): Promise<T> {
  const known = pending.get(key);
  if (known !== undefined) return known;
  const fresh = work();
  pending.set(key, fresh);
  const forget = (): void => void pending.delete(key);
  fresh.then(value => until(value).then(forget, forget), forget);
  return fresh;
}

/** The upstream's refusal in the words of a registry. */
async function translated<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isEngineError(error)) throw error;
    const { status } = error as Partial<RegistryError>;
    switch (error.code) {
      case 'CTR_NOT_FOUND':
        throw new Refusal(404, 'MANIFEST_UNKNOWN', 'unknown to the upstream registry');
      case 'CTR_UNAUTHORIZED':
        // Not 401: whoever asks us can do nothing about our log-in there.
        throw new Refusal(403, 'DENIED', 'the upstream registry refused us');
      case 'CTR_RATE_LIMIT':
        throw new Refusal(429, 'TOOMANYREQUESTS', 'the upstream registry asks us to slow down');
      default:
        throw new Refusal(502, 'UNKNOWN', `the upstream registry failed${status ? ` (${status})` : ''}`);
    }
  }
}

/** That it does not answer says nothing of the image. */
function mayPass(error: unknown): boolean {
  const code = errorCode(error);
  const { status = 0 } = error as Partial<RegistryError>;
  return code === 'CTR_NETWORK' || code === 'CTR_RATE_LIMIT' || (code === 'CTR_REGISTRY' && status >= 500);
}
