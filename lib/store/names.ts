import { createHash } from 'node:crypto';
import { readdirSync, readlinkSync, renameSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';

import { errorCode } from '../errors.js';
import { fsyncDirectory } from '../util/files.js';
import { attempt } from './failure.js';
import type { Locks } from './locks.js';
import { formatOwner, isAlive, nonce, parseOwner, self } from './owner.js';

/** A link's text holds name, id and owner; a file name at most 255 bytes, and encoding may treble it. */
const LONG = 200;

interface NamesSetup {
  readonly root: string;
  readonly directory: string;
  readonly locks: Locks;
  /** Whether a record has been written for the id. */
  readonly known: (id: string) => boolean;
}

interface Claim {
  readonly name: string;
  readonly id: string;
  readonly owner: string;
}

/**
 * Names, each had by one id: a symbolic link per name, which only one process can make.
 *
 * A claim stands while there is a record for its id, or the process that made it lives: it is about to write one. A
 * claim with neither is what a kill left, and goes to the next who asks, under a lock, so that it goes to one.
 */
export class Names {
  readonly #setup: NamesSetup;
  readonly #lock: string;

  constructor(setup: NamesSetup) {
    this.#setup = setup;
    this.#lock = `names-${setup.directory.slice(setup.directory.lastIndexOf('/') + 1)}`;
  }

  claim(name: string, id: string, durable: boolean): boolean {
    const path = this.#path(name);
    return attempt('records.claim', path, () => {
      const claimed = link(print(name, id), path) || this.#locked(() => this.#repair(path, print(name, id)));
      if (claimed && durable) fsyncDirectory(this.#setup.directory);
      return claimed;
    });
  }

  assign(name: string, id: string, durable: boolean): void {
    const path = this.#path(name);
    attempt('records.assign', path, () => {
      this.#locked(() => this.#replace(path, print(name, id)));
      if (durable) fsyncDirectory(this.#setup.directory);
    });
  }

  release(name: string, id: string | undefined): boolean {
    const path = this.#path(name);
    return attempt('records.release', path, () =>
      this.#locked(() => {
        const claim = read(path);
        if (claim === undefined || (id !== undefined && claim.id !== id)) return false;
        unlinkSync(path);
        return true;
      }),
    );
  }

  /** Makes this process the owner of a name, if the id has it. */
  adopt(name: string, id: string): void {
    const path = this.#path(name);
    this.#locked(() => {
      if (read(path)?.id === id) this.#replace(path, print(name, id));
    });
  }

  resolve(name: string): string | undefined {
    const path = this.#path(name);
    return attempt('records.resolve', path, () => read(path)?.id);
  }

  list(): Map<string, string> {
    const { directory } = this.#setup;
    const claims = attempt('records.names', directory, () => readdirSync(directory)).map(file =>
      read(join(directory, file)),
    );
    return new Map(claims.flatMap(claim => (claim === undefined ? [] : [[claim.name, claim.id]])));
  }

  #repair(path: string, text: string): boolean {
    const claim = read(path);
    if (claim === undefined) return link(text, path);
    if (this.#setup.known(claim.id) || ownerLives(claim)) return false;
    this.#replace(path, text);
    return true;
  }

  #replace(path: string, text: string): void {
    const aside = join(this.#setup.root, 'tmp', `name.tmp-${process.pid}-${nonce()}`);
    symlinkSync(text, aside);
    renameSync(aside, path);
  }

  #locked<T>(step: () => T): T {
    return this.#setup.locks.during(this.#lock, step);
  }

  #path(name: string): string {
    if (name === '') throw new TypeError('store: a name must not be empty');
    const encoded = encodeURIComponent(name).replace(/^\./, '%2E');
    if (encoded.length <= LONG) return join(this.#setup.directory, encoded);
    return join(this.#setup.directory, `${encoded.slice(0, 100)}%${createHash('sha256').update(name).digest('hex')}`);
  }
}

function print(name: string, id: string): string {
  return `${id}/${formatOwner(self())}/${encodeURIComponent(name)}`;
}

function read(path: string): Claim | undefined {
  try {
    const [id = '', owner = '', name = ''] = readlinkSync(path).split('/');
    return { id, owner, name: decodeURIComponent(name) };
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function ownerLives(claim: Claim): boolean {
  const owner = parseOwner(claim.owner);
  return owner !== undefined && isAlive(owner);
}

function link(text: string, path: string): boolean {
  try {
    symlinkSync(text, path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}
