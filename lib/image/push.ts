import { NotFoundError, ParseError } from '../errors.js';
import { mediaTypes, type Descriptor } from '../oci/descriptor.js';
import { MAX_CONFIG_BYTES, MAX_MANIFEST_BYTES } from '../oci/image-spec.js';
import { parseReference, type Reference } from '../oci/reference.js';
import type { CredentialProvider } from '../registry/credentials.js';
import type { Registry } from '../registry/registry.js';
import type { Store } from '../store/store.js';
import type { AbortOptions, Digest, TransferProgress } from '../types.js';
import { onAborted } from '../util/abort.js';
import type { Report } from '../util/operation.js';
import type { Catalog } from './catalog.js';
import type { BlobRecord, ImageRecord, LayerRecord } from './record.js';
import { openRegistry, type RegistryAccess } from './registries.js';

/** What a push may be told. */
export interface PushOptions extends AbortOptions {
  /** Instead of the engine's. */
  readonly credentials?: CredentialProvider;
  /** Layers at a time. Default `5`, as dockerd. */
  readonly concurrency?: number;
  /** Sends layers in pieces of so many bytes, for registries, or proxies before them, that refuse large requests. */
  readonly chunkBytes?: number;
}

/** How far a push is. One item is one layer. */
export interface PushProgress extends TransferProgress {
  /** The digest of the layer's tar archive, whose first digits Docker calls it by. */
  readonly diffId: Digest;
  /** The repository that it was mounted from. */
  readonly from?: string;
}

/** Where images are pushed from. */
export interface Departure {
  readonly call: string;
  readonly store: Store;
  readonly catalog: Catalog;
  readonly access: RegistryAccess;
  readonly report: Report<PushProgress>;
}

/** What is to be pushed, and where to. */
interface PushPlan extends Departure {
  readonly registry: Registry;
  readonly reference: Reference;
  readonly signal: AbortSignal;
  readonly concurrency: number;
  readonly chunkBytes: number | undefined;
}

/** Pushes one image under a name. */
export function pushOne(
  record: ImageRecord,
  ref: string,
  departure: Departure,
  options: PushOptions,
): Promise<Descriptor> {
  return withPlan(ref, departure, options, plan => pushImage(record, plan.reference.version, plan));
}

/** Pushes several images, and an index that lists them each for its platform, under a name. */
export function pushMany(
  records: readonly ImageRecord[],
  ref: string,
  departure: Departure,
  options: PushOptions,
): Promise<Descriptor> {
  const platforms = new Set(records.map(record => record.platform));
  if (platforms.size < records.length) {
    throw new ParseError({ call: departure.call, source: ref, reason: 'two of the images are for the same platform' });
  }
  return withPlan(ref, departure, options, plan => pushIndex(records, plan));
}

async function withPlan(
  ref: string,
  departure: Departure,
  options: PushOptions,
  work: (plan: PushPlan) => Promise<Descriptor>,
): Promise<Descriptor> {
  const { call, access } = departure;
  const { concurrency = 5, chunkBytes, signal = new AbortController().signal } = options;
  for (const [name, value] of Object.entries({ concurrency, chunkBytes: chunkBytes ?? 1 })) {
    if (!Number.isInteger(value) || value < 1)
      throw new TypeError(`${call}: expected ${name} to be a number from 1 on, got ${value}`);
  }
  signal.throwIfAborted();
  const reference = parseReference(ref, { call });
  if (reference.digest !== undefined) {
    throw new ParseError({ call, source: ref, reason: 'a digest cannot be given, it is what the image has' });
  }
  await using registry = await openRegistry(reference.registryHost, access, options.credentials ?? access.credentials);
  return await work({ ...departure, registry, reference, signal, concurrency, chunkBytes });
}

/**
 * Pushes an image: its layers, as they are in the store and so as they came, then its config, and its manifest at last, so
 * that nobody can pull what is not there yet.
 *
 * @param version - The tag, or the digest for an image that an index will name.
 */
async function pushImage(record: ImageRecord, version: string, plan: PushPlan): Promise<Descriptor> {
  const { store, registry, reference, call, signal } = plan;
  // What is being read is not collected meanwhile.
  using lease = store.leases.create({ persistent: false });
  for (const digest of [record.config, record.manifest.digest, ...record.layers.map(layer => layer.blob.digest)])
    lease.add('content', digest);
  const manifest = await store.content.read(record.manifest.digest, { maxBytes: MAX_MANIFEST_BYTES });
  const layers = [...new Map(record.layers.map(layer => [layer.blob.digest, layer])).values()];
  // The top one first, as Docker tells them.
  for (const layer of [...layers].reverse()) tell(plan, layer, 'resolve', 0);
  await eachOf(layers, plan, (layer, mine) => pushLayer(layer, mine));
  const config = await store.content.read(record.config, { maxBytes: MAX_CONFIG_BYTES });
  const configBlob = { mediaType: mediaTypes.ociConfig, digest: record.config, size: config.length };
  await registry.putBlob(reference.path, configBlob, config, { signal, call });
  const pushed = await registry.putManifest(reference.path, version, record.manifest.mediaType, manifest, {
    signal,
    call,
  });
  await plan.catalog.known(record.config, `${reference.repository}@${pushed.digest}`, signal);
  return pushed;
}

async function pushIndex(records: readonly ImageRecord[], plan: PushPlan): Promise<Descriptor> {
  const { registry, reference, call, signal } = plan;
  const manifests: Descriptor[] = [];
  for (const record of records) {
    const { mediaType, digest, size } = await pushImage(record, record.manifest.digest, plan);
    const [os = '', architecture = '', variant] = record.platform.split('/');
    const platform = { architecture, os, ...(variant === undefined ? {} : { variant }) };
    manifests.push({ mediaType, digest, size, platform });
  }
  // What is of one kind is listed as that kind: old readers of Docker's know no other.
  const docker = manifests.every(({ mediaType }) => mediaType === mediaTypes.dockerManifest);
  const mediaType = docker ? mediaTypes.dockerIndex : mediaTypes.ociIndex;
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests }));
  return registry.putManifest(reference.path, reference.version, mediaType, bytes, { signal, call });
}

async function pushLayer(layer: LayerRecord, plan: PushPlan): Promise<void> {
  const { store, registry, reference, call, signal, chunkBytes } = plan;
  const { blob } = layer;
  requireBlob(blob, plan);
  const outcome = await registry.putBlob(
    reference.path,
    { ...blob },
    offset => store.content.open(blob.digest, { start: offset }),
    {
      signal,
      call,
      mountFrom: repositoriesWith(blob, plan),
      onProgress: bytes => tell(plan, layer, 'upload', bytes),
      ...(chunkBytes !== undefined && { chunkBytes }),
    },
  );
  switch (outcome.kind) {
    case 'exists':
      return tell(plan, layer, 'exists', blob.size);
    case 'mounted':
      return tell(plan, layer, 'mounted', blob.size, outcome.from);
    case 'uploaded':
      return tell(plan, layer, 'done', blob.size);
  }
}

/** A layer's blob that is not here, or not whole, is told before anything of it is sent. */
function requireBlob({ digest, size }: BlobRecord, { store, call, reference }: PushPlan): void {
  if (store.content.stat(digest)?.size === size) return;
  const remedy = `Pull or load ${reference.familiar()} again`;
  throw new NotFoundError({ call, kind: 'blob', ref: digest, remedy });
}

/** Other repositories of the same registry, as far as images here are known to have come from there or gone there. */
function repositoriesWith(blob: BlobRecord, { catalog, reference }: PushPlan): string[] {
  const prefix = `${reference.domain}/`;
  const found = catalog
    .list()
    .filter(record => record.layers.some(layer => layer.blob.digest === blob.digest))
    .flatMap(record => record.repoDigests)
    .filter(name => name.startsWith(prefix))
    .map(name => name.slice(prefix.length, name.lastIndexOf('@')));
  return [...new Set(found)].filter(path => path !== reference.path);
}

/** Some at a time. The first failure stops the others, and is thrown when all have ended. */
async function eachOf<T>(
  items: readonly T[],
  plan: PushPlan,
  work: (item: T, plan: PushPlan) => Promise<void>,
): Promise<void> {
  const controller = new AbortController();
  const off = onAborted(plan.signal, reason => controller.abort(reason));
  const mine = { ...plan, signal: controller.signal };
  const waiting = items.values();
  let failed: { readonly error: unknown } | undefined;
  const worker = async (): Promise<void> => {
    for (const item of waiting) {
      if (controller.signal.aborted) return;
      try {
        await work(item, mine);
      } catch (error) {
        failed ??= { error };
        controller.abort(error);
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(plan.concurrency, items.length) }, worker));
  } finally {
    off();
  }
  plan.signal.throwIfAborted();
  if (failed !== undefined) throw failed.error;
}

function tell(
  { report }: PushPlan,
  { blob, diffId }: LayerRecord,
  kind: PushProgress['kind'],
  bytes: number,
  from?: string,
): void {
  const progress = { kind, digest: blob.digest, diffId, bytes, totalBytes: blob.size };
  report({ ...progress, ...(from !== undefined && { from }) }, `${kind} ${blob.digest}`);
}
