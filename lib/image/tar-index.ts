import type { FileHandle } from 'node:fs/promises';
import { posix } from 'node:path';

import { BLOCK_BYTES, parseHeader, type RawHeader } from '../archive/header.js';
import { parsePax } from '../archive/pax.js';
import { LimitError, ParseError } from '../errors.js';
import type { Origin } from '../oci/json.js';

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
  for (let at = 0, entries = 0; at + BLOCK_BYTES <= end; entries++) {
    const block = await readAt(file, at, BLOCK_BYTES, origin);
    if (block.every(byte => byte === 0)) break;
    const header = readHeader(block, origin, entries);
    if (entries >= MAX_ENTRIES) throw tooMany(origin);
    const size = checkedSize(extension.size ?? header.size, origin);
    const body = at + BLOCK_BYTES;
    if (body + size > end) throw new ParseError({ ...origin, reason: 'ends in the middle of a file: it is cut short' });
    at = body + Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
    const type = header.flag;
    if ('xgLK'.includes(type)) {
      extension = { ...extension, ...(await readExtension(file, type, body, size, origin)) };
      continue;
    }
    const name = clean(extension.name ?? header.name);
    const link = extension.link ?? header.link;
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

/** Three of the records matter here. */
function readPax(body: Buffer, origin: Origin): Extension {
  const records = parsePax(body);
  if (typeof records === 'string') throw new ParseError({ ...origin, reason: records });
  const [name, link, size] = ['path', 'linkpath', 'size'].map(key => records.get(key)?.toString());
  return {
    ...(name !== undefined && { name }),
    ...(link !== undefined && { link }),
    ...(size !== undefined && { size: checkedSize(Number(size), origin) }),
  };
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

function readHeader(block: Buffer, origin: Origin, entries: number): RawHeader {
  const header = parseHeader(block);
  if (typeof header !== 'string') return header;
  if (entries > 0) throw new ParseError({ ...origin, reason: `is damaged: ${header}` });
  const remedy = 'Expected an archive made by docker save, podman save, skopeo or buildah';
  throw new ParseError({ ...origin, reason: 'is not a tar archive', remedy });
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
