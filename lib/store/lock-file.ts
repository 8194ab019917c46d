import { readdirSync, readlinkSync, symlinkSync, unlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

import { errorCode } from '../errors.js';
import { formatOwner, isAlive, nonce, parseOwner, self } from './owner.js';

/**
 * One lock between processes: a symbolic link, because symlink(2) makes name and content in one step that only one
 * process can win. The link's text is its owner and a nonce.
 *
 * A dead owner's lock is not removed by those who wait, for between looking and removing it may have become somebody
 * else's. It is *succeeded*: the next owner makes `<lock>.<nonce of the dead>`, which again only one can. So the links
 * form a chain, its last link is the owner, and a claim counts only if the chain's head was still the same afterwards.
 * Releasing removes the head first, which makes every late claim on the rest void.
 */
export class LockFile {
  readonly path: string;
  #chain: string[] = [];

  constructor(path: string) {
    this.path = path;
  }

  /** Takes the lock if it is free or its owner is dead. Never waits. */
  tryAcquire(): boolean {
    const mine = `${formatOwner(self())}.${nonce()}`;
    for (;;) {
      if (link(mine, this.path)) {
        this.#chain = [this.path];
        return true;
      }
      const head = target(this.path);
      if (head === undefined) continue;
      const found = this.#succeed(head, mine);
      if (found !== 'changed') return found === 'acquired';
    }
  }

  /** Lets go. Only for who has it. */
  release(): void {
    for (const path of this.#chain) unlink(path);
    this.#chain = [];
  }

  #succeed(head: string, mine: string): 'acquired' | 'held' | 'changed' {
    const chain = [this.path];
    for (let last = head; ;) {
      const next = `${this.path}.${nonceOf(last)}`;
      const successor = target(next);
      chain.push(next);
      if (successor !== undefined) {
        last = successor;
        continue;
      }
      if (ownerLives(last)) return 'held';
      if (!link(mine, next)) return 'changed';
      if (target(this.path) === head) {
        this.#chain = chain;
        return 'acquired';
      }
      unlink(next);
      return 'changed';
    }
  }
}

/** Removes what dead owners left in a directory of locks. */
export function sweepLocks(directory: string): void {
  const names = readdirSync(directory);
  const heads = new Set(names.map(name => name.split('.', 1)[0] ?? name));
  for (const head of heads) {
    const lock = new LockFile(join(directory, head));
    const text = target(lock.path);
    if (text !== undefined && ownerLives(text)) continue;
    if (!lock.tryAcquire()) continue;
    // Whoever finds one of these gone finds that its claim was void, too: the head has changed since.
    for (const name of names) if (name.startsWith(`${head}.`) && text === undefined) unlink(join(directory, name));
    lock.release();
  }
}

/** A name as part of a path, without the `.` that separates the links of a chain. */
export function lockName(name: string): string {
  return encodeURIComponent(name).replace(/\./g, '%2E');
}

/** Who has the lock, for messages: the pid, or `undefined` when it is free. */
export function lockHolder(path: string): number | undefined {
  const links = new Map<string, string>();
  try {
    for (const name of readdirSync(dirname(path))) {
      if (name === basename(path) || name.startsWith(`${basename(path)}.`))
        links.set(name, target(join(dirname(path), name)) ?? '');
    }
  } catch {
    // Only a message would have been made of it.
    return undefined;
  }
  let last = links.get(basename(path));
  for (let next = last; next !== undefined; next = links.get(`${basename(path)}.${nonceOf(next)}`)) last = next;
  return last === undefined ? undefined : ownerOf(last)?.pid;
}

function ownerOf(text: string): ReturnType<typeof parseOwner> {
  return parseOwner(text.slice(0, text.lastIndexOf('.')));
}

function ownerLives(text: string): boolean {
  const owner = ownerOf(text);
  // A link that is none of ours has nobody to come back for it.
  return owner !== undefined && isAlive(owner);
}

function nonceOf(text: string): string {
  return text.slice(text.lastIndexOf('.') + 1).replace(/[^0-9a-f]/g, '_');
}

/** Makes the link; `false` when there is one. */
function link(text: string, path: string): boolean {
  try {
    symlinkSync(text, path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

/** The link's text, `undefined` when there is no link. */
function target(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function unlink(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}
