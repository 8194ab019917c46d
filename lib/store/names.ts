import { createHash } from 'node:crypto';
import { linkSync, readdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { errorCode } from '../errors.js';
import { fsyncDirectory } from '../util/files.js';
import { attempt } from './failure.js';
import type { Locks } from './locks.js';
import { formatOwner, isAlive, nonce, parseOwner, self } from './owner.js';

/** File names may have 255 bytes, and longer ones are cut and told apart by a digest. */
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
 * Names, each had by one id: a file per name, written aside and given its name by link(2), which only one process can.
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
      const text = print(name, id);
      const claimed = this.#make(path, text) || this.#locked(() => this.#repair(path, text));
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

  /**
   * Releases the names of an id together with what else is undone for it. A kill in between must not leave a name that
   * nobody has and nobody gets, because its claimer lives: so this process answers for it first.
   */
  releaseAll(names: readonly string[], id: string, undo: () => boolean): boolean {
    if (names.length === 0) return undo();
    return this.#locked(() => {
      const all = names.map(name => ({ name, path: this.#path(name), claim: read(this.#path(name)) }));
      const mine = all.filter(({ claim }) => claim?.id === id);
      for (const { name, path, claim } of mine)
        if (claim?.owner !== formatOwner(self())) this.#replace(path, print(name, id));
      const undone = undo();
      for (const { path } of mine) unlinkSync(path);
      return undone;
    });
  }

  resolve(name: string): string | undefined {
    const path = this.#path(name);
    return attempt('records.resolve', path, () => read(path)?.id) || undefined;
  }

  list(): Map<string, string> {
    const { directory } = this.#setup;
    const claims = attempt('records.names', directory, () => readdirSync(directory)).map(file =>
      read(join(directory, file)),
    );
    return new Map(claims.flatMap(claim => (claim === undefined || claim.id === '' ? [] : [[claim.name, claim.id]])));
  }

  /** Removes the names that nobody has and whose claimers are dead. Reads all of them. */
  sweep(): void {
    const { directory } = this.#setup;
    const stale = readdirSync(directory).filter(file => this.#isStale(read(join(directory, file))));
    if (stale.length === 0) return;
    this.#locked(() => {
      for (const path of stale.map(file => join(directory, file))) if (this.#isStale(read(path))) unlinkSync(path);
    });
  }

  #isStale(claim: Claim | undefined): boolean {
    return claim !== undefined && !this.#setup.known(claim.id) && !ownerLives(claim);
  }

  #repair(path: string, text: string): boolean {
    const claim = read(path);
    if (claim === undefined) return this.#make(path, text);
    if (!this.#isStale(claim)) return false;
    this.#replace(path, text);
    return true;
  }

  /** Makes the file; `false` when there is one. */
  #make(path: string, text: string): boolean {
    const aside = this.#write(text);
    try {
      linkSync(aside, path);
      return true;
    } catch (error) {
      if (errorCode(error) === 'EEXIST') return false;
      throw error;
    } finally {
      unlinkSync(aside);
    }
  }

  #replace(path: string, text: string): void {
    renameSync(this.#write(text), path);
  }

  #write(text: string): string {
    const aside = join(this.#setup.root, 'tmp', `name.tmp-${process.pid}-${nonce()}`);
    writeFileSync(aside, text, { flag: 'wx', mode: 0o600 });
    return aside;
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
  return JSON.stringify({ id, owner: formatOwner(self()), name } satisfies Claim);
}

function read(path: string): Claim | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return JSON.parse(text) as Claim;
  } catch {
    // A power cut may leave a name without content. Nobody has it then.
    return { id: '', owner: '', name: '' };
  }
}

function ownerLives(claim: Claim): boolean {
  const owner = parseOwner(claim.owner);
  return owner !== undefined && isAlive(owner);
}
