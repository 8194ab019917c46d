import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/**
 * Writes a file whole or not at all: aside, fsync, rename, fsync of the directory. Synchronous on purpose: a record is a
 * few hundred bytes, and a trip through the thread pool costs more than the write.
 *
 * @param options.durable - `false` leaves out both fsyncs: still atomic, but a power cut may lose it.
 * @param options.aside - The directory for the unfinished file, on the same file system. Default: that of the path.
 */
export function writeFileAtomic(
  path: string,
  data: string | Uint8Array,
  options: { mode?: number; durable?: boolean; aside?: string } = {},
): void {
  const { mode = 0o600, durable = true, aside = dirname(path) } = options;
  const temporary = join(aside, `${basename(path)}.tmp-${process.pid}-${randomBytes(4).toString('hex')}`);
  try {
    const fd = openSync(temporary, 'wx', mode);
    try {
      writeWhole(fd, data);
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

/** A disk that fills up takes a part and says so only at the next write. */
function writeWhole(fd: number, data: string | Uint8Array): void {
  let rest: Uint8Array = typeof data === 'string' ? Buffer.from(data) : data;
  while (rest.length > 0) rest = rest.subarray(writeSync(fd, rest));
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
