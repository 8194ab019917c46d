import { createHash } from 'node:crypto';
import { createReadStream, lstatSync, readlinkSync, type Stats } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join, posix } from 'node:path';

import { decompress } from '../archive/compression.js';
import type { TarHeader } from '../archive/header.js';
import { readTar } from '../archive/reader.js';
import { isEngineError } from '../errors.js';

/** More differences than this say nothing more. */
const ENOUGH = 5;

interface Expected {
  readonly header: TarHeader;
  /** Of a file's content. */
  readonly sha256: string | undefined;
}

/**
 * Compares an unpacked layer with the archive that it came from: names, kinds, modes, owners, links, content. Extended
 * attributes are not looked at, since Node cannot read them.
 *
 * @param dir - The layer's directory, as overlayfs has it: just what this layer brought.
 * @returns What differs, in words; `undefined` when the archive cannot be read here (it holds sparse files).
 */
export async function compareLayer(
  dir: string,
  content: AsyncIterable<Uint8Array>,
  options: { readonly call: string; readonly signal: AbortSignal },
): Promise<string[] | undefined> {
  let expected: Map<string, Expected>;
  try {
    expected = await readExpected(content, options);
  } catch (error) {
    options.signal.throwIfAborted();
    if (isEngineError(error) && error.code === 'CTR_PARSE' && error.message.includes('sparse')) return undefined;
    throw error;
  }
  const differences: string[] = [];
  for (const [path, entry] of expected) {
    options.signal.throwIfAborted();
    const reason = await compareEntry(dir, path, entry);
    if (reason !== undefined) differences.push(`/${path} ${reason}`);
    if (differences.length >= ENOUGH) return differences;
  }
  for await (const path of walk(dir)) {
    options.signal.throwIfAborted();
    if (!expected.has(path) && !isParent(path, expected)) differences.push(`/${path} is not of this layer`);
    if (differences.length >= ENOUGH) break;
  }
  return differences;
}

async function readExpected(
  content: AsyncIterable<Uint8Array>,
  { call, signal }: { readonly call: string; readonly signal: AbortSignal },
): Promise<Map<string, Expected>> {
  const expected = new Map<string, Expected>();
  for await (const { header, body } of readTar(decompress(content, { call, signal }), { call, signal })) {
    const path = posix.join('/', header.name).slice(1).replace(/\/$/, '');
    const name = posix.basename(path);
    if (path === '' || name === '.wh..wh..opq' || name.startsWith('.wh..wh.')) continue;
    if (name.startsWith('.wh.')) {
      const hidden = posix.join(posix.dirname(path), name.slice(4)).replace(/^\.\//, '');
      if (!expected.has(hidden)) expected.set(hidden, { header: { ...header, type: 'character' }, sha256: undefined });
      continue;
    }
    if (header.type !== 'file') {
      replace(expected, path, { header, sha256: undefined });
      continue;
    }
    const hash = createHash('sha256');
    for await (const chunk of body) hash.update(chunk);
    replace(expected, path, { header, sha256: hash.digest('hex') });
  }
  return expected;
}

/** A later entry of the same name stands; a directory that becomes something else takes what is in it along. */
function replace(expected: Map<string, Expected>, path: string, entry: Expected): void {
  const before = expected.get(path);
  if (before?.header.type === 'directory' && entry.header.type !== 'directory') {
    for (const other of expected.keys()) if (other.startsWith(`${path}/`)) expected.delete(other);
  }
  expected.set(path, entry);
}

async function compareEntry(dir: string, path: string, { header, sha256 }: Expected): Promise<string | undefined> {
  const place = join(dir, path);
  const stat = lstatSync(place, { throwIfNoEntry: false });
  if (stat === undefined) return 'is missing';
  const kind = kindOf(stat);
  if (header.type === 'link') return kind === 'directory' ? 'is a directory, not a hard link' : undefined;
  if (kind !== header.type) return `is a ${kind}, not a ${header.type}`;
  if (header.type === 'character' && header.device === undefined) return undefined;
  if (header.type === 'symlink') {
    return readlinkSync(place) === header.link ? undefined : `leads to ${readlinkSync(place)}, not to ${header.link}`;
  }
  if ((stat.mode & 0o7777) !== header.mode)
    return `has mode ${(stat.mode & 0o7777).toString(8)}, not ${header.mode.toString(8)}`;
  if (process.getuid?.() === 0 && (stat.uid !== header.uid || stat.gid !== header.gid))
    return `belongs to ${stat.uid}:${stat.gid}, not to ${header.uid}:${header.gid}`;
  if (header.type !== 'file') return undefined;
  if (stat.size !== header.size) return `has ${stat.size} bytes, not ${header.size}`;
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(place, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex') === sha256 ? undefined : 'has another content';
}

function kindOf(stat: Stats): string {
  if (stat.isFile()) return 'file';
  if (stat.isDirectory()) return 'directory';
  if (stat.isSymbolicLink()) return 'symlink';
  if (stat.isCharacterDevice()) return 'character';
  return stat.isBlockDevice() ? 'block' : 'fifo';
}

/** Directories that the archive does not mention, but what is in them. */
function isParent(path: string, expected: ReadonlyMap<string, Expected>): boolean {
  for (const other of expected.keys()) if (other.startsWith(`${path}/`)) return true;
  return false;
}

async function* walk(dir: string, below = ''): AsyncGenerator<string, void, undefined> {
  for (const entry of await readdir(join(dir, below), { withFileTypes: true })) {
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    yield path;
    if (entry.isDirectory()) yield* walk(dir, path);
  }
}
