import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Writes a file whole or not at all: aside, fsync, rename, fsync of the directory. Synchronous on purpose: a record is a
 * few hundred bytes, and a trip through the thread pool costs more than the write.
 *
 * @param options.durable - `false` leaves out both fsyncs: still atomic, but a power cut may lose it.
 */
export function writeFileAtomic(path: string, data: string | Uint8Array, options: { mode?: number; durable?: boolean } = {}): void {
  const { mode = 0o600, durable = true } = options;
  const temporary = `${path}.tmp-${process.pid}-${randomBytes(4).toString('hex')}`;
  try {
    const fd = openSync(temporary, 'wx', mode);
    try {
      writeSync(fd, data as string);
      if (durable) fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
  } catch (error) {
    try {
      unlinkSync(temporary);
    } catch {
      // It was not there, or was renamed: the error that matters is the first one.
    }
    throw error;
  }
  if (durable) fsyncDirectory(dirname(path));
}

/** Makes the names in a directory survive a power cut. */
export function fsyncDirectory(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
