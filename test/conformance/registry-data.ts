import { createHash, randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';

import { mediaTypes } from '../../lib/oci/descriptor.js';
import type { Digest } from '../../lib/types.js';

export type Algorithm = 'sha256' | 'sha512';

/** What a test pushes: blobs first, then manifests in this order. */
export interface Graph {
  readonly blobs: Map<Digest, Buffer>;
  readonly manifests: {
    readonly digest: Digest;
    readonly mediaType: string;
    readonly bytes: Buffer;
    readonly tag?: string;
  }[];
}

export interface Described {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly [field: string]: unknown;
}

export function digestOf(bytes: Buffer, algorithm: Algorithm = 'sha256'): Digest {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}` as Digest;
}

export interface ImageShape {
  readonly layers?: number;
  readonly compressed?: boolean;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly subject?: Described | undefined;
  readonly tag?: string | undefined;
  readonly algorithm?: Algorithm;
  /** More fields, which nobody knows. */
  readonly extra?: Readonly<Record<string, unknown>>;
  /** Descriptors carry their content. */
  readonly data?: boolean;
  /** Layers that are elsewhere. */
  readonly foreign?: readonly Described[];
  readonly layerType?: string;
  readonly emptyLayer?: boolean;
  readonly architecture?: string;
}

/** Random images and indexes of every kind that image-spec v1.1.1 knows. */
export class GraphMaker {
  readonly graph: Graph = { blobs: new Map(), manifests: [] };

  blob(bytes: Buffer, mediaType: string, { algorithm, data }: ImageShape = {}): Described {
    const digest = digestOf(bytes, algorithm);
    this.graph.blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length, ...(data === true && { data: bytes.toString('base64') }) };
  }

  image(shape: ImageShape = {}): Described {
    const { layers = 3, compressed = true, artifactType, foreign = [], emptyLayer = false } = shape;
    const isArtifact = artifactType !== undefined;
    const layerType = shape.layerType ?? (compressed ? mediaTypes.ociLayerGzip : mediaTypes.ociLayer);
    const made = Array.from({ length: layers }, () => {
      if (emptyLayer) return this.blob(Buffer.from('{}'), mediaTypes.ociEmpty, shape);
      const tar = randomBytes(2048);
      return this.blob(compressed ? gzipSync(tar) : tar, layerType, shape);
    });
    const diffIds = made.map(() => digestOf(randomBytes(8)));
    const { architecture = 'amd64' } = shape;
    const config = {
      architecture,
      os: 'linux',
      rootfs: { type: 'layers', diff_ids: diffIds },
      nonce: randomBytes(8).toString('hex'),
    };
    const configAt = isArtifact
      ? this.blob(Buffer.from('{}'), mediaTypes.ociEmpty, shape)
      : this.blob(Buffer.from(JSON.stringify({ ...config, ...shape.extra })), mediaTypes.ociConfig, shape);
    const manifest = {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      ...(isArtifact && { artifactType }),
      config: configAt,
      layers: [...foreign, ...made],
      ...(shape.subject !== undefined && { subject: shape.subject }),
      annotations: { ...shape.annotations, 'org.example.nonce': randomBytes(8).toString('hex') },
      ...shape.extra,
    };
    return this.#put(mediaTypes.ociManifest, manifest, shape);
  }

  index(manifests: readonly Described[], shape: ImageShape = {}): Described {
    const index = {
      schemaVersion: 2,
      mediaType: mediaTypes.ociIndex,
      ...(shape.artifactType !== undefined && { artifactType: shape.artifactType }),
      manifests,
      ...(shape.subject !== undefined && { subject: shape.subject }),
      annotations: { ...shape.annotations, 'org.example.nonce': randomBytes(8).toString('hex') },
      ...shape.extra,
    };
    return this.#put(mediaTypes.ociIndex, index, shape);
  }

  /** An image for each of two platforms, and their index. */
  platforms(shape: ImageShape = {}): Described {
    const each: ImageShape = { ...shape, tag: undefined, subject: undefined };
    const images = ['amd64', 'arm64'].map(architecture => ({
      ...this.image({ ...each, architecture }),
      platform: { os: 'linux', architecture },
    }));
    return this.index(images, shape);
  }

  #put(mediaType: string, document: object, { algorithm, tag }: ImageShape): Described {
    const bytes = Buffer.from(JSON.stringify(document));
    const digest = digestOf(bytes, algorithm);
    this.graph.manifests.push({ digest, mediaType, bytes, ...(tag !== undefined && { tag }) });
    return { mediaType, digest, size: bytes.length };
  }
}

const artifact = 'application/vnd.example.thing.v1';

/** Every kind of data that the upstream suite pushes, by its name there. */
export const kinds: readonly (readonly [
  string,
  (make: GraphMaker) => void,
  needs?: 'subject' | 'sha512' | 'foreignLayers' | 'artifactIndex',
])[] = [
  ['an image', make => void make.image({ tag: 'image' })],
  ['an image of uncompressed layers', make => void make.image({ tag: 'image', compressed: false })],
  [
    'an image with a manifest of 3.9 MB',
    make =>
      void make.image({
        tag: 'large',
        annotations: Object.fromEntries(Array.from({ length: 390 }, (_, i) => [`large-${i}`, 'A'.repeat(10_000)])),
      }),
  ],
  ['an index', make => void make.platforms({ tag: 'index' })],
  ['an index of indexes', make => void make.index([make.platforms(), make.platforms()], { tag: 'nested' })],
  ['an empty index', make => void make.index([], { tag: 'empty' })],
  ['an artifact', make => void make.image({ tag: 'artifact', artifactType: artifact, layers: 1, layerType: artifact })],
  [
    'an index of artifacts',
    make => void make.platforms({ tag: 'artifacts', artifactType: artifact, layers: 1 }),
    'artifactIndex',
  ],
  [
    'an artifact without layers',
    make => void make.image({ tag: 'bare', artifactType: artifact, layers: 1, emptyLayer: true }),
  ],
  ['descriptors with their data', make => void make.image({ tag: 'data', data: true })],
  [
    'layers that are elsewhere',
    make => {
      const away = (mediaType: string): Described => {
        const digest = digestOf(randomBytes(16));
        return { mediaType, digest, size: 12_345, urls: [`https://store.example.com/${digest}`] };
      };
      make.image({
        tag: 'foreign',
        layers: 1,
        foreign: [
          away('application/vnd.oci.image.layer.nondistributable.v1.tar+gzip'),
          away('application/vnd.oci.image.layer.nondistributable.v1.tar'),
        ],
      });
    },
    'foreignLayers',
  ],
  [
    'fields that nobody knows',
    make => void make.platforms({ tag: 'custom', extra: { 'org.example.custom': { deep: [1] } } }),
  ],
  ['an image without layers', make => void make.image({ tag: 'none', layers: 0 })],
  [
    'artifacts with a subject',
    make => {
      const subject = make.image({ tag: 'image' });
      make.image({ subject });
      make.image({
        subject,
        artifactType: artifact,
        layers: 1,
        tag: 'a1',
        annotations: { 'org.example.say': 'hello' },
      });
      make.image({ subject, artifactType: `${artifact}+other`, layers: 1, tag: 'a2' });
    },
    'subject',
  ],
  [
    'an index with a subject',
    make => {
      const subject = make.platforms({ tag: 'index' });
      make.platforms({
        subject,
        artifactType: artifact,
        layers: 1,
        tag: 'a',
        annotations: { 'org.example.say': 'hello' },
      });
    },
    'subject',
  ],
  [
    'an artifact whose subject is not there',
    make => {
      const subject = { mediaType: mediaTypes.ociManifest, digest: digestOf(randomBytes(16)), size: 123 };
      make.image({ subject, artifactType: artifact, layers: 1, tag: 'a' });
    },
    'subject',
  ],
  ['an index by sha512', make => void make.platforms({ algorithm: 'sha512' }), 'sha512'],
];
