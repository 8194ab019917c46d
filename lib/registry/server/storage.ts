import type { Descriptor } from '../../oci/descriptor.js';
import type { Digest } from '../../types.js';

/** A blob as a file that nobody changes any more. */
export interface StoredBlob {
  readonly path: string;
  readonly size: number;
}

/** A manifest or an index, to the byte. */
export interface StoredManifest {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly bytes: Buffer;
}

/**
 * What a registry can be served from. Synchronous: each question is a look-up in a directory or two, and a trip through the
 * thread pool costs more than that.
 */
export interface RegistryStorage {
  /** A blob of a repository. */
  blob(repository: string, digest: Digest): StoredBlob | undefined;
  /** By tag or digest. */
  manifest(repository: string, ref: string): StoredManifest | undefined;
  /** In any order; `undefined` when there is no such repository. */
  tags(repository: string): readonly string[] | undefined;
  /** In any order. */
  repositories(): readonly string[];
  /** What refers to a manifest, in any order. */
  referrers(repository: string, subject: Digest): readonly Descriptor[];
}
