import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { errorCode, NotFoundError, SyscallError } from '../errors.js';
import type { Digest } from '../types.js';
import { attempt, attemptAsync } from './failure.js';
import type { Layers } from './layers.js';
import { checkId } from './records.js';
import type { PlainRootfs, Preparation, Snapshotter } from './snapshots.js';
import type { Trash } from './trash.js';

/**
 * Snapshots for hosts without overlayfs: each holds the whole tree up to its layer, copied from its parent, and so does
 * each container. Where the file system knows reflinks a copy costs names only; elsewhere it is as slow and large as it
 * sounds, and works anywhere.
 */
export class PlainSnapshotter implements Snapshotter {
  readonly driver = 'plain';
  readonly independent = false;
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

  async prepare(chainId: Digest, parent: Digest | undefined): Promise<Preparation> {
    if (parent !== undefined) this.#require('snapshots.prepare', parent);
    return this.#layers.prepare(chainId, 'delete', dir => this.#fill(dir, parent));
  }

  lowers(chain: readonly Digest[]): string[] {
    return chain.slice(-1).map(chainId => this.path(chainId));
  }

  async active(id: string, chain: readonly Digest[]): Promise<PlainRootfs> {
    checkId(id);
    const home = join(this.#containers, id);
    const dir = join(home, 'rootfs');
    if (exists(dir)) return { kind: 'plain', dir };
    const [top] = chain.slice(-1);
    if (top !== undefined) this.#require('snapshots.active', top);
    await attemptAsync('snapshots.active', dir, async () => {
      mkdirSync(home, { recursive: true, mode: 0o700 });
      // Aside, for a kill in the middle of the copy must not leave half a tree that looks like one.
      const aside = `${dir}.new`;
      this.#trash.discard(aside);
      await this.#fill(aside, top);
      renameSync(aside, dir);
    });
    return { kind: 'plain', dir };
  }

  removeActive(id: string): void {
    checkId(id);
    const dir = join(this.#containers, id, 'rootfs');
    attempt('snapshots.removeActive', dir, () => [dir, `${dir}.new`].forEach(path => this.#trash.discard(path)));
  }

  async #fill(dir: string, parent: Digest | undefined): Promise<void> {
    if (parent !== undefined) return copyTree(this.path(parent), dir);
    mkdirSync(dir);
    chmodSync(dir, 0o755);
  }

  #require(call: string, chainId: Digest): void {
    if (this.has(chainId)) return;
    throw new NotFoundError({ call, kind: 'snapshot', ref: chainId, remedy: 'Pull or load the image again' });
  }
}

/** `cp -a` keeps what a layer has: hard links, owners, devices, xattrs, holes, nanoseconds. Nothing in Node does. */
async function copyTree(from: string, to: string): Promise<void> {
  const complaint = await new Promise<string>((resolve, reject) => {
    const child = spawn('cp', ['-a', '--reflink=auto', '-T', '--', from, to], { stdio: ['ignore', 'ignore', 'pipe'] });
    let text = '';
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (text = (text + chunk).slice(0, 1000)));
    child.on('error', reject);
    child.on('close', code => resolve(code === 0 ? '' : text.trim() || `cp ended with ${code}`));
  });
  if (complaint === '') return;
  throw new SyscallError({
    call: 'snapshots.copy',
    stage: 'store',
    syscall: 'cp',
    errno: errnoOf(complaint),
    path: from,
    remedy: complaint,
  });
}

/** cp has no other way to say why. The text is for people; only a full disk is worth telling apart. */
function errnoOf(complaint: string): string {
  return complaint.includes('No space left on device') ? 'ENOSPC' : 'EIO';
}

function exists(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}
