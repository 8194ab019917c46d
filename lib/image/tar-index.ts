import type { FileHandle } from 'node:fs/promises';
import { posix } from 'node:path';

import { LimitError, ParseError } from '../errors.js';
import type { Origin } from '../oci/json.js';

const BLOCK = 512;
/** An archive of images has a few files per layer. */
const MAX_ENTRIES = 100_000;
/** Names and numbers that did not fit into a header. */
const MAX_EXTENSION = 1 << 20;

/** Where a file lies in an archive, or what it is another name of. */
export type IndexedFile =
  | { readonly kind: 'file'; readonly offset: number; readonly size: number }
  | { readonly kind: 'link'; readonly target: string };

/** What an extended header says of the next one. */
interface Extension {
  name?: string;
  link?: string;
  size?: number;
}

/**
 * Finds the files in an uncompressed tar archive without reading what is in them, for archives from which a few are read
 * by name. Names are cleaned; the last of several equal ones counts, as it would on extraction.
 *
 * @throws {@link ParseError} when it is no tar archive.
 */
export async function indexTar(file: FileHandle, origin: Origin): Promise<Map<string, IndexedFile>> {
  const { size: end } = await file.stat();
  const files = new Map<string, IndexedFile>();
  let extension: Extension = {};
  for (let at = 0, entries = 0; at + BLOCK <= end; entries++) {
    const header = await readAt(file, at, BLOCK, origin);
    if (header.every(byte => byte === 0)) break;
    checkSum(header, origin, entries);
    if (entries >= MAX_ENTRIES) throw tooMany(origin);
    const size = extension.size ?? number(header.subarray(124, 136), origin);
    const body = at + BLOCK;
    if (body + size > end) throw new ParseError({ ...origin, reason: 'ends in the middle of a file: it is cut short' });
    at = body + Math.ceil(size / BLOCK) * BLOCK;
    const type = String.fromCharCode(header[156] ?? 0);
    if ('xgLK'.includes(type)) {
      extension = { ...extension, ...(await readExtension(file, type, body, size, origin)) };
      continue;
    }
    const name = clean(extension.name ?? nameOf(header));
    const link = extension.link ?? text(header.subarray(157, 257));
    if ('0\x007'.includes(type)) files.set(name, { kind: 'file', offset: body, size });
    if (type === '1') files.set(name, { kind: 'link', target: clean(link) });
    if (type === '2') files.set(name, { kind: 'link', target: symlinkTarget(name, link, origin) });
    extension = {};
  }
  return files;
}

function tooMany(origin: Origin): LimitError {
  const reason = `has more than ${MAX_ENTRIES} entries, which no archive of images has`;
  return new LimitError({ call: origin.call, what: origin.source, reason, limit: MAX_ENTRIES });
}

/** Older versions of Docker shared layers between images in an archive by links. They stay inside it. */
function symlinkTarget(name: string, link: string, origin: Origin): string {
  const target = posix.join(posix.dirname(name), link);
  if (!link.startsWith('/') && target !== '..' && !target.startsWith('../')) return clean(target);
  throw new ParseError({ ...origin, reason: `its entry ${name} is a symbolic link out of the archive, to ${link}` });
}

async function readExtension(
  file: FileHandle,
  type: string,
  at: number,
  size: number,
  origin: Origin,
): Promise<Extension> {
  if (size > MAX_EXTENSION) {
    const reason = `has an extended header of ${size} bytes`;
    throw new LimitError({ call: origin.call, what: origin.source, reason, limit: MAX_EXTENSION });
  }
  if (type === 'g') return {};
  const body = await readAt(file, at, size, origin);
  if (type === 'L') return { name: text(body) };
  if (type === 'K') return { link: text(body) };
  return readPax(body, origin);
}

/** Records `length key=value\n`, of which three matter here. */
function readPax(body: Buffer, origin: Origin): Extension {
  const extension: Extension = {};
  for (let at = 0; at < body.length;) {
    const space = body.indexOf(0x20, at);
    const length = space === -1 ? NaN : Number(body.toString('latin1', at, space));
    const equals = body.indexOf(0x3d, space);
    if (!Number.isInteger(length) || length <= space - at || at + length > body.length || equals >= at + length) {
      throw new ParseError({ ...origin, reason: 'has a malformed PAX header' });
    }
    const key = body.toString('utf8', space + 1, equals);
    const value = body.toString('utf8', equals + 1, at + length - 1);
    if (key === 'path') extension.name = value;
    if (key === 'linkpath') extension.link = value;
    if (key === 'size') extension.size = checkedSize(Number(value), origin);
    at += length;
  }
  return extension;
}

async function readAt(file: FileHandle, at: number, size: number, origin: Origin): Promise<Buffer> {
  const buffer = Buffer.alloc(size);
  for (let done = 0; done < size;) {
    const { bytesRead } = await file.read(buffer, done, size - done, at + done);
    if (bytesRead === 0) throw new ParseError({ ...origin, reason: 'ends in the middle of a header' });
    done += bytesRead;
  }
  return buffer;
}

function checkSum(header: Buffer, origin: Origin, entries: number): void {
  let sum = 8 * 0x20;
  for (let i = 0; i < BLOCK; i++) if (i < 148 || i >= 156) sum += header[i] ?? 0;
  if (Number.parseInt(text(header.subarray(148, 156)).trim(), 8) === sum) return;
  throw new ParseError({
    ...origin,
    reason: entries === 0 ? 'is not a tar archive' : 'has a header whose checksum is wrong: it is damaged',
    ...(entries === 0 && { remedy: 'Expected an archive made by docker save, podman save, skopeo or buildah' }),
  });
}

function nameOf(header: Buffer): string {
  const name = text(header.subarray(0, 100));
  const prefix = header.toString('latin1', 257, 262) === 'ustar' ? text(header.subarray(345, 500)) : '';
  // GNU tar has times where POSIX has the prefix.
  return prefix === '' || header.toString('latin1', 257, 265) === 'ustar  \0' ? name : `${prefix}/${name}`;
}

/** Octal digits or, with the top bit set, a big-endian number. */
function number(field: Buffer, origin: Origin): number {
  if (((field[0] ?? 0) & 0x80) === 0) return checkedSize(Number.parseInt(text(field).trim() || '0', 8), origin);
  let value = (field[0] ?? 0) & 0x7f;
  for (const byte of field.subarray(1)) value = value * 256 + byte;
  return checkedSize(value, origin);
}

function checkedSize(size: number, origin: Origin): number {
  if (Number.isSafeInteger(size) && size >= 0) return size;
  throw new ParseError({ ...origin, reason: 'has a file with an impossible size' });
}

function text(field: Buffer): string {
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end === -1 ? field.length : end);
}

function clean(name: string): string {
  return posix.join('/', name).slice(1).replace(/\/$/, '');
}
