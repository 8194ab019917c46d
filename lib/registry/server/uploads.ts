import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';

import { errorCode } from '../../errors.js';
import { algorithmOf, digester, type Digester } from '../../oci/digest.js';
import type { Digest } from '../../types.js';
import { writeFileAtomic } from '../../util/files.js';
import type { DiskStorage } from './disk.js';
import { Refusal } from './reply.js';

const ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const PIECE_BYTES = 1024 * 1024;

/** A blob on its way in, in a directory of its own, which outlives this process. */
interface Upload {
  readonly id: string;
  readonly repository: string;
  readonly directory: string;
  /** Of the first `hashed` bytes; lost with the process, and then made again. */
  hash: Digester | undefined;
  hashed: number;
  /** Requests for the same upload take turns. */
  turn: Promise<void>;
}

/** Uploads that have begun. */
export class Uploads {
  readonly #storage: DiskStorage;
  readonly #known = new Map<string, Upload>();

  constructor(storage: DiskStorage) {
    this.#storage = storage;
  }

  /** Begins one; its id is all that a client needs to know. */
  begin(repository: string): string {
    const id = randomUUID();
    const directory = join(this.#storage.root, 'uploads', id);
    mkdirSync(directory, { mode: 0o700 });
    writeFileAtomic(join(directory, 'repository'), repository, { durable: false });
    this.#known.set(id, this.#upload(id, repository, digester()));
    return id;
  }

  /** How many bytes are here. */
  size(repository: string, id: string): number {
    return sizeOf(this.#find(repository, id));
  }

  /**
   * Adds bytes. What came before a connection was cut is kept: the client asks how far it got, and goes on.
   *
   * @param start - Where they belong; anywhere else than behind what is here is refused.
   * @returns How many bytes are here.
   */
  async append(
    repository: string,
    id: string,
    chunks: AsyncIterable<Uint8Array>,
    start: number | undefined,
  ): Promise<number> {
    const upload = this.#find(repository, id);
    return inTurn(upload, async () => {
      const before = sizeOf(upload);
      if (start !== undefined && start !== before) throw outOfOrder(repository, id, before);
      return write(upload, chunks, before);
    });
  }

  /** Verifies what came, and makes it a blob of its repository. What is something else is thrown away. */
  async finish(repository: string, id: string, digest: Digest): Promise<void> {
    const upload = this.#find(repository, id);
    await inTurn(upload, async () => {
      const file = dataOf(upload);
      const handle = await open(file, 'a+', 0o600);
      try {
        const actual = await digestOf(upload, digest, handle);
        if (actual !== digest) {
          this.cancel(repository, id);
          throw new Refusal(
            400,
            'DIGEST_INVALID',
            'provided digest did not match uploaded content',
            {},
            { digest, actual },
          );
        }
        await handle.datasync();
      } finally {
        await handle.close();
      }
      this.#storage.adopt(digest, file);
      this.#storage.linkBlob(repository, digest);
      this.cancel(repository, id);
    });
  }

  /** Gives up. */
  cancel(repository: string, id: string): void {
    const { directory } = this.#find(repository, id);
    this.#known.delete(id);
    rmSync(directory, { recursive: true, force: true });
  }

  /** Takes away what nobody went on with since an instant. */
  sweep(before: number): number {
    const root = join(this.#storage.root, 'uploads');
    let removed = 0;
    for (const id of readdirSync(root)) {
      const directory = join(root, id);
      const at = statSync(join(directory, 'data'), { throwIfNoEntry: false }) ?? statSync(directory);
      if (at.mtimeMs >= before) continue;
      this.#known.delete(id);
      rmSync(directory, { recursive: true, force: true });
      removed++;
    }
    return removed;
  }

  #find(repository: string, id: string): Upload {
    const known = this.#known.get(id) ?? this.#recover(id);
    if (known?.repository === repository) return known;
    throw new Refusal(404, 'BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry');
  }

  /** One that another process began, before it ended. */
  #recover(id: string): Upload | undefined {
    if (!ID.test(id)) return undefined;
    let repository: string;
    try {
      repository = readFileSync(join(this.#storage.root, 'uploads', id, 'repository'), 'utf8');
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined;
      throw error;
    }
    const upload = this.#upload(id, repository, undefined);
    this.#known.set(id, upload);
    return upload;
  }

  #upload(id: string, repository: string, hash: Digester | undefined): Upload {
    const directory = join(this.#storage.root, 'uploads', id);
    return { id, repository, directory, hash, hashed: 0, turn: Promise.resolve() };
  }
}

function outOfOrder(repository: string, id: string, size: number): Refusal {
  return new Refusal(416, 'BLOB_UPLOAD_INVALID', 'the chunk does not follow on what is here', {
    location: `/v2/${repository}/blobs/uploads/${id}`,
    range: rangeOf(size),
  });
}

/** What is here, as `Range` says it: of nothing and of one byte it says the same. */
export function rangeOf(size: number): string {
  return `0-${Math.max(0, size - 1)}`;
}

async function write(upload: Upload, chunks: AsyncIterable<Uint8Array>, before: number): Promise<number> {
  const file = await open(dataOf(upload), 'a', 0o600);
  let size = before;
  let pending: Uint8Array[] = [];
  let bytes = 0;
  let writing = Promise.resolve();
  const flush = async (): Promise<void> => {
    await writing;
    const pieces = pending;
    [pending, bytes] = [[], 0];
    writing = writeAll(file, pieces);
    // Whoever comes next hears of it; until then it is not unhandled.
    writing.catch(() => {});
  };
  // A request may begin where an earlier one was cut, in this process or in one before it.
  if (upload.hashed !== before) upload.hash = undefined;
  try {
    for await (const chunk of chunks) {
      upload.hash?.update(chunk);
      upload.hashed += chunk.length;
      size += chunk.length;
      pending.push(chunk);
      bytes += chunk.length;
      if (bytes >= PIECE_BYTES) await flush();
    }
    return size;
  } finally {
    await flush();
    await writing.finally(() => file.close());
  }
}

async function writeAll(file: Awaited<ReturnType<typeof open>>, pieces: readonly Uint8Array[]): Promise<void> {
  for (const piece of pieces) {
    for (let rest = piece; rest.length > 0;) rest = rest.subarray((await file.write(rest)).bytesWritten);
  }
}

/** What was hashed on the way in, where it was all of it and by the right algorithm; else the file is read. */
async function digestOf(upload: Upload, digest: Digest, file: Awaited<ReturnType<typeof open>>): Promise<Digest> {
  if (upload.hash !== undefined && algorithmOf(digest) === 'sha256' && upload.hashed === sizeOf(upload)) {
    const hash = upload.hash;
    upload.hash = undefined;
    return hash.digest();
  }
  const hash = digester(algorithmOf(digest));
  const buffer = Buffer.allocUnsafe(PIECE_BYTES);
  for (let at = 0; ;) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
    if (bytesRead === 0) return hash.digest();
    hash.update(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
}

async function inTurn<T>(upload: Upload, work: () => Promise<T>): Promise<T> {
  const before = upload.turn;
  let done = (): void => {};
  upload.turn = new Promise<void>(resolve => (done = resolve));
  await before;
  try {
    return await work();
  } finally {
    done();
  }
}

function dataOf(upload: Upload): string {
  return join(upload.directory, 'data');
}

function sizeOf(upload: Upload): number {
  return statSync(dataOf(upload), { throwIfNoEntry: false })?.size ?? 0;
}
