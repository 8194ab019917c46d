import type { Digest } from '../types.js';

export type SnapshotDriver = 'overlay' | 'plain';

/** How deletions of lower files are written when a layer is unpacked. */
export type Whiteouts = 'overlay' | 'delete';

/** The root file system of a container, for the helper to mount. */
export type ActiveRootfs = OverlayRootfs | PlainRootfs;

export interface OverlayRootfs {
  readonly kind: 'overlay';
  /** Lower directories, top first, as absolute paths. */
  readonly lowers: readonly string[];
  /** Where all the lowers are: with this as working directory, `names` will do for them. */
  readonly base: string;
  /** The lowers again, relative to `base`, top first. */
  readonly names: readonly string[];
  readonly upper: string;
  readonly work: string;
}

export interface PlainRootfs {
  readonly kind: 'plain';
  /** The whole tree, the container's own. */
  readonly dir: string;
}

/** A layer being unpacked. Disposing without commit is abort. */
export interface Preparation extends AsyncDisposable {
  /** Unpack into this. */
  readonly dir: string;
  readonly whiteouts: Whiteouts;
  /**
   * Makes it a snapshot. When another process was faster, its snapshot stands, and this one goes: same ChainID, same
   * files.
   */
  commit(): Promise<void>;
  /** Throws it away. */
  abort(): Promise<void>;
}

/**
 * Unpacked layers, by ChainID, and the writable trees of containers on top of them.
 *
 * A snapshot is there whole or not at all: it is prepared aside and renamed into place, so a kill leaves nothing that
 * looks like one. It never changes afterwards. Several processes may prepare the same one; the first to commit wins.
 * A power cut cannot damage it either: see {@link Unsynced}.
 *
 * @see {@link https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md#layer-chainid | image-spec v1.1.1, config.md, Layer ChainID}
 */
export interface Snapshotter {
  readonly driver: SnapshotDriver;
  /** Layers of one image may be unpacked at the same time, in any order. */
  readonly independent: boolean;

  /** Whether the layer is unpacked. */
  has(chainId: Digest): boolean;
  /** All of them. */
  list(): Digest[];
  /** Where a snapshot is or would be. */
  path(chainId: Digest): string;

  /**
   * A directory to unpack a layer into. Where layers are not independent, `parent` must have been committed.
   *
   * @param parent - ChainID of the layer below, `undefined` for the lowest.
   */
  prepare(chainId: Digest, parent: Digest | undefined): Promise<Preparation>;

  /** The directories that make up a chain (lowest ChainID first, as in the image's configuration), top first. */
  lowers(chain: readonly Digest[]): string[];

  /**
   * Makes the writable tree of a container, or finds the one it has.
   *
   * @param chain - ChainIDs of its image, lowest first; empty for an image without layers.
   */
  active(id: string, chain: readonly Digest[]): ActiveRootfs | Promise<ActiveRootfs>;

  /** Takes the writable tree of a container away: out of sight at once, off the disk soon after. */
  removeActive(id: string): void;

  /** Takes a snapshot away. `false` when there is none. Whether anybody needs it is the caller's to know. */
  remove(chainId: Digest): boolean;
}
