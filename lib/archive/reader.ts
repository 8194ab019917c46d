import { LimitError, ParseError } from '../errors.js';
import type { AbortOptions } from '../types.js';
import { BLOCK_BYTES, parseHeader, type RawHeader, type TarHeader, type TarType } from './header.js';
import { parsePax, parsePaxTime, type PaxRecords } from './pax.js';

/** One entry, and what is in it. */
export interface TarEntry {
  readonly header: TarHeader;
  /** The content, once, and only until the next entry is asked for; what is left is skipped. */
  readonly body: AsyncIterable<Uint8Array>;
}

export interface ReadTarOptions extends AbortOptions {
  /** The user's call, for messages. */
  readonly call?: string;
  /** What is read, for messages. */
  readonly source?: string;
  /** An archive with more is refused. Default 1,000,000. */
  readonly maxEntries?: number;
  /** A file with more is refused. Default: no limit. */
  readonly maxEntryBytes?: number;
}

/** Names and attributes, not content: as in Go's archive/tar, which Docker uses. */
const MAX_EXTENSION_BYTES = 1 << 20;
const MAX_ENTRIES = 1_000_000;

const types: Readonly<Record<string, TarType>> = {
  '\0': 'file',
  '0': 'file',
  '7': 'file',
  '1': 'link',
  '2': 'symlink',
  '3': 'character',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
};

/**
 * Reads an uncompressed archive: v7, ustar, PAX and GNU's long names and large numbers. Global PAX headers are skipped, as
 * Docker does. Bytes behind the end mark are not read.
 *
 * @throws {@link ParseError} when it is malformed, ends early, or holds a sparse file (layers are the helper's to unpack, and
 * that reads them).
 * @throws {@link LimitError} when it has more than allowed.
 */
export async function* readTar(
  source: AsyncIterable<Uint8Array>,
  options: ReadTarOptions = {},
): AsyncGenerator<TarEntry, void, undefined> {
  const input = new Input(source, options);
  try {
    for (let entries = 0; ; entries++) {
      const header = await nextHeader(input, options);
      if (header === undefined) return;
      checkLimits(header, entries, options);
      const body = new Body(input, header.size);
      yield { header, body };
      await body.skip();
    }
  } finally {
    await input.close();
  }
}

function checkLimits(header: TarHeader, entries: number, options: ReadTarOptions): void {
  const { call = 'readTar', source: what = 'the archive', maxEntries = MAX_ENTRIES, maxEntryBytes } = options;
  if (entries >= maxEntries) {
    throw new LimitError({ call, what, reason: `has more than ${maxEntries} entries`, limit: maxEntries });
  }
  if (maxEntryBytes === undefined || header.size <= maxEntryBytes) return;
  const reason = `its entry ${header.name} has ${header.size} bytes, at most ${maxEntryBytes} are read`;
  throw new LimitError({ call, what, reason, limit: maxEntryBytes });
}

/** What precedes an entry and says more about it. */
interface Extensions {
  name?: string;
  link?: string;
  pax?: PaxRecords;
}

async function nextHeader(input: Input, options: ReadTarOptions): Promise<TarHeader | undefined> {
  const said: Extensions = {};
  for (;;) {
    const block = await nextBlock(input);
    if (block === undefined) {
      if (Object.keys(said).length > 0) throw malformed(options, 'an extended header has no entry');
      return undefined;
    }
    const raw = parseHeader(block);
    if (typeof raw === 'string') throw malformed(options, raw);
    if (!'xXLKgV'.includes(raw.flag)) return makeHeader(raw, said, options);
    if (raw.flag === 'g' || raw.flag === 'V') await input.skip(padded(raw.size));
    else await readExtension(raw, said, input, options);
  }
}

/** `undefined` at the end: two blocks of zeros, or no more bytes. */
async function nextBlock(input: Input): Promise<Buffer | undefined> {
  const block = await input.readOrEnd(BLOCK_BYTES);
  if (block?.some(byte => byte !== 0) !== false) return block;
  const second = await input.readOrEnd(BLOCK_BYTES);
  if (second?.some(byte => byte !== 0)) throw malformed(input.options, 'an entry follows half an end mark');
  return undefined;
}

async function readExtension(raw: RawHeader, said: Extensions, input: Input, options: ReadTarOptions): Promise<void> {
  if (raw.size > MAX_EXTENSION_BYTES) throw malformed(options, 'an extended header is larger than 1 MiB');
  const body = (await input.read(padded(raw.size))).subarray(0, raw.size);
  if (raw.flag === 'L') said.name = untilNul(body);
  else if (raw.flag === 'K') said.link = untilNul(body);
  else {
    const records = parsePax(body);
    if (typeof records === 'string') throw malformed(options, records);
    said.pax = records;
  }
}

function makeHeader(raw: RawHeader, said: Extensions, options: ReadTarOptions): TarHeader {
  const { pax = new Map<string, Buffer>() } = said;
  if (raw.flag === 'S' || [...pax.keys()].some(key => key.startsWith('GNU.sparse.'))) {
    throw malformed(options, 'holds a sparse file. Make it without (tar --sparse)');
  }
  // An empty value says nothing: the header's own field holds.
  const text = (key: string): string | undefined => pax.get(key)?.toString() || undefined;
  const number = (key: string, otherwise: number, least = 0): number => {
    const digits = text(key);
    const value = digits === undefined ? otherwise : /^[0-9]+$/.test(digits) ? Number(digits) : NaN;
    if (!Number.isSafeInteger(value) || value < least) throw malformed(options, `an entry's ${key} is malformed`);
    return value;
  };
  const name = said.name ?? text('path') ?? raw.name;
  const type = types[raw.flag];
  if (type === undefined) throw malformed(options, `its entry ${name} is of an unknown type`);
  // Older than the directory type: a name that ends in a slash.
  const kind = type === 'file' && name.endsWith('/') ? 'directory' : type;
  const [seconds, mtime] = [BigInt(raw.seconds) * 1_000_000_000n, text('mtime')];
  const time = mtime === undefined ? seconds : parsePaxTime(mtime);
  if (time === undefined) throw malformed(options, "an entry's mtime is malformed");
  return {
    name,
    type: kind,
    size: kind === 'file' ? number('size', raw.size) : 0,
    mode: raw.mode,
    uid: number('uid', raw.uid),
    gid: number('gid', raw.gid),
    mtime: time,
    link: kind === 'link' || kind === 'symlink' ? (said.link ?? text('linkpath') ?? raw.link) : '',
    ...((kind === 'character' || kind === 'block') && { device: { major: raw.major, minor: raw.minor } }),
    xattrs: xattrsOf(pax),
  };
}

const xattrPrefix = 'SCHILY.xattr.';

function xattrsOf(pax: PaxRecords): Map<string, Buffer> {
  const found = [...pax].filter(([key]) => key.startsWith(xattrPrefix));
  return new Map(found.map(([key, value]) => [key.slice(xattrPrefix.length), value]));
}

function untilNul(body: Buffer): string {
  const end = body.indexOf(0);
  return body.toString('utf8', 0, end === -1 ? body.length : end);
}

function padded(size: number): number {
  return Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
}

function malformed(options: ReadTarOptions, reason: string): ParseError {
  return new ParseError({ call: options.call ?? 'readTar', source: options.source ?? 'the archive', reason });
}

/** One entry's content. */
class Body implements AsyncIterable<Uint8Array> {
  readonly #input: Input;
  #left: number;
  readonly #padding: number;

  constructor(input: Input, size: number) {
    this.#input = input;
    this.#left = size;
    this.#padding = padded(size) - size;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    while (this.#left > 0) {
      const chunk = await this.#input.take(this.#left);
      this.#left -= chunk.length;
      yield chunk;
    }
  }

  async skip(): Promise<void> {
    const left = this.#left + this.#padding;
    // Whoever still holds the body gets no bytes of the next entry.
    this.#left = 0;
    await this.#input.skip(left);
  }
}

/** A stream of chunks, read by count. */
class Input {
  readonly options: ReadTarOptions;
  readonly #iterator: AsyncIterator<Uint8Array>;
  #chunk: Buffer = Buffer.alloc(0);
  #ended = false;

  constructor(source: AsyncIterable<Uint8Array>, options: ReadTarOptions) {
    this.#iterator = source[Symbol.asyncIterator]();
    this.options = options;
  }

  /** At least one byte and at most so many, as they come. */
  async take(most: number): Promise<Buffer> {
    if (!(await this.#fill())) throw malformed(this.options, 'ends in the middle of an entry: it is cut short');
    const taken = this.#chunk.subarray(0, most);
    this.#chunk = this.#chunk.subarray(taken.length);
    return taken;
  }

  async read(count: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let left = count; left > 0;) {
      const part = await this.take(left);
      left -= part.length;
      parts.push(part);
    }
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
  }

  /** `undefined` when there is nothing more at all. */
  async readOrEnd(count: number): Promise<Buffer | undefined> {
    return (await this.#fill()) ? this.read(count) : undefined;
  }

  async skip(count: number): Promise<void> {
    for (let left = count; left > 0;) left -= (await this.take(left)).length;
  }

  async close(): Promise<void> {
    if (!this.#ended) await this.#iterator.return?.();
  }

  async #fill(): Promise<boolean> {
    while (this.#chunk.length === 0 && !this.#ended) {
      this.options.signal?.throwIfAborted();
      const next = await this.#iterator.next();
      if (next.done) this.#ended = true;
      else this.#chunk = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.length);
    }
    return this.#chunk.length > 0;
  }
}
