import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import { errorCode } from '../errors.js';
import type { ResolvedImage } from '../image/resolve.js';
import { locateInLayers } from '../image/view.js';
import { nonce } from '../store/owner.js';
import type { Store } from '../store/store.js';

/** What every container gets mounted, and so needs a place for. */
const directories = ['dev', 'proc', 'sys'] as const;
const files = ['etc/hosts', 'etc/hostname', 'etc/resolv.conf'] as const;

/** By this programs tell that they are in a container; by the other, older ones what is mounted. */
const mark = '.dockerenv';
const mounted = { name: 'etc/mtab', target: '/proc/mounts' } as const;

/** All of it, by path: where there are no layers, these are no changes when they are new. */
export const initPaths: readonly string[] = [...directories, ...files, 'etc', mark, mounted.name];

/**
 * Thin layers between an image and its containers that hold the mount points which the image lacks. Without them each
 * start would make them in the container's own directory, where they would be taken for changes, and each removal would
 * have to delete them. Docker has such a layer for each container; ours is made once for each image.
 */
export class InitLayers {
  readonly #directory: string;
  readonly #known = new Map<string, string | undefined>();

  constructor(store: Store) {
    this.#directory = join(store.root, 'init');
  }

  /** Its directory, `undefined` for an image that lacks nothing. */
  for(image: ResolvedImage): string | undefined {
    const key = nameOf(image);
    if (!this.#known.has(key)) this.#known.set(key, this.#make(image, join(this.#directory, key)));
    return this.#known.get(key);
  }

  /** Removes those whose image is gone. */
  sweep(isThere: (name: string) => boolean): void {
    if (!existsSync(this.#directory)) return;
    for (const name of readdirSync(this.#directory)) {
      if (!isThere(name)) rmSync(join(this.#directory, name), { recursive: true, force: true });
    }
  }

  #make(image: ResolvedImage, path: string): string | undefined {
    const lacks = (name: string): boolean => locateInLayers(image.views, `/${name}`) === undefined;
    const missing = {
      directories: directories.filter(lacks),
      files: files.filter(lacks),
      mark: lacks(mark),
      mounted: lacks(mounted.name),
    };
    if (missing.directories.length + missing.files.length === 0 && !missing.mark && !missing.mounted) return undefined;
    if (existsSync(path)) return path;
    const aside = join(this.#directory, `.${nonce()}`);
    mkdirSync(aside, { recursive: true, mode: 0o755 });
    copyAttributes(locateInLayers(image.views, '/'), aside);
    for (const name of missing.directories) mkdirSync(join(aside, name), { mode: 0o755 });
    if (missing.files.length > 0 || missing.mounted) {
      mkdirSync(join(aside, 'etc'), { mode: 0o755 });
      copyAttributes(locateInLayers(image.views, '/etc'), join(aside, 'etc'));
    }
    for (const name of missing.files) writeFileSync(join(aside, name), '', { mode: 0o644 });
    if (missing.mounted) symlinkSync(mounted.target, join(aside, mounted.name));
    if (missing.mark) writeFileSync(join(aside, mark), '', { mode: 0o755 });
    try {
      renameSync(aside, path);
    } catch (error) {
      // Another process was faster, with the same.
      if (errorCode(error) !== 'ENOTEMPTY' && errorCode(error) !== 'EEXIST') throw error;
      rmSync(aside, { recursive: true, force: true });
    }
    return path;
  }
}

/** The name of an image's layer: the ChainID of its topmost, which stands for all its files. */
export function nameOf(image: Pick<ResolvedImage, 'chain'>): string {
  return image.chain.at(-1)?.replace(/^\w+:/, '') ?? 'scratch';
}

/** A directory in two layers shows the attributes of the upper one: they must not change by ours being there. */
function copyAttributes(from: string | undefined, to: string): void {
  if (from === undefined) return;
  const { mode, uid, gid } = statSync(from);
  if (uid !== 0 || gid !== 0) chownSync(to, uid, gid);
  chmodSync(to, mode & 0o7777);
}
