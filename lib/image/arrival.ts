import { isEngineError, LimitError, ParseError, type ErrorCode } from '../errors.js';
import { isConfig, isLayer, type Descriptor } from '../oci/descriptor.js';
import {
  chainIds,
  checkLayers,
  MAX_CONFIG_BYTES,
  parseConfig,
  parseManifest,
  type ImageConfig,
  type ImageManifest,
} from '../oci/image-spec.js';
import type { Origin } from '../oci/json.js';
import { formatPlatform, normalizePlatform } from '../oci/platform.js';
import type { Digest } from '../types.js';
import type { Catalog } from './catalog.js';
import { recordId, type BlobRecord, type ImageRecord, type LayerRecord } from './record.js';
import { transferLayers, type LayerSource, type TransferOptions } from './transfer.js';

/** An interrupted transfer's blobs are kept this long for whoever tries again. */
const RETRY_MS = 60 * 60 * 1000;

/** An image on its way into the store, from wherever it comes. */
export interface Arrival {
  readonly manifest: BlobRecord;
  readonly manifestBytes: Uint8Array;
  readonly configBytes: Uint8Array;
  /** In full: `docker.io/library/alpine:3`. */
  readonly tags: readonly string[];
  /** See {@link ImageRecord}. */
  readonly repoDigests: readonly string[];
  /** What messages call it. */
  readonly source: string;
  /** See {@link ImageRecord}. */
  readonly inputs?: Digest;
  /** Images for other platforms keep the tags: see {@link PutOptions}. */
  readonly beside?: 'first' | 'second';
  /** A layer's blob from `offset` on. */
  blob(descriptor: Descriptor, offset: number, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
}

export interface ArrivalOptions extends Omit<TransferOptions, 'lease' | 'facts'> {
  readonly catalog: Catalog;
}

/**
 * Brings an image into the store: its blobs, its snapshots and, as the very last step, the record that makes it one.
 *
 * @throws {@link ParseError} when manifest and config do not describe an image together.
 */
export async function bringIn(arrival: Arrival, options: ArrivalOptions): Promise<ImageRecord> {
  const { store, call, signal } = options;
  const origin = { call, source: arrival.source };
  const manifest = parseManifest(arrival.manifestBytes, origin, arrival.manifest.mediaType);
  checkManifest(manifest, origin);
  const config = parseConfig(arrival.configBytes, origin);
  checkLayers(manifest, config, origin);

  const lease = store.leases.create({ ttlMs: RETRY_MS });
  const renewal = setInterval(() => lease.renew(), RETRY_MS / 4).unref();
  try {
    lease.add('content', manifest.config.digest);
    lease.add('content', arrival.manifest.digest);
    await store.content.put(arrival.configBytes, manifest.config.digest);
    await store.content.put(arrival.manifestBytes, arrival.manifest.digest);
    const facts = factsOf(options.catalog);
    const layers = await transferLayers(layerSources(arrival, manifest, config), { ...options, lease, facts });
    const record = await options.catalog.put(makeRecord(arrival, manifest, config, layers), arrival.tags, {
      signal,
      ...(arrival.beside && { beside: arrival.beside }),
    });
    lease.release();
    return record;
  } catch (error) {
    // What arrived whole stays for a retry until the lease runs out, unless another try would end in the same.
    if (isEngineError(error) && hopeless.has(error.code)) lease.release();
    throw error;
  } finally {
    clearInterval(renewal);
  }
}

const hopeless: ReadonlySet<ErrorCode> = new Set(['CTR_INTEGRITY', 'CTR_PARSE', 'CTR_LIMIT', 'CTR_NOT_FOUND']);

/** Gives names to an image that is here already; `undefined` when something of it is missing. */
export async function nameAgain(
  record: ImageRecord,
  tags: readonly string[],
  { store, catalog, signal }: ArrivalOptions,
): Promise<ImageRecord | undefined> {
  const contents = [record.config, record.manifest.digest, ...record.layers.map(layer => layer.blob.digest)];
  const snapshots = record.layers.map(layer => layer.chainId);
  // First keep, then look: otherwise it might be removed in between.
  using lease = store.leases.create({ persistent: false });
  for (const digest of contents) lease.add('content', digest);
  for (const chainId of snapshots) lease.add('snapshot', chainId);
  const whole =
    contents.every(digest => store.content.stat(digest) !== undefined) &&
    snapshots.every(chainId => store.snapshots.has(chainId));
  if (!whole) return undefined;
  const has = catalog.tagsOf(record);
  if (tags.every(tag => has.includes(tag))) return record;
  return catalog.put({ ...record, updated: new Date().toISOString() }, tags, { signal });
}

/** What the images here tell of their layers. */
function factsOf(catalog: Catalog): (chainId: Digest) => LayerRecord | undefined {
  const known = new Map(catalog.list().flatMap(record => record.layers.map(layer => [layer.chainId, layer])));
  return chainId => known.get(chainId);
}

/** Refuses what is no image, or not one that can be unpacked here. */
export function checkManifest(manifest: ImageManifest, origin: Origin): void {
  if (!isConfig(manifest.config.mediaType)) {
    const reason = `is an artifact of type ${manifest.artifactType ?? manifest.config.mediaType}, not an image`;
    throw new ParseError({ ...origin, reason });
  }
  if (manifest.config.size > MAX_CONFIG_BYTES) {
    const reason = `its config has ${manifest.config.size} bytes, at most ${MAX_CONFIG_BYTES} are read`;
    throw new LimitError({ call: origin.call, what: origin.source, reason, limit: MAX_CONFIG_BYTES });
  }
  for (const layer of manifest.layers) {
    if (isLayer(layer.mediaType)) continue;
    throw new ParseError({
      ...origin,
      reason: `its layer ${layer.digest} is of type ${layer.mediaType}, not known here`,
    });
  }
}

function layerSources(arrival: Arrival, manifest: ImageManifest, config: ImageConfig): LayerSource[] {
  const chain = chainIds(config.rootfs.diff_ids);
  return manifest.layers.flatMap((descriptor, i) => {
    const [diffId, chainId] = [config.rootfs.diff_ids[i], chain[i]];
    // Both have as many as the manifest has layers: that was checked.
    if (diffId === undefined || chainId === undefined) return [];
    const { mediaType, digest, size } = descriptor;
    return {
      blob: { mediaType, digest, size },
      diffId,
      chainId,
      parent: chain[i - 1],
      open: (offset: number, signal: AbortSignal) => arrival.blob(descriptor, offset, signal),
    };
  });
}

function makeRecord(
  arrival: Arrival,
  manifest: ImageManifest,
  config: ImageConfig,
  layers: readonly LayerRecord[],
): ImageRecord {
  const { mediaType, digest, size } = arrival.manifest;
  return {
    id: recordId(manifest.config.digest),
    config: manifest.config.digest,
    manifest: { mediaType, digest, size },
    platform: formatPlatform(normalizePlatform(config)),
    repoDigests: arrival.repoDigests,
    layers,
    labels: config.config.Labels ?? {},
    ...(config.created === undefined ? {} : { created: config.created }),
    updated: new Date().toISOString(),
    ...(arrival.inputs === undefined ? {} : { inputs: arrival.inputs }),
  };
}
