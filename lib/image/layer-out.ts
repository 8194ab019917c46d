import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';

import { compress } from '../archive/compress.js';
import { startFileJob, type FileJob } from '../host/file-job.js';
import { Plan } from '../host/plan.js';
import type { Fact } from '../host/job.js';
import { mediaTypes, type LayerCompression } from '../oci/descriptor.js';
import { failure } from '../store/failure.js';
import { nonce } from '../store/owner.js';
import type { Store } from '../store/store.js';
import type { AbortOptions, Digest } from '../types.js';
import { fsyncDirectory } from '../util/files.js';
import type { BlobRecord } from './record.js';

/** Where a layer's files are. */
export type LayerOrigin =
  /** What a container has changed, as overlayfs keeps it. */
  | { readonly kind: 'overlay'; readonly dir: string }
  /** A whole tree, and the one that it is compared with. `ignore`: paths that do not count when they are new. */
  | { readonly kind: 'plain'; readonly dir: string; readonly before: string; readonly ignore: readonly string[] };

export interface MakeLayerOptions extends AbortOptions {
  readonly call: string;
  readonly store: Store;
  readonly origin: LayerOrigin;
  readonly compression: LayerCompression;
  /** Called when the digest is known, before the blob is where a collection would find it. */
  readonly onBlob: (digest: Digest) => void;
}

/** A layer that was made. */
export interface MadeLayer {
  readonly blob: BlobRecord;
  readonly diffId: Digest;
  readonly entries: number;
  /** Files that a layer cannot hold, because their names say something else there: `.wh.…`. */
  readonly skippedNames: number;
}

const mediaTypeOf = {
  none: mediaTypes.ociLayer,
  gzip: mediaTypes.ociLayerGzip,
  zstd: mediaTypes.ociLayerZstd,
} as const;

/**
 * Makes the layer that a directory is, into the store. The same files make the same bytes: sorted, without access times,
 * without a time in gzip's header. It streams from the helper to the disk; what is in memory does not depend on its size.
 *
 * @see {@link https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md | image-spec v1.1.1, layer.md}
 */
export async function makeLayer(options: MakeLayerOptions): Promise<MadeLayer> {
  const { store, call, compression, signal } = options;
  // The name that a sweep knows as that of an unfinished file of a process.
  const path = join(store.root, 'tmp', `layer.tmp-${process.pid}-${nonce().slice(-8)}`);
  try {
    const { blob, facts } = await (compression === 'none' ? plainBlob(path, options) : packedBlob(path, options));
    signal?.throwIfAborted();
    options.onBlob(blob.digest);
    settle(path, store.content.path(blob.digest));
    const done = facts.find(({ fact }) => fact === 'done');
    return {
      blob,
      diffId: `sha256:${String(done?.['sha256'])}`,
      entries: Number(done?.['entries'] ?? 0),
      skippedNames: Number(done?.['skippedNames'] ?? 0),
    };
  } catch (error) {
    rmSync(path, { force: true });
    signal?.throwIfAborted();
    throw failure(call, store.root, error);
  }
}

interface Written {
  readonly blob: BlobRecord;
  readonly facts: readonly Fact[];
}

/** The helper writes the file itself, and says its digest. */
async function plainBlob(path: string, options: MakeLayerOptions): Promise<Written> {
  const fd = openSync(path, 'wx', 0o600);
  try {
    const facts = await start(options, fd).done;
    fsyncSync(fd);
    const done = facts.find(({ fact }) => fact === 'done');
    const digest: Digest = `sha256:${String(done?.['sha256'])}`;
    return { blob: { mediaType: mediaTypeOf.none, digest, size: Number(done?.['tarBytes'] ?? 0) }, facts };
  } finally {
    closeSync(fd);
  }
}

async function packedBlob(path: string, options: MakeLayerOptions): Promise<Written> {
  const { compression, signal, call } = options;
  const job = start(options, 'pipe');
  const hash = createHash('sha256');
  let size = 0;
  const file = await open(path, 'wx', 0o600);
  try {
    const packed = compress(job.stdout as Readable, compression === 'zstd' ? 'zstd' : 'gzip', { signal, call });
    for await (const chunk of packed) {
      hash.update(chunk);
      size += chunk.length;
      for (let rest = chunk; rest.length > 0;) rest = rest.subarray((await file.write(rest)).bytesWritten);
    }
    const facts = await job.done;
    await file.datasync();
    return { blob: { mediaType: mediaTypeOf[compression], digest: `sha256:${hash.digest('hex')}`, size }, facts };
  } finally {
    job.kill();
    await file.close();
  }
}

function start({ origin, signal, call }: MakeLayerOptions, stdout: 'pipe' | number): FileJob {
  return startFileJob(layerPlan(origin), { call, signal, stdout, mode: 'layer' });
}

/** The helper's plan for a layer. */
export function layerPlan(origin: LayerOrigin): Plan {
  if (origin.kind === 'overlay') return new Plan().op('layer', origin.dir, 'overlay');
  return new Plan().op('layer', origin.dir, origin.before, ...origin.ignore);
}

/** Two commits of the same files make the same blob: whichever is renamed last stands. */
function settle(path: string, blob: string): void {
  renameSync(path, blob);
  fsyncDirectory(dirname(blob));
}
