import type { Readable } from 'node:stream';

import type { Descriptor } from '../oci/descriptor.js';
import type { AbortOptions, Digest, Operation, Owned, PlatformString } from '../types.js';
import type { HistoryStep } from './history.js';
import type { ImageCollection } from './images.js';
import type { DockerImage, ImageInfo } from './inspect.js';
import type { LintFinding } from './lint.js';
import type { MountedImage } from './mount.js';
import type { PushOptions, PushProgress } from './push.js';
import type { ImageRecord } from './record.js';
import type { SaveOptions } from './save.js';

/**
 * An image in the store. A handle: what may change, such as tags, is asked for with {@link Image.inspect}.
 */
export class Image {
  /** Digest of the config, what Docker calls the image id. */
  readonly id: Digest;
  /** Digest of the manifest. */
  readonly digest: Digest;
  /** What it runs on. */
  readonly platform: PlatformString;
  readonly #images: ImageCollection;

  private constructor(images: ImageCollection, record: ImageRecord) {
    this.#images = images;
    this.id = record.config;
    this.digest = record.manifest.digest;
    this.platform = record.platform;
  }

  /** @internal */
  static of(images: ImageCollection, record: ImageRecord): Image {
    return new Image(images, record);
  }

  /**
   * What is known of it now.
   *
   * @throws {@link NotFoundError} when it was removed.
   */
  async inspect(options: AbortOptions = {}): Promise<ImageInfo> {
    options.signal?.throwIfAborted();
    return this.#images.look.inspect(this.id);
  }

  /** The same in the words of `docker image inspect`. */
  async inspectDocker(options: AbortOptions = {}): Promise<DockerImage> {
    options.signal?.throwIfAborted();
    return this.#images.look.inspectDocker(this.id);
  }

  /** How it came about, the last step first, as `docker history` lists it. */
  async history(options: AbortOptions = {}): Promise<readonly HistoryStep[]> {
    options.signal?.throwIfAborted();
    return this.#images.look.history(this.id);
  }

  /**
   * Writes it to an archive, byte for byte as it is here, without a name: {@link ImageCollection.save} gives it those that
   * it is asked for by.
   */
  save(options: Omit<SaveOptions, 'platform'> = {}): Readable {
    return this.#images.save(this.id, options);
  }

  /**
   * Its files as one read-only directory, for scanners and the like, until it is disposed of or this process ends. No mount
   * appears among the host's: the path leads through a helper process.
   *
   * @throws {@link NotFoundError} when the image, or a layer of it, was removed.
   */
  async mount(options: AbortOptions = {}): Promise<Owned<MountedImage>> {
    return this.#images.look.mount(this.id, options);
  }

  /** Its files as one tar archive, without layers, as `docker export` writes those of a container. */
  async export(options: AbortOptions = {}): Promise<Readable> {
    return this.#images.look.export(this.id, options);
  }

  /** Its layers, lowest first: what was transferred, what was in it, and how large. */
  async layers(options: AbortOptions = {}): Promise<ImageInfo['layers']> {
    return (await this.inspect(options)).layers;
  }

  /** How it came about as a Dockerfile, as far as its history tells. For reading: what was copied is not named in it. */
  async toDockerfile(options: AbortOptions = {}): Promise<string> {
    options.signal?.throwIfAborted();
    return this.#images.look.toDockerfile(this.id);
  }

  /** What in its configuration is legal and yet seldom meant: root, secrets, an entrypoint that swallows the command. */
  async lint(options: AbortOptions = {}): Promise<readonly LintFinding[]> {
    options.signal?.throwIfAborted();
    return this.#images.look.lint(this.id);
  }

  /** Gives it one more name. An image that had that name loses it. */
  async tag(ref: string, options: AbortOptions = {}): Promise<void> {
    await this.#images.tag(this.id, ref, options);
  }

  /**
   * Takes a name from it. The image stays, also without any.
   *
   * @throws {@link NotFoundError} when it does not have that name.
   */
  async untag(ref: string, options: AbortOptions = {}): Promise<void> {
    await this.#images.untag(this.id, ref, options);
  }

  /**
   * Removes it with all its names; what no other image needs is deleted.
   *
   * @param options.force - Also when it has names in several repositories, or stopped containers use it. Default `false`.
   * @throws {@link ConflictError} saying who uses it.
   */
  async remove(options: AbortOptions & { readonly force?: boolean } = {}): Promise<void> {
    await this.#images.remove(this.id, options);
  }

  /**
   * Pushes it under a name, whether or not it has that here: see {@link ImageCollection.push}.
   *
   * @returns What the registry has now under that name.
   */
  push(ref: string, options: PushOptions = {}): Operation<Descriptor, PushProgress> {
    return this.#images.pushAs(this.id, ref, options);
  }

  /** Its id. */
  toString(): string {
    return this.id;
  }
}
