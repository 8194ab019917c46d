import type { Digest, Labels } from '../types.js';

import { isDigest, whyNoDigest } from './digest.js';
import { Json, type Origin } from './json.js';

/** Where an image runs, as in image-spec v1.1.1, image-index.md, `platform`. */
export interface Platform {
  /** In Go's words: `linux`. */
  readonly os: string;
  /** In Go's words: `amd64`, `arm64`. */
  readonly architecture: string;
  /** Which kind of that processor: `v7`. */
  readonly variant?: string;
  /** Of Windows only. */
  readonly 'os.version'?: string;
  /** Of Windows only. */
  readonly 'os.features'?: readonly string[];
}

/**
 * What points at bytes.
 *
 * @see {@link https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md | image-spec v1.1.1, descriptor.md}
 */
export interface Descriptor {
  /** What kind of bytes they are. */
  readonly mediaType: string;
  /** Of exactly these bytes. */
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
  /** What somebody had to say about them. */
  readonly annotations?: Labels;
  /** Which machines an image is for; in an index. */
  readonly platform?: Platform;
  /** Where else the bytes may be had. We never follow these: the registry we were told to ask is the one we ask. */
  readonly urls?: readonly string[];
  /** What kind of artifact a manifest describes, when it is no image. */
  readonly artifactType?: string;
}

/** The media types of image-spec v1.1.1, media-types.md, and Docker's for the same things. */
export const mediaTypes = {
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociConfig: 'application/vnd.oci.image.config.v1+json',
  ociLayer: 'application/vnd.oci.image.layer.v1.tar',
  ociLayerGzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  ociLayerZstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
  ociEmpty: 'application/vnd.oci.empty.v1+json',
  dockerIndex: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
  dockerLayer: 'application/vnd.docker.image.rootfs.diff.tar',
  dockerLayerGzip: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  dockerLayerZstd: 'application/vnd.docker.image.rootfs.diff.tar.zstd',
  dockerForeignLayerGzip: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
} as const;

const layers: Readonly<Record<string, LayerCompression>> = {
  [mediaTypes.ociLayer]: 'none',
  [mediaTypes.ociLayerGzip]: 'gzip',
  [mediaTypes.ociLayerZstd]: 'zstd',
  // Deprecated by image-spec v1.1, still found in Windows images and in the wild.
  'application/vnd.oci.image.layer.nondistributable.v1.tar': 'none',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip': 'gzip',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd': 'zstd',
  [mediaTypes.dockerLayer]: 'none',
  [mediaTypes.dockerLayerGzip]: 'gzip',
  [mediaTypes.dockerLayerZstd]: 'zstd',
  'application/vnd.docker.image.rootfs.foreign.diff.tar': 'none',
  [mediaTypes.dockerForeignLayerGzip]: 'gzip',
};

/** How a layer's tar is packed. */
export type LayerCompression = 'none' | 'gzip' | 'zstd';

/** A list of manifests, one per platform. */
export function isIndex(mediaType: string): boolean {
  return mediaType === mediaTypes.ociIndex || mediaType === mediaTypes.dockerIndex;
}

/** The manifest of one image. */
export function isManifest(mediaType: string): boolean {
  return mediaType === mediaTypes.ociManifest || mediaType === mediaTypes.dockerManifest;
}

/** The configuration of one image. */
export function isConfig(mediaType: string): boolean {
  return mediaType === mediaTypes.ociConfig || mediaType === mediaTypes.dockerConfig;
}

/** A layer of a file tree. */
export function isLayer(mediaType: string): boolean {
  return Object.hasOwn(layers, mediaType);
}

/** What the media type claims; the bytes may differ, so whoever unpacks looks at them. `undefined` when it is no layer. */
export function layerCompression(mediaType: string): LayerCompression | undefined {
  return isLayer(mediaType) ? layers[mediaType] : undefined;
}

/** RFC 6838, section 4.2. */
const mediaTypePattern = /^[A-Za-z0-9][A-Za-z0-9!#$&\-^_.+]{0,126}\/[A-Za-z0-9][A-Za-z0-9!#$&\-^_.+]{0,126}$/;

/**
 * Checks a descriptor that was decoded from JSON.
 *
 * @param where - What it is part of, for the message: `index.json`.
 * @throws {@link ParseError} naming the field.
 */
export function parseDescriptor(value: unknown, where: string, call = 'parseDescriptor'): Descriptor {
  return readDescriptor(new Json(value, '', { call, source: where }));
}

/** Reads a descriptor inside a document. @internal */
export function readDescriptor(json: Json): Descriptor {
  const annotations = json.maybe('annotations', value => value.map());
  const platform = json.maybe('platform', readPlatform);
  const urls = json.maybe('urls', value => value.strings());
  const artifactType = json.maybe('artifactType', readMediaType);
  return {
    mediaType: readMediaType(json.at('mediaType')),
    digest: readDigest(json.at('digest')),
    size: json.at('size').count(),
    ...(annotations && { annotations }),
    ...(platform && { platform }),
    ...(urls && { urls }),
    ...(artifactType !== undefined && { artifactType }),
  };
}

/** @internal */
export function readDigest(json: Json): Digest {
  const text = json.string();
  return isDigest(text) ? text : json.fail(whyNoDigest(text));
}

/** @internal */
export function readMediaType(json: Json): string {
  const text = json.string();
  return mediaTypePattern.test(text) ? text : json.fail('is not a media type');
}

function readPlatform(json: Json): Platform {
  const variant = json.maybe('variant', value => value.string());
  const version = json.maybe('os.version', value => value.string());
  const features = json.maybe('os.features', value => value.strings());
  return {
    os: json.at('os').string(),
    architecture: json.at('architecture').string(),
    // Docker writes an empty variant where it means none.
    ...(variant ? { variant } : {}),
    ...(version ? { 'os.version': version } : {}),
    ...(features ? { 'os.features': features } : {}),
  };
}

/** Who reads, and what. */
export type { Origin };
