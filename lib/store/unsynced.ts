import { spawn } from 'node:child_process';
import { readdirSync, readlinkSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';

import { errorCode } from '../errors.js';
import { fsyncDirectory } from '../util/files.js';
import { self } from './owner.js';

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

  /** Marks, and whether they are of this boot. What an earlier one marked is not to be trusted. */
  list(): { readonly name: string; readonly trusted: boolean }[] {
    return readdirSync(this.#directory).map(name => ({ name, trusted: this.#bootOf(name) === self().boot }));
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
      if (await syncFileSystem(this.#directory)) names.forEach(name => this.forget(name));
    }
  }

  #bootOf(name: string): string | undefined {
    try {
      return readlinkSync(join(this.#directory, name));
    } catch {
      // Gone meanwhile: then it was synced.
      return self().boot;
    }
  }
}

/**
 * syncfs(2) by coreutils. Nobody waits for it, this process's end neither: what is not told to be synced is synced again
 * after the next open. `false` when there is no such program.
 */
async function syncFileSystem(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const child = spawn('sync', ['-f', path], { stdio: 'ignore', detached: true });
    child.unref();
    child.on('error', () => resolve(false));
    child.on('close', code => resolve(code === 0));
  });
}
