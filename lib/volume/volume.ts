import type { AbortOptions, Labels } from '../types.js';

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
