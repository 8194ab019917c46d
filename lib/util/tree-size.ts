import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { errorCode } from '../errors.js';
import type { AbortOptions } from '../types.js';

/** Directories looked into at a time. */
const AT_ONCE = 16;

/**
 * The bytes of the files in a tree, by their length: those with several names once, directories not at all, as Docker
 * counts. What vanishes meanwhile counts nothing.
 */
export async function treeBytes(path: string, { signal }: AbortOptions = {}): Promise<number> {
  const seen = new Set<string>();
  const pending = [path];
  let bytes = 0;
  const count = async (name: string): Promise<void> => {
    const stat = await gone(lstat(name));
    if (stat === undefined || stat.isDirectory()) return;
    const key = `${stat.dev}:${stat.ino}`;
    if (stat.nlink > 1 && seen.has(key)) return;
    seen.add(key);
    bytes += stat.size;
  };
  const look = async (directory: string): Promise<void> => {
    for (const entry of (await gone(readdir(directory, { withFileTypes: true }))) ?? []) {
      const name = join(directory, entry.name);
      if (entry.isDirectory()) pending.push(name);
      else await count(name);
    }
  };
  while (pending.length > 0) {
    signal?.throwIfAborted();
    await Promise.all(pending.splice(0, AT_ONCE).map(look));
  }
  return bytes;
}

async function gone<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}
