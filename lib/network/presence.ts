import { existsSync, mkdirSync, readdirSync, rmdirSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { errorCode } from '../errors.js';
import { formatOwner, isAlive, nonce, parseOwner, self } from '../store/owner.js';
import { Addresses } from './ipam.js';
import { Names } from './names.js';

/**
 * What is known of a network while it is up, under the run directory: whose addresses are in use (`addresses/`), which
 * engines use it (`users/`), and that its bridge is there (`up`).
 *
 * Whoever joins claims an address first and looks for `up` then; whoever takes the bridge down removes `up` first and
 * looks for claims then. So one of the two sees the other, without a lock on the way of a container's start.
 */
export class Presence {
  readonly addresses: Addresses;
  readonly names: Names;
  /** Where it is. */
  readonly directory: string;
  readonly #users: string;
  readonly #up: string;
  readonly #device: string;
  readonly #me = `${formatOwner(self())}.${nonce()}`;
  #using = false;

  constructor(directory: string, device: string) {
    this.directory = directory;
    this.#users = join(directory, 'users');
    this.#up = join(directory, 'up');
    this.#device = `/sys/class/net/${device}`;
    this.addresses = new Addresses(directory);
    this.names = new Names(directory);
  }

  /** The bridge is there. Somebody may have removed the device behind our back, so that is looked at, too. */
  isUp(): boolean {
    return existsSync(this.#up) && existsSync(this.#device);
  }

  /** There is something to take down, even if whoever put it up was killed before it said so. */
  isThere(): boolean {
    return existsSync(this.#up) || existsSync(this.#device);
  }

  /** This engine uses the network from now on: others do not take its bridge down. */
  use(): void {
    if (this.#using) return;
    mkdirSync(this.#users, { recursive: true, mode: 0o700 });
    writeFileSync(join(this.#users, this.#me), '');
    this.#using = true;
  }

  /** Returns whether it did. */
  leave(): boolean {
    if (!this.#using) return false;
    remove(join(this.#users, this.#me));
    this.#using = false;
    return true;
  }

  markUp(): void {
    mkdirSync(this.directory, { recursive: true, mode: 0o700 });
    writeFileSync(this.#up, '');
  }

  markDown(): void {
    remove(this.#up);
  }

  /** Engines that use it, dead ones swept. */
  users(): number {
    let living = 0;
    for (const name of list(this.#users)) {
      const owner = parseOwner(name.slice(0, name.lastIndexOf('.')));
      if (owner !== undefined && isAlive(owner)) living++;
      else remove(join(this.#users, name));
    }
    return living;
  }

  /** Releases addresses and names of containers that do not run, where nobody is there to start them. */
  sweep(isRunning: (container: string) => boolean): void {
    this.addresses.sweep(isRunning);
    const claimed = new Set(this.addresses.list().map(claim => claim.container));
    // The host's own have no address among the members'.
    this.names.sweep(container => container === 'host' || claimed.has(container));
  }

  /** Removes what is empty: who has claimed an address meanwhile keeps it. */
  removeEmpty(): void {
    for (const hint of ['next', 'next6']) remove(join(this.directory, hint));
    for (const directory of [join(this.directory, 'addresses'), this.#users, this.directory])
      removeDirectory(directory);
  }
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}

function removeDirectory(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(errorCode(error) ?? '')) throw error;
  }
}
