import { chmodSync, chownSync, mkdirSync, statSync, type Stats } from 'node:fs';
import { dirname, join } from 'node:path';

import { errorCode, NotFoundError } from '../errors.js';
import type { Digest } from '../types.js';
import { attempt } from './failure.js';
import { Layers } from './layers.js';
import { checkId } from './records.js';
import type { OverlayRootfs, Preparation, Snapshotter } from './snapshots.js';
import type { Trash } from './trash.js';

/** Of an image without layers. overlayfs wants at least one lower directory. */
const EMPTY = 'empty';

/**
 * Snapshots for overlayfs: a directory per layer holding just what that layer has, so layers know nothing of each other
 * and are unpacked at the same time. A container is an upper directory on top of them, mounted by its monitor.
 */
export class OverlaySnapshotter implements Snapshotter {
  readonly driver = 'overlay';
  readonly independent = true;
  readonly #layers: Layers;
  readonly #containers: string;
  readonly #trash: Trash;

  constructor(layers: Layers, containers: string, trash: Trash) {
    this.#layers = layers;
    this.#containers = containers;
    this.#trash = trash;
  }

  has(chainId: Digest): boolean {
    return this.#layers.has(chainId);
  }

  list(): Digest[] {
    return this.#layers.list();
  }

  path(chainId: Digest): string {
    return this.#layers.path(chainId);
  }

  remove(chainId: Digest): boolean {
    return this.#layers.remove(chainId);
  }

  async prepare(chainId: Digest): Promise<Preparation> {
    return this.#layers.prepare(chainId, 'overlay', dir => makeDirectory(dir, { mode: 0o755 }));
  }

  lowers(chain: readonly Digest[]): string[] {
    return this.#names(chain).map(name => join(this.#layers.directory, name));
  }

  active(id: string, chain: readonly Digest[]): OverlayRootfs {
    checkId(id);
    const home = join(this.#containers, id);
    const [base, names, upper, work] = [
      this.#layers.directory,
      this.#names(chain),
      join(home, 'upper'),
      join(home, 'work'),
    ];
    const [top = EMPTY] = names;
    return attempt('snapshots.active', home, () => {
      // What is seen as the container's `/` is the upper directory: its owner and mode come from the image.
      makeOnce(upper, this.#stat(join(base, top), chain));
      makeOnce(work, { mode: 0o700 });
      return { kind: 'overlay', lowers: names.map(name => `${base}/${name}`), base, names, upper, work };
    });
  }

  removeActive(id: string): void {
    checkId(id);
    const home = join(this.#containers, id);
    attempt('snapshots.removeActive', home, () => {
      // Not rmdir(2), even when they are empty: what it frees may have to wait for the disk, and a rename does not.
      for (const name of ['upper', 'work']) this.#trash.discard(join(home, name));
    });
  }

  #names(chain: readonly Digest[]): string[] {
    return chain.length === 0 ? [EMPTY] : chain.map(chainId => Layers.nameOf(chainId)).reverse();
  }

  #stat(path: string, chain: readonly Digest[]): Stats {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat !== undefined) return stat;
    const [top] = chain.slice(-1);
    if (top === undefined) {
      mkdirSync(path, { mode: 0o755 });
      return statSync(path);
    }
    throw new NotFoundError({
      call: 'snapshots.active',
      kind: 'snapshot',
      ref: top,
      remedy: 'Pull or load the image again',
    });
  }
}

type Attributes = { readonly mode: number; readonly uid?: number; readonly gid?: number };

function makeOnce(path: string, attributes: Attributes): void {
  try {
    makeDirectory(path, attributes);
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return;
    if (errorCode(error) !== 'ENOENT') throw error;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    makeDirectory(path, attributes);
  }
}

/** Makes a directory with exactly this mode and owner, whatever the umask. */
function makeDirectory(path: string, { mode, uid, gid }: Attributes): void {
  mkdirSync(path, { mode: mode & 0o7777 });
  // Owner before mode: chown(2) clears setgid.
  if (uid !== undefined && gid !== undefined && (uid !== process.getuid?.() || gid !== process.getgid?.()))
    chownSync(path, uid, gid);
  chmodSync(path, mode & 0o7777);
}
