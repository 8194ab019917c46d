import { mediaTypes, type LayerCompression } from '../oci/descriptor.js';
import { sha256 } from '../oci/digest.js';
import type { ImageConfig, ImageHistory } from '../oci/image-spec.js';
import { parseReference } from '../oci/reference.js';
import { bringIn, type ArrivalOptions } from './arrival.js';
import { applyChanges, type RunDocument } from './changes.js';
import { makeLayer, type LayerOrigin, type MadeLayer } from './layer-out.js';
import type { ImageRecord } from './record.js';

/** What becomes an image: changes on top of another. */
export interface CommitInput {
  readonly base: ImageRecord;
  readonly baseConfig: ImageConfig;
  readonly origin: LayerOrigin;
  readonly compression: LayerCompression;
  /** How a container of it starts, in the field names of the specification. */
  readonly config: RunDocument;
  /** Dockerfile instructions. */
  readonly changes: readonly string[];
  /** For the history: what made the changes. */
  readonly createdBy: string;
  readonly ref?: string;
  readonly author?: string;
  readonly message?: string;
  readonly createdAt: Date;
  /** Called when the files have been read: what they belong to may go on. */
  readonly onRead: () => void;
  /** Called with the number of files that a layer cannot hold, when there are any. */
  readonly onSkipped: (count: number) => void;
}

/**
 * Makes an image of another one and what has changed since: its layers, one more, and a config that says how that came
 * about. Where nothing has changed, it has the same layers.
 */
export async function commitImage(input: CommitInput, arrival: ArrivalOptions): Promise<ImageRecord> {
  const { call, store, signal } = arrival;
  // All that can be wrong with what was asked for is, before anything is made.
  const tags = input.ref === undefined ? [] : [parseReference(input.ref, { call }).toString()];
  const config = applyChanges(input.config, input.changes, call);
  using lease = store.leases.create({ persistent: false });
  let made: MadeLayer;
  try {
    const { origin, compression } = input;
    const onBlob = (digest: MadeLayer['blob']['digest']): void => lease.add('content', digest);
    made = await makeLayer({ call, store, signal, origin, compression, onBlob });
  } finally {
    input.onRead();
  }
  if (made.skippedNames > 0) input.onSkipped(made.skippedNames);
  const configBytes = Buffer.from(JSON.stringify(documentOf(input, config, made)));
  const layers = [...input.base.layers.map(({ blob }) => blob), ...(made.entries === 0 ? [] : [made.blob])];
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: mediaTypes.ociConfig, digest: sha256(configBytes), size: configBytes.length },
    layers: layers.map(({ mediaType, digest, size }) => ({ mediaType: ociTypeOf(mediaType), digest, size })),
  };
  const manifestBytes = Buffer.from(JSON.stringify(manifest));
  return bringIn(
    {
      manifest: { mediaType: mediaTypes.ociManifest, digest: sha256(manifestBytes), size: manifestBytes.length },
      manifestBytes,
      configBytes,
      tags,
      repoDigests: [],
      source: 'the image from the container',
      blob: async ({ digest }, offset) => store.content.open(digest, { start: offset }),
    },
    arrival,
  );
}

/** One manifest speaks one language; the bytes of a layer are the same in both. */
const ociTypes: Readonly<Record<string, string>> = {
  [mediaTypes.dockerLayer]: mediaTypes.ociLayer,
  [mediaTypes.dockerLayerGzip]: mediaTypes.ociLayerGzip,
  [mediaTypes.dockerLayerZstd]: mediaTypes.ociLayerZstd,
};

function ociTypeOf(mediaType: string): string {
  return Object.hasOwn(ociTypes, mediaType) ? (ociTypes[mediaType] ?? mediaType) : mediaType;
}

function documentOf(input: CommitInput, config: RunDocument, made: MadeLayer): object {
  const { baseConfig, author, message, createdBy } = input;
  const { os, architecture, variant, 'os.version': version, history, rootfs } = baseConfig;
  const created = input.createdAt.toISOString();
  const step: ImageHistory = {
    created,
    created_by: createdBy,
    ...(author === undefined ? {} : { author }),
    ...(message === undefined ? {} : { comment: message }),
    ...(made.entries === 0 ? { empty_layer: true } : {}),
  };
  return {
    architecture,
    ...(variant === undefined ? {} : { variant }),
    os,
    ...(version === undefined ? {} : { 'os.version': version }),
    ...(author === undefined ? {} : { author }),
    ...(message === undefined ? {} : { comment: message }),
    created,
    config,
    rootfs: { type: 'layers', diff_ids: [...rootfs.diff_ids, ...(made.entries === 0 ? [] : [made.diffId])] },
    history: [...history, step],
  };
}
