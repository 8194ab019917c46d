import type { CredentialProvider } from '../registry/credentials.js';
import type { Store } from '../store/store.js';
import type { AbortOptions, Digest, EngineEvents, PlatformString } from '../types.js';
import type { RegistryAccess } from './registries.js';
import type { ImageUser } from './removal.js';

/** What a pull may be told. */
export interface PullOptions extends AbortOptions {
  /** Which of several. Default: the engine's, which is the host's. */
  readonly platform?: PlatformString;
  /** Instead of the engine's. */
  readonly credentials?: CredentialProvider;
  /** Layers at a time. Default `3`, as dockerd and containerd. */
  readonly concurrency?: number;
}

/** Events that images cause. */
export type ImageEvents = Pick<
  EngineEvents,
  | 'image:pull'
  | 'image:push'
  | 'image:load'
  | 'image:import'
  | 'image:save'
  | 'image:tag'
  | 'image:untag'
  | 'image:remove'
>;

/** How an archive is loaded. */
export interface LoadImageOptions extends AbortOptions {
  /** Which image of an index. Default: the engine's. */
  readonly platform?: PlatformString;
}

/** How an image is copied. */
export interface CopyOptions extends AbortOptions {
  /** Of an index, the image for this one, or `all` of it. Default: the engine's. */
  readonly platform?: PlatformString | 'all';
  /** Instead of the engine's, for registries on both sides. */
  readonly credentials?: CredentialProvider;
}

/** When the registry is asked: never, when the image is missing, always, or always and pulled only when it has another one. */
export type PullPolicy = 'always' | 'missing' | 'newer' | 'never';

/** @internal */
export interface ObtainOptions extends AbortOptions {
  readonly call: string;
  /** Default `'missing'`. */
  readonly policy?: PullPolicy;
  readonly platform?: PlatformString;
}

/** How the events of images reach whoever listens. */
export type EmitImage = <K extends keyof ImageEvents>(type: K, event: ImageEvents[K][0]) => void;

/** What the collection gets from the engine. */
export interface ImageCollectionOptions extends RegistryAccess {
  readonly store: Store;
  /** Default: the host's. */
  readonly platform?: PlatformString;
  readonly emit?: EmitImage;
  /** Who uses an image. Default: nobody. */
  readonly usedBy?: (id: Digest) => readonly ImageUser[];
  /** A layer that unpacks to more is refused. Default 64 GiB. */
  readonly maxLayerBytes?: number;
  /**
   * A layer that unpacks to more than so many times its own size is refused, from 1 GiB on. gzip cannot do more than 1032;
   * zstd can, and nobody does in earnest. Default 2000.
   */
  readonly maxLayerRatio?: number;
}
