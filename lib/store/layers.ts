import { existsSync, readdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { errorCode } from '../errors.js';
import { algorithmOf, hexOf, isDigest } from '../oci/digest.js';
import type { Digest } from '../types.js';
import { attempt, attemptAsync } from './failure.js';
import { formatOwner, isAlive, nonce, parseOwner, self } from './owner.js';
import type { Preparation, Whiteouts } from './snapshots.js';
import type { Trash } from './trash.js';
import type { Unsynced } from './unsynced.js';

/** What is not finished yet is called this, and then its owner. */
const UNFINISHED = 'new.';

/** The directory in which a driver keeps its snapshots: each made aside, and renamed into place when it is whole. */
export class Layers {
  readonly directory: string;
  readonly #trash: Trash;
  readonly #unsynced: Unsynced;

  constructor(directory: string, trash: Trash, unsynced: Unsynced) {
    this.directory = directory;
    this.#trash = trash;
    this.#unsynced = unsynced;
  }

  /** Short, because overlayfs once had one page for all its options: nearly every ChainID is a sha256. */
  static nameOf(chainId: Digest): string {
    return algorithmOf(chainId) === 'sha256' ? hexOf(chainId) : chainId.replace(':', '-');
  }

  path(chainId: Digest): string {
    return join(this.directory, Layers.nameOf(chainId));
  }

  has(chainId: Digest): boolean {
    return statSync(this.path(chainId), { throwIfNoEntry: false }) !== undefined;
  }

  list(): Digest[] {
    return readdirSync(this.directory)
      .map(name => (name.includes('-') ? name.replace('-', ':') : `sha256:${name}`))
      .filter(isDigest);
  }

  remove(chainId: Digest): boolean {
    const path = this.path(chainId);
    return attempt('snapshots.remove', path, () => this.#trash.discard(path));
  }

  /** Makes a place aside; `make` puts there what the layer starts from. */
  async prepare(
    chainId: Digest,
    whiteouts: Whiteouts,
    make: (dir: string) => void | Promise<void>,
  ): Promise<Preparation> {
    const dir = join(this.directory, `${UNFINISHED}${formatOwner(self())}.${nonce()}`);
    const discard = (): void => this.#trash.tryDiscard(dir);
    const name = Layers.nameOf(chainId);
    try {
      await attemptAsync('snapshots.prepare', dir, async () => {
        await make(dir);
        this.#unsynced.expect(name);
      });
    } catch (error) {
      discard();
      throw error;
    }
    let ended = false;
    const abort = async (): Promise<void> => {
      if (!ended) discard();
      ended = true;
    };
    const commit = async (): Promise<void> => {
      if (ended) return;
      const first = attempt('snapshots.commit', dir, () => {
        this.#unsynced.committing(name);
        return move(dir, this.path(chainId));
      });
      ended = true;
      if (first) this.#unsynced.committed(name);
      else discard();
    };
    return { dir, whiteouts, commit, abort, [Symbol.asyncDispose]: abort };
  }

  /** Removes what dead processes did not finish, and what a power cut may have damaged. */
  sweep(): void {
    for (const { name, state } of this.#unsynced.list()) {
      const path = join(this.directory, name);
      if (state === 'distrusted') {
        this.#trash.discard(path);
        this.#unsynced.forget(name);
      } else if (state === 'forgotten' && existsSync(path)) this.#unsynced.committed(name);
    }
    for (const name of readdirSync(this.directory)) {
      if (!name.startsWith(UNFINISHED)) continue;
      const owner = parseOwner(name.slice(UNFINISHED.length, name.lastIndexOf('.')));
      if (owner === undefined || !isAlive(owner)) this.#trash.discard(join(this.directory, name));
    }
  }
}

/** Renames a directory; `false` when there is one of that name. */
function move(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOTEMPTY' || errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}
