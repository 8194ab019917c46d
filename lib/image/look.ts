import type { Readable } from 'node:stream';

import { MAX_CONFIG_BYTES } from '../oci/image-spec.js';
import type { Store } from '../store/store.js';
import type { AbortOptions } from '../types.js';
import type { Catalog } from './catalog.js';
import type { HistoryStep } from './history.js';
import { toDockerImage, toImageInfo, type DockerImage, type ImageInfo, type Inspected } from './inspect.js';
import type { LintFinding } from './lint.js';
import type { ImageChange, MountedImage } from './mount.js';
import type { Resolver } from './resolve.js';

/** What an image tells of itself, by whatever it is called: what its handle hands on to. */
export class Look {
  readonly #store: Store;
  readonly #catalog: Catalog;
  readonly #resolver: Resolver;

  constructor(store: Store, catalog: Catalog, resolver: Resolver) {
    this.#store = store;
    this.#catalog = catalog;
    this.#resolver = resolver;
  }

  async inspect(ref: string): Promise<ImageInfo> {
    return toImageInfo(await this.#inspected(ref, 'image.inspect'));
  }

  async inspectDocker(ref: string): Promise<DockerImage> {
    const inspected = await this.#inspected(ref, 'image.inspect');
    const { snapshots } = this.#store;
    const lowers = snapshots.lowers(inspected.record.layers.map(layer => layer.chainId));
    return toDockerImage(inspected, { driver: snapshots.driver, lowers });
  }

  async history(ref: string): Promise<readonly HistoryStep[]> {
    const call = 'image.history';
    const { record, tags } = await this.#inspected(ref, call);
    const { historyOf } = await import('./history.js');
    return historyOf(record, tags, this.#resolver.resolve(record.config, call).config.history);
  }

  async toDockerfile(ref: string): Promise<string> {
    const { record, tags, raw } = await this.#inspected(ref, 'image.toDockerfile');
    const { toDockerfile } = await import('./dockerfile.js');
    return toDockerfile({ id: record.config, tags, raw });
  }

  async lint(ref: string): Promise<readonly LintFinding[]> {
    const { record, raw } = await this.#inspected(ref, 'image.lint');
    const { lintImage } = await import('./lint.js');
    return lintImage(raw, record.layers);
  }

  async mount(ref: string, options: AbortOptions): Promise<MountedImage> {
    const call = 'image.mount';
    const { mountImage } = await import('./mount.js');
    return mountImage(this.#store, this.#catalog.find(ref, call), { ...options, call });
  }

  async diff(from: string, to: string, options: AbortOptions): Promise<readonly ImageChange[]> {
    const call = 'images.diff';
    const { diffImages } = await import('./mount.js');
    return diffImages(this.#store, this.#catalog.find(from, call), this.#catalog.find(to, call), { ...options, call });
  }

  async export(ref: string, options: AbortOptions): Promise<Readable> {
    const call = 'image.export';
    const { exportImage } = await import('./mount.js');
    return exportImage(this.#store, this.#catalog.find(ref, call), { ...options, call });
  }

  async #inspected(ref: string, call: string): Promise<Inspected> {
    const record = this.#catalog.find(ref, call);
    const bytes = await this.#store.content.read(record.config, { maxBytes: MAX_CONFIG_BYTES });
    // It was checked before it was stored, and its digest just now.
    const raw = JSON.parse(bytes.toString()) as Record<string, unknown>;
    return { record, tags: this.#catalog.tagsOf(record), raw };
  }
}
