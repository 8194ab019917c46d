import type { Descriptor } from '../oci/descriptor.js';
import type { Digest, Labels, PlatformString } from '../types.js';

/** A blob in the store. */
export type BlobRecord = Pick<Descriptor, 'mediaType' | 'digest' | 'size'>;

/** What unpacking a layer showed, and what its directory does not show to Node. */
export interface LayerFacts {
  /** Of the files in it. */
  readonly bytes: number;
  /** Directories, relative to the root, that hide all that lower layers have in them: their mark is an xattr. */
  readonly opaque: readonly string[];
}

/** One layer of an image in the store. */
export interface LayerRecord extends LayerFacts {
  /** The blob as it was transferred, compressed or not. */
  readonly blob: BlobRecord;
  /** The digest of the tar archive inside. */
  readonly diffId: Digest;
  /** The stack up to and including this layer: the snapshot's key. */
  readonly chainId: Digest;
}

/**
 * What the store knows of an image: a file under `images/`. Its tags are claimed names of the store; everything else is in
 * the blobs.
 */
export interface ImageRecord {
  /** {@link ImageRecord.config} as the name of a directory. */
  readonly id: string;
  /** What Docker calls the image id. */
  readonly config: Digest;
  readonly manifest: BlobRecord;
  readonly platform: PlatformString;
  /** What registries called it: `docker.io/library/alpine@sha256:…`. */
  readonly repoDigests: readonly string[];
  /** Lowest first. */
  readonly layers: readonly LayerRecord[];
  readonly labels: Labels;
  /** RFC 3339, as the config says it. */
  readonly created?: string;
  /** When it was last pulled, loaded or given a tag. RFC 3339. */
  readonly updated: string;
  /** What an image made from the host was made of: see `fromHost`. */
  readonly inputs?: Digest;
}

/** The id under which an image is recorded: nearly every config's digest is a sha256. */
export function recordId(config: Digest): string {
  return config.startsWith('sha256:') ? config.slice(7) : config.replace(':', '-');
}
