import { spawn } from 'node:child_process';
import { lstatSync, readdirSync, readlinkSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';

import { errorCode } from '../errors.js';
import { fsyncDirectory } from '../util/files.js';
import { self } from './owner.js';

/** A sync that has not ended after this long was killed. */
const PATIENCE_MS = 10 * 60 * 1000;

/**
 * Which snapshots the disk may not have yet.
 *
 * A kill cannot hurt a committed snapshot: its files are in the kernel's cache. A power cut can, and flushing a few
 * hundred megabytes before each commit would make every pull wait for the disk, for nothing in all cases but one. So a
 * mark with the boot's id is put on disk *before* unpacking starts, when there is nothing else to flush; after the commit
 * the file system is synced in the background, and then the mark goes. A mark of an earlier boot, found at open, means that
 * the power went in between: that snapshot is not trusted and is unpacked again from its blob, which was synced.
 */
export class Unsynced {
  readonly #directory: string;
  readonly #waiting = new Set<string>();
  #syncing = false;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Marks a snapshot that is about to be made, on disk before this returns. */
  expect(name: string): void {
    if (this.#mark(name)) fsyncDirectory(this.#directory);
  }

  /** A snapshot is about to get its place. Another process may have taken our common mark away meanwhile. */
  committing(name: string): void {
    this.#mark(name);
  }

  /** A snapshot has its place: syncs in the background, once for all that come meanwhile. */
  committed(name: string): void {
    this.#waiting.add(name);
    if (this.#syncing) return;
    this.#syncing = true;
    void this.#sync().finally(() => (this.#syncing = false));
  }

  /** What marks say of their snapshots. */
  list(): { readonly name: string; readonly state: 'distrusted' | 'syncing' | 'forgotten' }[] {
    return readdirSync(this.#directory).map(name => ({ name, state: this.#stateOf(name) }));
  }

  /** Takes a mark away. */
  forget(name: string): void {
    try {
      unlinkSync(join(this.#directory, name));
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error;
    }
  }

  #mark(name: string): boolean {
    try {
      symlinkSync(self().boot, join(this.#directory, name));
      return true;
    } catch (error) {
      // Marked by another who makes it, too, or who did and has not synced yet.
      if (errorCode(error) === 'EEXIST') return false;
      throw error;
    }
  }

  async #sync(): Promise<void> {
    while (this.#waiting.size > 0) {
      const names = [...this.#waiting];
      this.#waiting.clear();
      await syncAndForget(this.#directory, names);
    }
  }

  #stateOf(name: string): 'distrusted' | 'syncing' | 'forgotten' {
    const path = join(this.#directory, name);
    try {
      if (readlinkSync(path) !== self().boot) return 'distrusted';
      return Date.now() - lstatSync(path).mtimeMs < PATIENCE_MS ? 'syncing' : 'forgotten';
    } catch {
      // Gone meanwhile: then it was synced.
      return 'syncing';
    }
  }
}

/**
 * syncfs(2) by coreutils, and then the marks go. Nobody waits for it, and it outlives this process: marks of a snapshot
 * that is on disk would have the next boot unpack it again. Where it does not work they stay, and that is what happens.
 */
async function syncAndForget(directory: string, names: readonly string[]): Promise<void> {
  return new Promise(resolve => {
    const script = 'sync -f . && rm -f -- "$@"';
    const child = spawn('sh', ['-c', script, 'sh', ...names], { cwd: directory, stdio: 'ignore', detached: true });
    child.unref();
    child.on('error', () => resolve());
    child.on('close', () => resolve());
  });
}
