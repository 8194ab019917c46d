import type { Readable } from 'node:stream';

import type { AbortOptions, Labels, Owned } from '../types.js';
import type { CreateVolumeOptions } from './options.js';

/** A frozen copy of what is known of a volume at one moment. */
export interface VolumeInfo {
  /** Unique in the store. */
  readonly name: string;
  /** Where its content is on the host. */
  readonly path: string;
  /** As they were given. */
  readonly labels: Labels;
  /** When it was made. */
  readonly createdAt: Date;
  /** Made for a container that named none, and gone with it. */
  readonly anonymous: boolean;
  /** As they were given: what is mounted in place of a directory of the store. */
  readonly driverOptions: Readonly<Record<string, string>>;
  /** Ids of the containers that mount it, running or not. */
  readonly usedBy: readonly string[];
}

/** @internal What a handle asks its collection for. */
export interface VolumeHome {
  inspect(name: string, call: string): VolumeInfo;
  remove(name: string, call: string, options: AbortOptions): Promise<void>;
  /** Removes without ever failing: what is left is reported as a warning. */
  dispose(name: string): Promise<void>;
  export(name: string, options: AbortOptions): Readable;
  import(name: string, source: Readable | AsyncIterable<Uint8Array>, options: AbortOptions): Promise<void>;
  clone(name: string, options: CreateVolumeOptions): Promise<Owned<Volume>>;
}

/** Files that outlive containers. */
export class Volume {
  /** Unique in the store. */
  readonly name: string;
  readonly #home: VolumeHome;

  /** @internal */
  constructor(name: string, home: VolumeHome) {
    this.name = name;
    this.#home = home;
  }

  /**
   * @returns What is known of it now, as a frozen copy.
   * @throws {@link NotFoundError} when it was removed.
   */
  async inspect(options: AbortOptions = {}): Promise<VolumeInfo> {
    options.signal?.throwIfAborted();
    return this.#home.inspect(this.name, 'volume.inspect');
  }

  /**
   * All that is in it, as a tar archive with owners, modes, times and attributes. What is written meanwhile may be in it or not.
   *
   * @returns A stream that fails with {@link NotFoundError} when the volume was removed, and that may be left early.
   */
  export(options: AbortOptions = {}): Readable {
    return this.#home.export(this.name, options);
  }

  /**
   * Unpacks a tar archive over what is in it. Files that are in both are replaced.
   *
   * @param source - The archive, as it is or compressed by gzip or zstd.
   * @throws {@link ParseError} when it is malformed, or names something outside; what came before it is there by then.
   */
  async import(source: Readable | AsyncIterable<Uint8Array>, options: AbortOptions = {}): Promise<void> {
    options.signal?.throwIfAborted();
    await this.#home.import(this.name, source, options);
  }

  /**
   * A new volume with the same content. Disposing removes it, the copy only.
   *
   * @param options - As for `volumes.create`. Default: a random name, and a copy that goes with this process.
   * @throws {@link ConflictError} when there is a volume of that name with something in it.
   */
  async clone(options: CreateVolumeOptions = {}): Promise<Owned<Volume>> {
    options.signal?.throwIfAborted();
    return this.#home.clone(this.name, options);
  }

  /**
   * Removes the volume and what is in it.
   *
   * @param options.force - Not to fail when it is gone already. Default `false`.
   * @throws {@link ConflictError} while containers mount it, running or not, with their ids in `usedBy`.
   */
  async remove(options: AbortOptions & { readonly force?: boolean } = {}): Promise<void> {
    options.signal?.throwIfAborted();
    try {
      await this.#home.remove(this.name, 'volume.remove', options);
    } catch (error) {
      if (options.force !== true || (error as { code?: unknown }).code !== 'CTR_NOT_FOUND') throw error;
    }
  }
}

/** @internal The handle that `create` returns. */
export class OwnedVolume extends Volume implements AsyncDisposable {
  readonly #dispose: () => Promise<void>;

  constructor(name: string, home: VolumeHome, created: boolean) {
    super(name, home);
    // One that was there before is not the caller's to throw away.
    this.#dispose = async () => (created ? home.dispose(name) : undefined);
  }

  /** Removes it, if this call created it. Never rejects: what could not be removed becomes a warning. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dispose();
  }
}
