import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

import { ParseError } from '../errors.js';

/** What a program or library needs to be loaded, as its file says. */
export interface ElfFile {
  /** 32 or 64 bits, and the machine's number: a library must have the same of both. */
  readonly kind: string;
  /** The dynamic loader; absent for libraries and static programs. */
  readonly interpreter?: string;
  /** Names of libraries, with or without a slash. */
  readonly needed: readonly string[];
  /** Directories to look in first, before and after what the environment says; `$ORIGIN` is not replaced. */
  readonly rpath: readonly string[];
  readonly runpath: readonly string[];
}

/** Segment types and dynamic tags; System V ABI, chapter 5. */
const segment = { load: 1, dynamic: 2, interpreter: 3 } as const;
const tag = { needed: 1, strings: 5, rpath: 15, runpath: 29 } as const;

/** More than any real file has: what claims more is broken, or wants to exhaust us. */
const MAX_SEGMENTS = 512;
const MAX_TABLE_BYTES = 16 << 20;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly size: number;
}

/**
 * Reads what a program or library needs, without running anything: `ldd` would execute it.
 *
 * @returns `undefined` for a file that is no ELF file.
 * @throws {@link ParseError} when it claims to be one and is broken.
 */
export function readElf(path: string): ElfFile | undefined {
  const fd = openSync(path, 'r');
  try {
    const head = read(fd, 0, 64);
    if (head.length < 52 || head.readUInt32BE(0) !== 0x7f454c46) return undefined;
    return new Reader(fd, path, head).file();
  } finally {
    closeSync(fd);
  }
}

class Reader {
  readonly #fd: number;
  readonly #path: string;
  readonly #head: Buffer;
  readonly #wide: boolean;
  readonly #little: boolean;

  constructor(fd: number, path: string, head: Buffer) {
    this.#fd = fd;
    this.#path = path;
    this.#head = head;
    this.#wide = head[4] === 2;
    this.#little = head[5] === 1;
  }

  file(): ElfFile {
    const segments = this.#segments();
    const kind = `${this.#wide ? 64 : 32}-bit machine ${this.#number(this.#head, 18, 2)}`;
    const loader = segments.find(({ type }) => type === segment.interpreter);
    const interpreter = loader === undefined ? {} : { interpreter: text(this.#bytes(loader.offset, loader.size), 0) };
    const dynamic = segments.find(({ type }) => type === segment.dynamic);
    if (dynamic === undefined) return { kind, ...interpreter, needed: [], rpath: [], runpath: [] };
    return { kind, ...interpreter, ...this.#dynamic(dynamic, segments) };
  }

  #segments(): Segment[] {
    const wide = this.#wide;
    const table = this.#number(this.#head, wide ? 32 : 28, wide ? 8 : 4);
    const size = this.#number(this.#head, wide ? 54 : 42, 2);
    const count = this.#number(this.#head, wide ? 56 : 44, 2);
    if (count > MAX_SEGMENTS || size < (wide ? 56 : 32)) throw this.#broken('its program headers make no sense');
    const bytes = this.#bytes(table, size * count);
    return Array.from({ length: count }, (_, index) => {
      const at = index * size;
      const field = (offset64: number, offset32: number): number =>
        this.#number(bytes, at + (wide ? offset64 : offset32), wide ? 8 : 4);
      return { type: this.#number(bytes, at, 4), offset: field(8, 4), address: field(16, 8), size: field(32, 16) };
    });
  }

  #dynamic(dynamic: Segment, segments: readonly Segment[]): Pick<ElfFile, 'needed' | 'rpath' | 'runpath'> {
    const bytes = this.#bytes(dynamic.offset, dynamic.size);
    const word = this.#wide ? 8 : 4;
    const found: [tag: number, value: number][] = [];
    for (let at = 0; at + 2 * word <= bytes.length; at += 2 * word) {
      const entry = this.#number(bytes, at, word);
      if (entry === 0) break;
      if (Object.values<number>(tag).includes(entry)) found.push([entry, this.#number(bytes, at + word, word)]);
    }
    const address = found.find(([entry]) => entry === tag.strings)?.[1];
    // The table's address is where it will be in memory: the segment that is loaded there says where it is in the file.
    const home = segments.find(
      ({ type, address: start, size }) =>
        type === segment.load && address !== undefined && address >= start && address < start + size,
    );
    if (address === undefined || home === undefined) return { needed: [], rpath: [], runpath: [] };
    const table = home.offset + address - home.address;
    const strings = this.#bytes(table, Math.min(home.offset + home.size - table, MAX_TABLE_BYTES));
    const values = (wanted: number): string[] =>
      found.filter(([entry]) => entry === wanted).map(([, at]) => text(strings, at));
    const paths = (wanted: number): string[] => values(wanted).flatMap(value => value.split(':').filter(Boolean));
    return { needed: values(tag.needed), rpath: paths(tag.rpath), runpath: paths(tag.runpath) };
  }

  #bytes(offset: number, size: number): Buffer {
    if (size > MAX_TABLE_BYTES || offset + size > fstatSync(this.#fd).size)
      throw this.#broken('it ends before what its headers promise');
    return read(this.#fd, offset, size);
  }

  #number(bytes: Buffer, at: number, size: number): number {
    if (size === 8) {
      const value = this.#little ? bytes.readBigUInt64LE(at) : bytes.readBigUInt64BE(at);
      if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.#broken('it has an offset beyond all files');
      return Number(value);
    }
    return this.#little ? bytes.readUIntLE(at, size) : bytes.readUIntBE(at, size);
  }

  #broken(reason: string): ParseError {
    return new ParseError({ call: 'images.fromHost', source: this.#path, reason: `is a broken ELF file: ${reason}` });
  }
}

function read(fd: number, offset: number, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  return bytes.subarray(0, readSync(fd, bytes, 0, size, offset));
}

/** Up to the next NUL. */
function text(bytes: Buffer, at: number): string {
  const end = bytes.indexOf(0, at);
  return bytes.toString('utf8', at, end < 0 ? bytes.length : end);
}
