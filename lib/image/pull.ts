import { buffer } from 'node:stream/consumers';

import { NotFoundError, ParseError } from '../errors.js';
import type { Descriptor, Platform } from '../oci/descriptor.js';
import { MAX_CONFIG_BYTES, parseConfig, parseManifestDocument, type ImageManifest } from '../oci/image-spec.js';
import type { Origin } from '../oci/json.js';
import { choosePlatform, compatiblePlatforms, formatPlatform, normalizePlatform } from '../oci/platform.js';
import type { Reference } from '../oci/reference.js';
import type { CredentialProvider } from '../registry/credentials.js';
import type { Registry } from '../registry/registry.js';
import type { TransferProgress } from '../types.js';
import { bringIn, checkManifest, type ArrivalOptions } from './arrival.js';
import { chunksOf } from './chunks.js';
import type { ImageRecord } from './record.js';
import { Shared } from './shared.js';

/** An index may list indexes; nobody nests them deeper. */
const MAX_NESTING = 3;

/** What is to be pulled, and from where. */
export interface PullPlan extends ArrivalOptions {
  readonly registry: Registry;
  readonly reference: Reference;
  readonly platform: Platform;
  /** The caller asked for this platform, so another one will not do. */
  readonly strict: boolean;
  /** Whether the tag stands for this image from now on, or still for one for another platform. */
  readonly beside: 'first' | 'second';
}

/** Brings an image from a registry into the store. */
export async function pullImage(plan: PullPlan): Promise<ImageRecord> {
  const { registry, reference, signal } = plan;
  const { path } = reference;
  const found = await findManifest(plan);
  const configBytes = await readConfig(plan, found);
  checkPlatform(plan, configBytes);
  return bringIn(
    {
      manifest: found.descriptor,
      manifestBytes: found.bytes,
      configBytes,
      // A digest names bytes, not a tag: pulling by digest gives the image no tag, as in Docker.
      tags: reference.digest === undefined ? [`${reference.repository}:${reference.version}`] : [],
      repoDigests: [`${reference.repository}@${found.top.digest}`],
      source: reference.familiar(),
      beside: plan.beside,
      // Whoever stores it digests it.
      blob: async (descriptor, offset, mine) =>
        chunksOf(await registry.blob(path, descriptor, { signal: mine, offset, call: plan.call, verify: false })),
    },
    { ...plan, signal },
  );
}

interface FoundManifest {
  /** What the reference names: the index, where there is one. */
  readonly top: Descriptor;
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
  readonly manifest: ImageManifest;
}

async function findManifest(plan: PullPlan): Promise<FoundManifest> {
  const { registry, reference, platform, signal, report, call } = plan;
  const origin = { call, source: reference.familiar() };
  let top: Descriptor | undefined;
  let version: string = reference.version;
  for (let depth = 0; depth <= MAX_NESTING; depth++) {
    const { descriptor, bytes } = await registry.manifest(reference.path, version, { signal, call });
    top ??= descriptor;
    report({ kind: 'resolve', digest: descriptor.digest, bytes: descriptor.size, totalBytes: descriptor.size });
    const document = parseManifestDocument(bytes, descriptor.mediaType, origin);
    if (document.type === 'manifest') {
      checkManifest(document.manifest, origin);
      return { top, descriptor, bytes, manifest: document.manifest };
    }
    version = choosePlatform(document.index, platform, { call, ref: origin.source }).digest;
  }
  throw new ParseError({ ...origin, reason: `its index nests deeper than ${MAX_NESTING}` });
}

async function readConfig(plan: PullPlan, { manifest }: FoundManifest): Promise<Uint8Array> {
  const { registry, reference, store, signal, call } = plan;
  const { config } = manifest;
  if (store.content.stat(config.digest) !== undefined) {
    return store.content.read(config.digest, { maxBytes: MAX_CONFIG_BYTES });
  }
  return buffer(await registry.blob(reference.path, config, { signal, call }));
}

/** An image that comes without an index is taken as it is, as in Docker, unless a platform was asked for. */
function checkPlatform(plan: PullPlan, configBytes: Uint8Array): void {
  const origin: Origin = { call: plan.call, source: plan.reference.familiar() };
  const is = normalizePlatform(parseConfig(configBytes, origin));
  const fits = compatiblePlatforms(plan.platform).some(other => formatPlatform(other) === formatPlatform(is));
  if (fits || (!plan.strict && is.os === plan.platform.os)) return;
  throw new NotFoundError({
    call: plan.call,
    kind: 'image',
    ref: `${origin.source} for ${formatPlatform(plan.platform)}`,
    remedy: `It is there for ${formatPlatform(is)}`,
  });
}

const identities = new WeakMap<CredentialProvider, number>();
let known = 0;

/** Of this process, whatever the number of engines on one store. */
export const pulls = new Shared<ImageRecord, TransferProgress>();

/** What makes two pulls the same. On behalf of different people they are not. */
export function pullKey(pull: {
  readonly root: string;
  readonly reference: Reference;
  readonly platform: Platform;
  readonly strict: boolean;
  readonly credentials: CredentialProvider | undefined;
}): string {
  const { root, reference, platform, strict, credentials } = pull;
  let identity = credentials === undefined ? 0 : identities.get(credentials);
  if (credentials !== undefined && identity === undefined) identities.set(credentials, (identity = ++known));
  return [root, reference, formatPlatform(platform), strict, identity].join(' ');
}
