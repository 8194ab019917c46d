import { linkSync, readdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

import { errorCode } from '../errors.js';
import { formatOwner, isAlive, nonce, parseOwner, self } from './owner.js';

/** What is no lock is called this first; the names of locks have no dots. */
const TOKEN = '.';

/**
 * Whose locks they are: a file with the owner and a nonce, which a lock is a hard link to. Taking a lock makes a name and
 * nothing else then; a file of its own for each would cost most of the time on a file system with much coming and going.
 */
export class LockToken {
  readonly text = `${formatOwner(self())}.${nonce()}`;
  readonly #path: string;

  /** @param directory - Of the locks. */
  constructor(directory: string) {
    this.#path = join(directory, `${TOKEN}${this.text}`);
  }

  /** Gives the lock its name; `false` when it has it, from us or another. */
  link(path: string): boolean {
    try {
      linkSync(this.#path, path);
      return true;
    } catch (error) {
      if (errorCode(error) === 'EEXIST') return false;
      if (errorCode(error) !== 'ENOENT') throw error;
      writeFileSync(this.#path, this.text, { mode: 0o600 });
      return this.link(path);
    }
  }

  /** Takes the file away. Locks that are held stay held; the next one makes it anew. */
  close(): void {
    try {
      unlink(this.#path);
    } catch {
      // The disk refuses. The next sweep finds that its owner is dead.
    }
  }
}

/**
 * One lock between processes: a hard link, because link(2) makes a name that has its content from the first moment, in
 * one step that only one process can win.
 *
 * A dead owner's lock is not removed by those who wait, for between looking and removing it may have become somebody
 * else's. It is *succeeded*: the next owner makes `<lock>.<nonce of the dead>`, which again only one can. So the links
 * form a chain, its last link is the owner, and a claim counts only if the chain's head was still the same afterwards.
 * Releasing removes the head first, which makes every late claim on the rest void; the dead make no new heads.
 */
export class LockFile {
  readonly path: string;
  readonly #token: LockToken;
  #chain: string[] = [];

  constructor(path: string, token: LockToken) {
    this.path = path;
    this.#token = token;
  }

  /** Takes the lock if it is free or its owner is dead. Never waits. */
  tryAcquire(): boolean {
    for (;;) {
      if (this.#token.link(this.path)) {
        this.#chain = [this.path];
        return true;
      }
      const head = read(this.path);
      if (head === undefined) continue;
      const found = this.#succeed(head);
      if (found !== 'changed') return found === 'acquired';
    }
  }

  /** Lets go. Only for who has it. */
  release(): void {
    for (const path of this.#chain) unlink(path);
    this.#chain = [];
  }

  #succeed(head: string): 'acquired' | 'held' | 'changed' {
    const chain = [this.path];
    for (let last = head; ;) {
      const next = `${this.path}.${nonceOf(last)}`;
      const successor = read(next);
      chain.push(next);
      if (successor !== undefined) {
        last = successor;
        continue;
      }
      if (ownerLives(last)) return 'held';
      if (!this.#token.link(next)) return 'changed';
      if (read(this.path) === head) {
        this.#chain = chain;
        return 'acquired';
      }
      unlink(next);
      return 'changed';
    }
  }
}

/** Removes what dead owners left in a directory of locks. */
export function sweepLocks(directory: string, token: LockToken): void {
  const names = readdirSync(directory);
  const tokens = names.filter(name => name.startsWith(TOKEN));
  for (const name of tokens) if (!ownerLives(name.slice(TOKEN.length))) unlink(join(directory, name));
  const links = names.filter(name => !name.startsWith(TOKEN));
  for (const head of new Set(links.map(name => name.split('.', 1)[0] ?? name))) {
    const lock = new LockFile(join(directory, head), token);
    const text = read(lock.path);
    if ((text !== undefined && ownerLives(text)) || !lock.tryAcquire()) continue;
    // Whoever finds one of these gone finds that its claim was void, too: the head has changed since.
    if (text === undefined)
      links.filter(name => name.startsWith(`${head}.`)).forEach(name => unlink(join(directory, name)));
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
        links.set(name, read(join(dirname(path), name)) ?? '');
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

/** Whose it is; `undefined` when there is no such link. */
function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
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
