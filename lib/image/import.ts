import type { Readable } from 'node:stream';
import type { FileHandle } from 'node:fs/promises';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';

import { errorCode, NotFoundError } from '../errors.js';
import { mediaTypes, type Platform } from '../oci/descriptor.js';
import { digester, sha256 } from '../oci/digest.js';
import { parsePlatform } from '../oci/platform.js';
import { parseReference } from '../oci/reference.js';
import { failure } from '../store/failure.js';
import type { AbortOptions, Digest, PlatformString } from '../types.js';
import { spool } from './archive-files.js';
import { bringIn, type ArrivalOptions } from './arrival.js';
import { applyChanges } from './changes.js';
import type { ImageRecord } from './record.js';

const CHUNK_BYTES = 1 << 20;

/** What is made of the file system in an archive. */
export interface ImportOptions extends AbortOptions {
  /** The image's name. Left out: none. */
  readonly ref?: string;
  /** Dockerfile instructions that say how a container of it starts: `CMD ["sh"]`. */
  readonly changes?: readonly string[];
  /** What its history says. Default `Imported from -`. */
  readonly message?: string;
  /** What it runs on. Default: the engine's, which is the host's. */
  readonly platform?: PlatformString;
  /** When it says that it was made. Default: now. */
  readonly createdAt?: Date;
}

/**
 * Makes an image of one layer from a root file system: a tar archive, as it is or compressed.
 *
 * @param source - A path, or the archive itself.
 */
export async function importImage(
  source: string | Readable,
  options: ImportOptions,
  arrival: ArrivalOptions & { readonly platform: Platform },
): Promise<ImageRecord> {
  const { call, signal, store } = arrival;
  const tags = options.ref === undefined ? [] : [parseReference(options.ref, { call }).toString()];
  const platform = options.platform === undefined ? arrival.platform : parsePlatform(options.platform, call);
  const config = applyChanges({}, options.changes ?? [], call);
  const stream = typeof source === 'string' ? await openFile(source, call) : source;
  await using file = await spool(stream, { call, directory: join(store.root, 'tmp'), signal });
  const { digest, size } = await measure(file, signal);
  const created = (options.createdAt ?? new Date()).toISOString();
  const comment = options.message ?? 'Imported from -';
  const configBytes = Buffer.from(
    JSON.stringify({
      architecture: platform.architecture,
      ...(platform.variant === undefined ? {} : { variant: platform.variant }),
      os: platform.os,
      created,
      comment,
      config,
      rootfs: { type: 'layers', diff_ids: [digest] },
      history: [{ created, comment }],
    }),
  );
  const layer = { mediaType: mediaTypes.ociLayer, digest, size };
  const configDescriptor = { mediaType: mediaTypes.ociConfig, digest: sha256(configBytes), size: configBytes.length };
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: configDescriptor,
    layers: [layer],
  };
  const manifestBytes = Buffer.from(JSON.stringify(manifest));
  return await bringIn(
    {
      manifest: { mediaType: mediaTypes.ociManifest, digest: sha256(manifestBytes), size: manifestBytes.length },
      manifestBytes,
      configBytes,
      tags,
      repoDigests: [],
      source: 'the imported archive',
      blob: async (_, offset) => chunks(file, offset),
    },
    arrival,
  );
}

async function openFile(path: string, call: string): Promise<Readable> {
  const stream = createReadStream(path, { highWaterMark: CHUNK_BYTES });
  return new Promise((resolve, reject) => {
    stream.once('open', () => resolve(stream));
    stream.once('error', (error: unknown) => {
      if (errorCode(error) === 'ENOENT') reject(new NotFoundError({ call, kind: 'file', ref: path, cause: error }));
      else reject(failure(call, path, error) as Error);
    });
  });
}

async function measure(file: FileHandle, signal: AbortSignal): Promise<{ digest: Digest; size: number }> {
  const hash = digester();
  let size = 0;
  for await (const chunk of chunks(file, 0)) {
    signal.throwIfAborted();
    hash.update(chunk);
    size += chunk.length;
  }
  return { digest: hash.digest(), size };
}

async function* chunks(file: FileHandle, from: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = from; ;) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(CHUNK_BYTES), 0, CHUNK_BYTES, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}
