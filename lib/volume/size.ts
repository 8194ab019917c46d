import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { errorCode } from '../errors.js';
import type { AbortOptions } from '../types.js';

/** The bytes that a tree takes on disk, files with several names counted once. What vanishes meanwhile counts nothing. */
export async function sizeOf(path: string, { signal }: AbortOptions = {}): Promise<number> {
  const seen = new Set<string>();
  const pending = [path];
  let bytes = 0;
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    signal?.throwIfAborted();
    const stat = await gone(lstat(next));
    if (stat === undefined) continue;
    const key = `${stat.dev}:${stat.ino}`;
    if (!stat.isDirectory() && stat.nlink > 1 && seen.has(key)) continue;
    seen.add(key);
    bytes += stat.blocks * 512;
    if (!stat.isDirectory()) continue;
    for (const name of (await gone(readdir(next))) ?? []) pending.push(join(next, name));
  }
  return bytes;
}

async function gone<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
