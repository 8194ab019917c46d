import { ParseError } from '../errors.js';
import type { Digest, Labels } from '../types.js';

import {
  isIndex,
  isManifest,
  mediaTypes,
  readDescriptor,
  readDigest,
  readMediaType,
  type Descriptor,
} from './descriptor.js';
import { sha256 } from './digest.js';
import { parseJson, type Json, type Origin } from './json.js';

/** Registries must accept manifests of this size, and hardly one accepts more: distribution-spec v1.1.1, "Pushing Manifests". */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;
/** Configs carry labels and history; those of build tools reach hundreds of kilobytes. */
export const MAX_CONFIG_BYTES = 8 * 1024 * 1024;

/** image-spec v1.1.1, image-index.md; Docker's manifest list has the same shape. */
export interface ImageIndex {
  readonly schemaVersion: 2;
  readonly mediaType: string;
  readonly manifests: readonly Descriptor[];
  readonly annotations?: Labels;
  readonly artifactType?: string;
  readonly subject?: Descriptor;
}

/** image-spec v1.1.1, manifest.md; Docker's manifest version 2, schema 2 has the same shape. */
export interface ImageManifest {
  readonly schemaVersion: 2;
  readonly mediaType: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly annotations?: Labels;
  readonly artifactType?: string;
  readonly subject?: Descriptor;
}

/** How a container of this image starts, in the field names of the specification: image-spec v1.1.1, config.md, `config`. */
export interface ImageRunConfig {
  readonly User?: string;
  readonly ExposedPorts?: readonly string[];
  readonly Env?: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Volumes?: readonly string[];
  readonly WorkingDir?: string;
  readonly Labels?: Labels;
  readonly StopSignal?: string;
  readonly Healthcheck?: ImageHealthcheck;
  readonly Shell?: readonly string[];
  readonly OnBuild?: readonly string[];
}

/** Docker's addition. Times in nanoseconds; 0 and absent mean the default. */
export interface ImageHealthcheck {
  readonly Test?: readonly string[];
  readonly Interval?: number;
  readonly Timeout?: number;
  readonly StartPeriod?: number;
  readonly StartInterval?: number;
  readonly Retries?: number;
}

/** One step of how the image came about. */
export interface ImageHistory {
  readonly created?: string;
  readonly created_by?: string;
  readonly author?: string;
  readonly comment?: string;
  /** It made no layer. */
  readonly empty_layer?: boolean;
}

/** image-spec v1.1.1, config.md. Its digest is what Docker calls the image id. */
export interface ImageConfig {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
  readonly 'os.version'?: string;
  /** RFC 3339. */
  readonly created?: string;
  readonly author?: string;
  readonly config: ImageRunConfig;
  readonly rootfs: { readonly type: 'layers'; readonly diff_ids: readonly Digest[] };
  readonly history: readonly ImageHistory[];
}

/** What a document that a registry called a manifest turned out to be. */
export type ManifestDocument =
  | { readonly type: 'index'; readonly index: ImageIndex }
  | { readonly type: 'manifest'; readonly manifest: ImageManifest };

/**
 * Reads an index or a manifest, whichever `mediaType` says it is.
 *
 * @param mediaType - What the registry's header or the descriptor called it.
 * @throws {@link ParseError} when it is neither, or is malformed.
 */
export function parseManifestDocument(bytes: Uint8Array, mediaType: string, origin: Origin): ManifestDocument {
  if (isIndex(mediaType)) return { type: 'index', index: parseIndex(bytes, origin, mediaType) };
  if (isManifest(mediaType)) return { type: 'manifest', manifest: parseManifest(bytes, origin, mediaType) };
  throw new ParseError({ ...origin, ...whyNoManifest(mediaType) });
}

function whyNoManifest(mediaType: string): { reason: string; remedy?: string } {
  if (/^application\/vnd\.docker\.distribution\.manifest\.v1\+/.test(mediaType)) return schema1;
  return { reason: `is of type ${mediaType}, which is neither an image manifest nor an index` };
}

const schema1 = {
  reason: 'is a Docker manifest of schema 1, which Docker itself gave up in 2024',
  remedy: 'Push it again with a current client',
};

/**
 * @param mediaType - What the descriptor or the registry called it; the document must not contradict.
 * @throws {@link ParseError} naming the field.
 */
export function parseIndex(bytes: Uint8Array, origin: Origin, mediaType?: string): ImageIndex {
  const json = parseJson(bytes, MAX_MANIFEST_BYTES, origin);
  const common = readCommon(json, mediaType ?? mediaTypes.ociIndex, mediaType !== undefined, isIndex, origin);
  // One document must not be an index to one reader and a manifest to another (CVE-2021-41190).
  for (const key of ['config', 'layers', 'fsLayers']) {
    if (json.at(key).present) json.fail(`is an index, but has ${key}, which belongs to a manifest`);
  }
  return { ...common, manifests: readList(json, 'manifests', readDescriptor) };
}

/**
 * @param mediaType - What the descriptor or the registry called it; the document must not contradict.
 * @throws {@link ParseError} naming the field.
 */
export function parseManifest(bytes: Uint8Array, origin: Origin, mediaType?: string): ImageManifest {
  const json = parseJson(bytes, MAX_MANIFEST_BYTES, origin);
  const common = readCommon(json, mediaType ?? mediaTypes.ociManifest, mediaType !== undefined, isManifest, origin);
  if (json.at('manifests').present) json.fail('is a manifest, but has manifests, which belongs to an index');
  if (json.at('fsLayers').present) throw new ParseError({ ...origin, ...schema1 });
  return { ...common, config: readDescriptor(json.at('config')), layers: readList(json, 'layers', readDescriptor) };
}

type Common = Omit<ImageIndex, 'manifests'>;

function readCommon(
  json: Json,
  announced: string,
  sure: boolean,
  fits: (mediaType: string) => boolean,
  origin: Origin,
): Common {
  const version = json.at('schemaVersion').count();
  if (version === 1) throw new ParseError({ ...origin, ...schema1 });
  if (version !== 2) json.at('schemaVersion').fail(`is ${version}, expected 2`);
  const mediaType = json.maybe('mediaType', readMediaType) ?? announced;
  if (!fits(mediaType) || (sure && mediaType !== announced)) {
    json.at('mediaType').fail(`is ${mediaType}, expected ${announced}`);
  }
  const annotations = json.maybe('annotations', value => value.map());
  const artifactType = json.maybe('artifactType', value => value.string());
  const subject = json.maybe('subject', readDescriptor);
  return {
    schemaVersion: 2,
    mediaType,
    ...(annotations && { annotations }),
    ...(artifactType ? { artifactType } : {}),
    ...(subject && { subject }),
  };
}

/** A list that must be there; Go writes an empty one as `null`. */
function readList<T>(json: Json, key: string, read: (item: Json) => T): T[] {
  return (
    json.maybe(key, value => value.items().map(read)) ??
    (json.has(key) ? [] : json.at(key).fail('is missing, expected a list'))
  );
}

/** @throws {@link ParseError} naming the field. */
export function parseConfig(bytes: Uint8Array, origin: Origin): ImageConfig {
  const json = parseJson(bytes, MAX_CONFIG_BYTES, origin);
  const rootfs = json.at('rootfs');
  const type = rootfs.at('type').string();
  if (type !== 'layers') rootfs.at('type').fail(`is ${JSON.stringify(type)}, expected "layers"`);
  return {
    os: json.at('os').string(),
    architecture: json.at('architecture').string(),
    ...readStrings(json, ['variant', 'os.version', 'created', 'author'] as const),
    config: json.maybe('config', readRunConfig) ?? {},
    rootfs: { type: 'layers', diff_ids: readList(rootfs, 'diff_ids', readDigest) },
    history: json.maybe('history', value => value.items().map(readHistory)) ?? [],
  };
}

function readRunConfig(json: Json): ImageRunConfig {
  const Labels = json.maybe('Labels', value => value.map());
  const Healthcheck = json.maybe('Healthcheck', readHealthcheck);
  return {
    ...readStrings(json, ['User', 'WorkingDir', 'StopSignal'] as const),
    ...readEach(json, ['Env', 'OnBuild'] as const, value => value.strings()),
    ...readEach(json, ['Entrypoint', 'Cmd', 'Shell'] as const, readCommand),
    ...readEach(json, ['ExposedPorts', 'Volumes'] as const, value => value.entries().map(([key]) => key)),
    ...(Labels && { Labels }),
    ...(Healthcheck && { Healthcheck }),
  };
}

/** Images of Docker's first years have a single string where a list is meant; Docker still reads them. */
function readCommand(json: Json): string[] {
  return json.isString ? [json.string()] : json.strings();
}

function readHealthcheck(json: Json): ImageHealthcheck {
  return {
    ...readEach(json, ['Test'] as const, value => value.strings()),
    ...readEach(json, ['Interval', 'Timeout', 'StartPeriod', 'StartInterval', 'Retries'] as const, value =>
      value.count(),
    ),
  };
}

function readHistory(json: Json): ImageHistory {
  return {
    ...readStrings(json, ['created', 'created_by', 'author', 'comment'] as const),
    ...readEach(json, ['empty_layer'] as const, value => value.boolean()),
  };
}

/** Strings that count as absent when empty, as in Go. */
function readStrings<K extends string>(json: Json, keys: readonly K[]): { [P in K]?: string } {
  const found = readEach(json, keys, value => value.string());
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== '')) as { [P in K]?: string };
}

function readEach<K extends string, T>(json: Json, keys: readonly K[], read: (value: Json) => T): { [P in K]?: T } {
  const found = keys.map(key => [key, json.maybe(key, read)] as const).filter(([, value]) => value !== undefined);
  return Object.fromEntries(found) as { [P in K]?: T };
}

/**
 * Checks that a manifest and its config speak of the same layers.
 *
 * @throws {@link ParseError} when their numbers differ.
 */
export function checkLayers(manifest: ImageManifest, config: ImageConfig, origin: Origin): void {
  const [layers, diffIds] = [manifest.layers.length, config.rootfs.diff_ids.length];
  if (layers === diffIds) return;
  throw new ParseError({ ...origin, reason: `its manifest has ${layers} layers, but its config has ${diffIds}` });
}

/**
 * The names of the stacks below each layer, lowest first; the last one names the whole.
 *
 * @see {@link https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md#layer-chainid | image-spec v1.1.1, config.md, Layer ChainID}
 */
export function chainIds(diffIds: readonly Digest[]): Digest[] {
  const chain: Digest[] = [];
  for (const diffId of diffIds) {
    const below = chain.at(-1);
    chain.push(below === undefined ? diffId : sha256(`${below} ${diffId}`));
  }
  return chain;
}
