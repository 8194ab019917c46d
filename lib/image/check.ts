import { statSync } from 'node:fs';

import { isEngineError } from '../errors.js';
import { algorithmOf, digester } from '../oci/digest.js';
import { chainIds, MAX_CONFIG_BYTES, MAX_MANIFEST_BYTES, parseConfig, parseManifest } from '../oci/image-spec.js';
import type { AbortOptions, Digest, TransferProgress } from '../types.js';
import type { Report } from '../util/operation.js';
import { bringIn, type ArrivalOptions } from './arrival.js';
import { compareLayer } from './check-layer.js';
import { familiar } from './inspect.js';
import type { ImageRecord } from './record.js';

/** How the store is checked. */
export interface CheckOptions extends AbortOptions {
  /** Takes away what is broken, and unpacks layers anew where their blobs are good. Default `false`. */
  readonly repair?: boolean;
  /** Looks at what is there and how large it is, and reads no layer. Default `false`. */
  readonly quick?: boolean;
}

/** Something in the store that is not what it should be. */
export interface StoreProblem {
  /** A blob, an unpacked layer, or what is recorded of an image. */
  readonly kind: 'blob' | 'snapshot' | 'image';
  /** Its digest, ChainID or id. */
  readonly ref: Digest;
  /** What is wrong. */
  readonly reason: string;
  /** The images that need it: by their first name, or id. */
  readonly images: readonly string[];
  /** What was done: it is as it should be again, it was taken away, or nothing. */
  readonly outcome: 'repaired' | 'removed' | 'left';
}

/** What a check found. */
export interface StoreCheck {
  /** How many of each were looked at. */
  readonly images: number;
  readonly blobs: number;
  readonly snapshots: number;
  /** Bytes that were read and found to be good. */
  readonly verifiedBytes: number;
  readonly problems: readonly StoreProblem[];
  /** Images that lack something which is not here any more: pull or load them again. */
  readonly pullAgain: readonly string[];
}

/** What the check needs besides. */
export interface CheckPlan {
  readonly options: CheckOptions;
  readonly arrival: ArrivalOptions;
  /** Ids of running containers that have a layer mounted: that one is not taken away. */
  readonly usedBy: (chainId: Digest) => readonly string[];
}

/** Verifies all images and all content of the store; see `engine.check()`. */
export async function checkStore(plan: CheckPlan): Promise<StoreCheck> {
  return new Check(plan).run();
}

class Check {
  readonly #plan: CheckPlan;
  readonly #records: readonly ImageRecord[];
  readonly #problems: StoreProblem[] = [];
  readonly #bad = new Set<Digest>();
  #verifiedBytes = 0;
  #blobs = 0;
  #snapshots = 0;

  constructor(plan: CheckPlan) {
    this.#plan = plan;
    this.#records = plan.arrival.catalog.list();
  }

  async run(): Promise<StoreCheck> {
    const { arrival, options } = this.#plan;
    const { store, signal, catalog } = arrival;
    // What is looked at is not collected meanwhile: that would look like damage.
    using lease = store.leases.create({ persistent: false });
    for (const record of this.#records) for (const digest of contentsOf(record)) lease.add('content', digest);
    await this.#checkBlobs();
    const whole: ImageRecord[] = [];
    for (const record of this.#records) {
      signal.throwIfAborted();
      if (await this.#checkRecord(record)) whole.push(record);
    }
    await this.#checkSnapshots(whole);
    if (options.repair === true) await catalog.refresh(signal);
    const again = this.#records.filter(record => contentsOf(record).some(digest => this.#bad.has(digest)));
    const unmade = this.#problems.filter(({ kind, outcome }) => kind !== 'blob' && outcome !== 'repaired');
    const names = [...again.map(record => this.#nameOf(record)), ...unmade.flatMap(({ images }) => images)];
    return {
      images: this.#records.length,
      blobs: this.#blobs,
      snapshots: this.#snapshots,
      verifiedBytes: this.#verifiedBytes,
      problems: this.#problems,
      pullAgain: [...new Set(names)].sort(),
    };
  }

  async #checkBlobs(): Promise<void> {
    const { store, signal, report } = this.#plan.arrival;
    const sizes = new Map(this.#records.flatMap(blobsOf).map(({ digest, size }) => [digest, size]));
    const there = new Set(store.content.list());
    for (const digest of there) {
      signal.throwIfAborted();
      this.#blobs++;
      const reason = await this.#whyBad(digest, sizes.get(digest), report);
      if (reason === undefined) continue;
      this.#bad.add(digest);
      if (this.#plan.options.repair === true) store.content.delete(digest);
      this.#tell('blob', digest, reason, this.#plan.options.repair === true ? 'removed' : 'left');
    }
    for (const digest of new Set(this.#records.flatMap(contentsOf))) {
      if (there.has(digest) || this.#bad.has(digest)) continue;
      this.#bad.add(digest);
      this.#tell('blob', digest, 'is missing', 'left');
    }
  }

  async #whyBad(
    digest: Digest,
    expected: number | undefined,
    report: Report<TransferProgress>,
  ): Promise<string | undefined> {
    const { store, signal } = this.#plan.arrival;
    const { size = 0 } = statSync(store.content.path(digest), { throwIfNoEntry: false }) ?? {};
    if (expected !== undefined && size !== expected) return `has ${size} bytes, not ${expected}`;
    if (this.#plan.options.quick === true) return undefined;
    const hash = digester(algorithmOf(digest));
    let bytes = 0;
    try {
      for await (const chunk of store.content.open(digest)) {
        signal.throwIfAborted();
        hash.update(chunk as Buffer);
        bytes += (chunk as Buffer).length;
        report({ kind: 'download', digest, bytes, totalBytes: size }, digest);
      }
    } catch (error) {
      signal.throwIfAborted();
      return `cannot be read: ${String(error)}`;
    }
    const actual = hash.digest();
    if (actual !== digest) return `has content of ${actual}`;
    this.#verifiedBytes += bytes;
    report({ kind: 'exists', digest, bytes, totalBytes: size }, digest);
    return undefined;
  }

  /** Whether a record says what its manifest and its config say. */
  async #checkRecord(record: ImageRecord): Promise<boolean> {
    if ([record.config, record.manifest.digest].some(digest => this.#bad.has(digest))) return false;
    const reason = await this.#whyWrong(record);
    if (reason === undefined) return true;
    const { catalog, signal } = this.#plan.arrival;
    const repair = this.#plan.options.repair === true;
    this.#tell('image', record.config, reason, repair ? 'removed' : 'left', [record]);
    if (repair) await catalog.drop(record.config, () => 'image', signal);
    return false;
  }

  async #whyWrong(record: ImageRecord): Promise<string | undefined> {
    const { store, call } = this.#plan.arrival;
    try {
      const manifestBytes = await store.content.read(record.manifest.digest, { maxBytes: MAX_MANIFEST_BYTES });
      const configBytes = await store.content.read(record.config, { maxBytes: MAX_CONFIG_BYTES });
      const origin = { call, source: record.config };
      const manifest = parseManifest(manifestBytes, origin, record.manifest.mediaType);
      const { diff_ids: diffIds } = parseConfig(configBytes, origin).rootfs;
      const chain = chainIds(diffIds);
      const fits =
        manifest.config.digest === record.config &&
        manifest.layers.length === record.layers.length &&
        record.layers.every(
          ({ blob, diffId, chainId }, i) =>
            blob.digest === manifest.layers[i]?.digest && diffId === diffIds[i] && chainId === chain[i],
        );
      return fits ? undefined : 'its record speaks of other layers than its manifest and its config';
    } catch (error) {
      if (isEngineError(error)) return error.message;
      throw error;
    }
  }

  async #checkSnapshots(records: readonly ImageRecord[]): Promise<void> {
    const { store, signal } = this.#plan.arrival;
    const broken = new Map<Digest, string>();
    const layers = new Map(records.flatMap(record => record.layers.map(layer => [layer.chainId, layer])));
    for (const [chainId, { blob }] of layers) {
      signal.throwIfAborted();
      this.#snapshots++;
      if (!store.snapshots.has(chainId)) broken.set(chainId, 'is missing');
      else if (
        this.#plan.options.quick !== true &&
        store.snapshots.driver === 'overlay' &&
        !this.#bad.has(blob.digest)
      ) {
        const content = store.content.open(blob.digest);
        const found = await compareLayer(store.snapshots.path(chainId), content, this.#plan.arrival);
        if (found !== undefined && found.length > 0) broken.set(chainId, found.join('; '));
      }
    }
    if (broken.size === 0) return;
    const taken = new Map<Digest, StoreProblem['outcome']>();
    for (const chainId of broken.keys()) taken.set(chainId, this.#take(chainId));
    if (this.#plan.options.repair === true) {
      for (const record of records)
        if (record.layers.some(({ chainId }) => taken.get(chainId) === 'removed')) await this.#unpackAgain(record);
    }
    for (const [chainId, reason] of broken) {
      const users = this.#plan.usedBy(chainId);
      const repaired = taken.get(chainId) === 'removed' && store.snapshots.has(chainId);
      const used =
        users.length > 0 && taken.get(chainId) === 'left'
          ? `; in use by ${users.map(id => id.slice(0, 12)).join(', ')}`
          : '';
      this.#tell('snapshot', chainId, reason + used, repaired ? 'repaired' : (taken.get(chainId) ?? 'left'));
    }
  }

  #take(chainId: Digest): 'removed' | 'left' {
    const { store } = this.#plan.arrival;
    if (this.#plan.options.repair !== true || this.#plan.usedBy(chainId).length > 0) return 'left';
    store.snapshots.remove(chainId);
    return 'removed';
  }

  /** From its blobs, as far as they are good. */
  async #unpackAgain(record: ImageRecord): Promise<void> {
    const { store } = this.#plan.arrival;
    if (contentsOf(record).some(digest => this.#bad.has(digest))) return;
    await bringIn(
      {
        manifest: record.manifest,
        manifestBytes: await store.content.read(record.manifest.digest, { maxBytes: MAX_MANIFEST_BYTES }),
        configBytes: await store.content.read(record.config, { maxBytes: MAX_CONFIG_BYTES }),
        tags: [],
        repoDigests: record.repoDigests,
        source: this.#nameOf(record),
        blob: async ({ digest }, offset) => store.content.open(digest, { start: offset }),
      },
      this.#plan.arrival,
    );
  }

  #tell(
    kind: StoreProblem['kind'],
    ref: Digest,
    reason: string,
    outcome: StoreProblem['outcome'],
    records = this.#records.filter(record => needs(record, ref)),
  ): void {
    this.#problems.push({ kind, ref, reason, images: records.map(record => this.#nameOf(record)), outcome });
  }

  #nameOf(record: ImageRecord): string {
    const [tag] = this.#plan.arrival.catalog.tagsOf(record);
    return tag === undefined ? record.config : familiar(tag);
  }
}

function contentsOf(record: ImageRecord): Digest[] {
  return [record.config, record.manifest.digest, ...record.layers.map(layer => layer.blob.digest)];
}

function blobsOf(record: ImageRecord): readonly { readonly digest: Digest; readonly size: number }[] {
  return [record.manifest, ...record.layers.map(layer => layer.blob)];
}

function needs(record: ImageRecord, ref: Digest): boolean {
  return contentsOf(record).includes(ref) || record.layers.some(({ chainId }) => chainId === ref);
}
