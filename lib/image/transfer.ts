import { IntegrityError } from '../errors.js';
import { failure } from '../store/failure.js';
import type { Ingest } from '../store/ingest.js';
import type { Lease } from '../store/leases.js';
import type { Store } from '../store/store.js';
import type { Digest, TransferProgress } from '../types.js';
import { onAborted } from '../util/abort.js';
import type { Report } from '../util/operation.js';
import { applyLayer } from './apply.js';
import { Channel } from './channel.js';
import type { BlobRecord, LayerFacts, LayerRecord } from './record.js';
import { Turns } from './turns.js';

/** A layer that is to be in the store, and where its blob comes from. */
export interface LayerSource {
  readonly blob: BlobRecord;
  readonly diffId: Digest;
  readonly chainId: Digest;
  /** The snapshot below it. */
  readonly parent: Digest | undefined;
  /** The blob from `offset` on. */
  open(offset: number, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
}

/** What a transfer needs to know besides its layers. */
export interface TransferOptions {
  /** The user's call, for messages. */
  readonly call: string;
  readonly store: Store;
  /** Keeps what was transferred from being collected until the image's record names it. */
  readonly lease: Lease;
  readonly signal: AbortSignal;
  readonly report: Report<TransferProgress>;
  /** Layers at a time. */
  readonly concurrency: number;
  /** A layer that unpacks to more is refused. */
  readonly maxLayerBytes: number;
  /** One that unpacks to more than so many times its own size, too, from {@link RATIO_FREE_BYTES} on. */
  readonly maxLayerRatio: number;
  /** What is known of a snapshot from an image that has it. */
  facts(chainId: Digest): LayerFacts | undefined;
}

/** Below this a ratio says nothing: a file of zeros is no attack. */
const RATIO_FREE_BYTES = 2 ** 30;

const turns = new Turns();

/**
 * Brings layers into the store: their blobs, verified by digest and size, and their snapshots, verified by diffID.
 *
 * Where layers do not need each other (overlay), each is downloaded, stored and unpacked in one go, several at a time.
 * Where they do (plain copies), all are downloaded side by side and unpacked in order. The first failure stops the rest;
 * nothing of a layer that failed is left but, for a later try, the beginning of its blob.
 */
export async function transferLayers(
  sources: readonly LayerSource[],
  options: TransferOptions,
): Promise<readonly LayerRecord[]> {
  const { store, lease } = options;
  for (const source of sources) {
    lease.add('content', source.blob.digest);
    lease.add('snapshot', source.chainId);
  }
  const facts = new Map<Digest, LayerFacts>();
  const bring = (source: LayerSource, mine: TransferOptions): Promise<void> =>
    inTurn(source, mine, async () => void facts.set(source.chainId, await bringLayer(source, mine)));
  if (store.snapshots.independent) await eachOf(sources, options, bring);
  else {
    await eachOf(sources, options, (source, mine) => inTurn(source, mine, () => bringBlob(source, mine)));
    for (const source of sources) await bring(source, options);
  }
  return sources.map(({ blob, diffId, chainId }) => ({ blob, diffId, chainId, ...(facts.get(chainId) ?? noFacts) }));
}

const noFacts: LayerFacts = { bytes: 0, opaque: [] };

function inTurn<T>(source: LayerSource, options: TransferOptions, work: () => Promise<T>): Promise<T> {
  return turns.take(`${options.store.root} ${source.blob.digest}`, work, options.signal);
}

/** Runs `work` on each item, some at a time. The first failure aborts the others, and is thrown when all have ended. */
async function eachOf<T>(
  items: readonly T[],
  options: TransferOptions,
  work: (item: T, options: TransferOptions) => Promise<void>,
): Promise<void> {
  const controller = new AbortController();
  const off = onAborted(options.signal, reason => controller.abort(reason));
  const mine = { ...options, signal: controller.signal };
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
    await Promise.all(Array.from({ length: Math.min(options.concurrency, items.length) }, worker));
  } finally {
    off();
  }
  options.signal.throwIfAborted();
  if (failed !== undefined) throw failed.error;
}

async function bringLayer(source: LayerSource, options: TransferOptions): Promise<LayerFacts> {
  const { store } = options;
  const known = knownFacts(source, options);
  if (known === undefined && store.content.stat(source.blob.digest) === undefined) {
    const ingest = await store.content.ingest({ ...source.blob, signal: options.signal });
    if (ingest.offset === 0) return downloadAndUnpack(source, ingest, options);
    // Its beginning is here from an earlier try, or all of it from another process that was at it just now: what is
    // unpacked must come from the start, so it comes from the disk, afterwards.
    await download(source, ingest, options);
  } else {
    await bringBlob(source, options);
  }
  return knownFacts(source, options) ?? unpack(source, store.content.open(source.blob.digest), options);
}

/**
 * A snapshot of which no image has recorded the facts is left from a pull that was killed at its end: it is unpacked once
 * more, and the store keeps the one that is there.
 */
function knownFacts({ chainId }: LayerSource, options: TransferOptions): LayerFacts | undefined {
  return options.store.snapshots.has(chainId) ? options.facts(chainId) : undefined;
}

async function bringBlob(source: LayerSource, options: TransferOptions): Promise<void> {
  const { blob } = source;
  if (options.store.content.stat(blob.digest) !== undefined) {
    reportTo(options, 'exists', blob.digest, blob.size, blob.size);
    return;
  }
  await download(source, await options.store.content.ingest({ ...blob, signal: options.signal }), options);
}

async function download(source: LayerSource, ingest: Ingest, options: TransferOptions, tee?: Channel): Promise<void> {
  const { digest, size } = source.blob;
  try {
    let bytes = ingest.offset;
    reportTo(options, 'download', digest, bytes, size);
    if (bytes < size) {
      for await (const chunk of await source.open(bytes, options.signal)) {
        const written = ingest.write(chunk);
        written.catch(() => {
          // Awaited below; this only keeps it from counting as unhandled while the other reader is waited for.
        });
        await tee?.push(chunk);
        await written;
        bytes += chunk.length;
        reportTo(options, 'download', digest, bytes, size);
      }
    }
    options.signal.throwIfAborted();
    await ingest.commit();
  } catch (error) {
    // What came over a line that broke is good until the digest says otherwise.
    await ingest.abort(!(error instanceof IntegrityError));
    throw error instanceof IntegrityError ? lied(source, error, options) : failure(options.call, store(options), error);
  }
}

function lied({ blob }: LayerSource, { expected, actual }: IntegrityError, { call }: TransferOptions): IntegrityError {
  const remedy = 'The content was changed on its way, or is damaged where it comes from: nothing of it was kept';
  return new IntegrityError({ call, what: `layer ${blob.digest}`, expected, actual, remedy });
}

/** Feeds the stored file and the extraction from the same bytes as they arrive, and keeps each only if it verifies. */
async function downloadAndUnpack(source: LayerSource, ingest: Ingest, options: TransferOptions): Promise<LayerFacts> {
  const tee = new Channel();
  const unpacking = unpack(source, tee, options).finally(() => tee.leave());
  const downloading = download(source, ingest, options, tee).then(
    () => tee.end(),
    (error: unknown) => {
      tee.fail(error);
      throw error;
    },
  );
  const [downloaded, unpacked] = await Promise.allSettled([downloading, unpacking]);
  // A download that lied makes its extraction fail too, in less telling words.
  if (downloaded.status === 'rejected') throw downloaded.reason;
  if (unpacked.status === 'rejected') throw unpacked.reason;
  return unpacked.value;
}

async function unpack(
  source: LayerSource,
  compressed: AsyncIterable<Uint8Array>,
  options: TransferOptions,
): Promise<LayerFacts> {
  const { call, signal, maxLayerBytes, maxLayerRatio } = options;
  const { blob, diffId, chainId } = source;
  const snapshot = await options.store.snapshots.prepare(chainId, source.parent);
  try {
    const applied = await applyLayer({
      content: counted(compressed, blob, options),
      source: `layer ${blob.digest}`,
      target: snapshot.dir,
      whiteouts: snapshot.whiteouts,
      call,
      signal,
      maxBytes: Math.min(maxLayerBytes, Math.max(RATIO_FREE_BYTES, blob.size * maxLayerRatio)),
    });
    if (applied.diffId !== diffId) {
      throw new IntegrityError({ call, what: `layer ${blob.digest}`, expected: diffId, actual: applied.diffId });
    }
    await snapshot.commit();
    reportTo(options, 'done', blob.digest, blob.size, blob.size);
    return { bytes: applied.bytes, opaque: applied.opaque };
  } catch (error) {
    await snapshot.abort();
    throw failure(call, store(options), error);
  }
}

async function* counted(
  content: AsyncIterable<Uint8Array>,
  blob: BlobRecord,
  options: TransferOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  let bytes = 0;
  for await (const chunk of content) {
    bytes += chunk.length;
    reportTo(options, 'unpack', blob.digest, bytes, blob.size);
    yield chunk;
  }
}

function store(options: TransferOptions): string {
  return options.store.root;
}

function reportTo(
  options: TransferOptions,
  kind: TransferProgress['kind'],
  digest: Digest,
  bytes: number,
  totalBytes: number,
): void {
  options.report({ kind, digest, bytes, totalBytes }, `${kind} ${digest}`);
}
