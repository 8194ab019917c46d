import { spawn } from 'node:child_process';
import { chmodSync, lstatSync, mkdirSync, readdirSync, renameSync } from 'node:fs';
import { readdir, rm, rmdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';

import { errorCode } from '../errors.js';
import { nonce } from './owner.js';

/** Hears of what could not be done and is left for later. */
export type Warn = (message: string, error?: unknown) => void;

/**
 * Where trees go to be deleted. Moving one here is one rename(2), so nobody waits for a million files to go, and what a
 * kill leaves behind goes at the next open.
 */
export class Trash {
  readonly #directory: string;
  readonly #warn: Warn;
  readonly #going = new Set<Promise<void>>();
  #measuring: Promise<void> = Promise.resolve();

  constructor(directory: string, warn: Warn) {
    this.#directory = directory;
    this.#warn = warn;
  }

  /** Takes a tree out of sight now and deletes it in the background. `false` when there is no such tree. */
  discard(path: string): boolean {
    const away = join(this.#directory, nonce());
    if (!this.#move(path, away)) return false;
    this.#track(this.#removeAll([away]));
    return true;
  }

  /** {@link Trash.discard} that says how many bytes of disk that gave back, when it has. `undefined` when there is no such tree. */
  discardMeasured(path: string): Promise<number> | undefined {
    const away = join(this.#directory, nonce());
    if (!this.#move(path, away)) return undefined;
    const measured = this.#measuring.then(() => sizeOf(away));
    // One after the other: a process for each of a hundred layers at once would be felt.
    this.#measuring = measured.then(() => {});
    this.#track(measured.then(() => this.#removeAll([away])));
    return measured;
  }

  /** {@link Trash.discard} on the way out of something else, whose failure must not be hidden by this one. */
  tryDiscard(path: string): void {
    try {
      this.discard(path);
    } catch (error) {
      this.#warn(`store: ${path}: could not be taken away, and stays until the next open`, error);
    }
  }

  /** Deletes what earlier processes left here. */
  sweep(): void {
    const left = readdirSync(this.#directory).map(name => join(this.#directory, name));
    if (left.length > 0) this.#track(this.#removeAll(left));
  }

  /** Resolves when nothing is being deleted any more. */
  async idle(): Promise<void> {
    while (this.#going.size > 0) await Promise.all(this.#going);
  }

  #move(path: string, away: string): boolean {
    try {
      renameSync(path, away);
      return true;
    } catch (error) {
      switch (errorCode(error)) {
        case 'ENOENT':
          return false;
        case 'EACCES':
        case 'EPERM':
          // A directory that its owner may not write cannot change its parent, because of its `..`.
          if (!makeWritable(path)) throw error;
          renameSync(path, away);
          return true;
        default:
          throw error;
      }
    }
  }

  #track(work: Promise<void>): void {
    const going = work.finally(() => this.#going.delete(going));
    this.#going.add(going);
  }

  async #removeAll(paths: readonly string[]): Promise<void> {
    for (const path of paths) {
      try {
        await removeTree(path);
      } catch (error) {
        this.#warn(`store: ${path}: could not be deleted, and stays until the next open`, error);
      }
    }
  }
}

/**
 * Deletes a tree outside the event loop, and not what may be mounted in it. Directories that their owner made unwritable
 * are opened first; root needs no permission.
 */
export async function removeTree(path: string): Promise<void> {
  if (await removeSmall(path)) return;
  let failed = await run('rm', await removeArguments(path));
  if (failed !== undefined && process.getuid?.() !== 0) {
    await run('chmod', ['-R', 'u+rwX', '--', path]);
    failed = await run('rm', await removeArguments(path));
  }
  if (failed === undefined) return;
  if (errorCode(failed) !== 'ENOENT') throw failed;
  await rm(path, { recursive: true, force: true });
}

/** Up to this many entries a tree goes in less time than it takes to start a process. */
const SMALL = 64;

/** What a short-lived container leaves is a handful of files. `false`: it is larger, or resists; the thorough way tells which. */
async function removeSmall(path: string): Promise<boolean> {
  try {
    const entries = await listSmall(path);
    if (entries === undefined) return false;
    await Promise.all(entries.filter(entry => !entry.directory).map(entry => unlink(entry.path)));
    for (const entry of entries.reverse()) if (entry.directory) await rmdir(entry.path);
    return true;
  } catch {
    return false;
  }
}

interface Entry {
  readonly path: string;
  readonly directory: boolean;
}

/** Everything in a tree, parents first; `undefined` when it is more than {@link SMALL}, or on more than one file system. */
async function listSmall(path: string): Promise<Entry[] | undefined> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return [];
  const entries: Entry[] = [{ path, directory: stat.isDirectory() }];
  // The list grows while it is walked.
  for (const { path: parent, directory } of entries) {
    if (!directory) continue;
    if (lstatSync(parent).dev !== stat.dev) return undefined;
    for (const child of await readdir(parent, { withFileTypes: true })) {
      entries.push({ path: join(parent, child.name), directory: child.isDirectory() });
      if (entries.length > SMALL) return undefined;
    }
  }
  return entries;
}

let staysOnFileSystem: Promise<boolean> | undefined;

/** BusyBox's rm has no `--one-file-system`. */
async function removeArguments(path: string): Promise<string[]> {
  staysOnFileSystem ??= run('rm', ['-f', '--one-file-system']).then(failed => failed === undefined);
  return ['-rf', ...((await staysOnFileSystem) ? ['--one-file-system'] : []), '--', path];
}

function makeWritable(path: string): boolean {
  try {
    chmodSync(path, 0o700);
    return true;
  } catch {
    // Not ours: the first error says so.
    return false;
  }
}

/** Bytes on disk, of a file or of all that is below a directory. 0 where there is no `du`: it is only told. */
async function sizeOf(path: string): Promise<number> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory() !== true) return (stat?.blocks ?? 0) * 512;
  return new Promise(resolve => {
    const child = spawn('du', ['-skx', '--', path], { stdio: ['ignore', 'pipe', 'ignore'] });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    child.on('error', () => resolve(0));
    child.on('close', () => resolve((Number.parseInt(text, 10) || 0) * 1024));
  });
}

/** Runs a program to its end; what it complained of, `undefined` when all went well. */
async function run(program: string, args: readonly string[]): Promise<unknown> {
  return new Promise(resolve => {
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let complaint = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint = (complaint + text).slice(0, 1000)));
    child.on('error', resolve);
    child.on('close', code => {
      resolve(code === 0 ? undefined : Object.assign(new Error(complaint.trim()), { code: `${program} ${code}` }));
    });
  });
}

/** Makes a directory, and what is above it, unless it is there. */
export function ensureDirectory(path: string, mode = 0o700): void {
  mkdirSync(path, { recursive: true, mode });
}
