/** One block: headers are one, content is padded to them. */
export const BLOCK_BYTES = 512;

/** What an entry is. */
export type TarType = 'file' | 'link' | 'symlink' | 'character' | 'block' | 'directory' | 'fifo';

/** One entry of an archive, without its content. */
export interface TarHeader {
  /** As the archive says it: not cleaned, perhaps absolute, perhaps with `..`. */
  readonly name: string;
  readonly type: TarType;
  /** Of the content, in bytes; 0 for all but files. */
  readonly size: number;
  /** Permissions and setuid, setgid, sticky: at most 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Nanoseconds since 1970. */
  readonly mtime: bigint;
  /** What a link leads to; `''` for all else. */
  readonly link: string;
  readonly device?: { readonly major: number; readonly minor: number };
  /** By full name, `security.capability` for example. */
  readonly xattrs: ReadonlyMap<string, Buffer>;
}

/** A header block taken apart; `flag` is its type as the archive writes it. */
export interface RawHeader {
  readonly flag: string;
  readonly name: string;
  readonly link: string;
  readonly size: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly seconds: number;
  readonly major: number;
  readonly minor: number;
}

/** Takes a block apart. What is wrong, as text, where it is malformed. */
export function parseHeader(block: Buffer): RawHeader | string {
  if (!checksumHolds(block)) return "a header's checksum is wrong";
  const field = (at: number, length: number): number => parseNumber(block.subarray(at, at + length));
  const magic = block.toString('latin1', 257, 265);
  const [ustar, gnu] = [magic.startsWith('ustar\0'), magic.startsWith('ustar  ')];
  const flag = String.fromCharCode(block[156] ?? 0);
  const device = (ustar || gnu) && (flag === '3' || flag === '4');
  const raw = {
    flag,
    name: nameOf(block, ustar),
    link: text(block.subarray(157, 257)),
    mode: field(100, 8),
    uid: field(108, 8),
    gid: field(116, 8),
    size: field(124, 12),
    seconds: field(136, 12),
    major: device ? field(329, 8) : 0,
    minor: device ? field(337, 8) : 0,
  };
  if (Object.values(raw).some(value => Number.isNaN(value))) return "a header's number is malformed";
  return raw.size < 0 ? "an entry's size is negative" : { ...raw, mode: raw.mode & 0o7777 };
}

function nameOf(block: Buffer, ustar: boolean): string {
  const name = text(block.subarray(0, 100));
  // star has times in the last bytes of the prefix, GNU tar in all of it.
  const star = block.toString('latin1', 508, 512) === 'tar\0';
  const prefix = ustar ? text(block.subarray(345, star ? 476 : 500)) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

/** Up to the first NUL. */
function text(field: Buffer): string {
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end === -1 ? field.length : end);
}

/** Octal digits, or GNU's two's complement when the first bit is set. `NaN` when it is neither, or no safe integer. */
function parseNumber(field: Buffer): number {
  if (((field[0] ?? 0) & 0x80) === 0) return parseOctal(field);
  const digits = BigInt(`0x${field.toString('hex')}`) & ((1n << BigInt(field.length * 8 - 1)) - 1n);
  const value = Number(BigInt.asIntN(field.length * 8 - 1, digits));
  return Number.isSafeInteger(value) ? value : NaN;
}

function parseOctal(field: Buffer): number {
  // Padding is NULs and blanks, on both sides; what follows a NUL after digits is not read.
  const digits = field
    .toString('latin1')
    .replace(/^[ \0]+/, '')
    .replace(/\0.*$/s, '')
    .trimEnd();
  if (digits === '') return 0;
  const value = /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : NaN;
  return Number.isSafeInteger(value) ? value : NaN;
}

/** The sum of all bytes with blanks in its own place; old programs added them as signed. */
function checksumHolds(block: Buffer): boolean {
  let [sum, signed] = [0, 0];
  for (let i = 0; i < BLOCK_BYTES; i++) {
    const byte = i >= 148 && i < 156 ? 0x20 : (block[i] ?? 0);
    sum += byte;
    signed += byte > 127 ? byte - 256 : byte;
  }
  const said = parseOctal(block.subarray(148, 156));
  return said === sum || said === signed;
}

/** Whether {@link formatHeader} can write the header without an extended one before it. */
export function fitsHeader(raw: RawHeader): boolean {
  const numbers = [
    [raw.uid, 7],
    [raw.gid, 7],
    [raw.size, 11],
    [raw.seconds, 11],
  ] as const;
  return (
    splitName(raw.name) !== undefined &&
    Buffer.byteLength(raw.link) <= 100 &&
    isAscii(raw.name + raw.link) &&
    numbers.every(([value, digits]) => fitsOctal(value, digits))
  );
}

/** Every character is one that any program reads alike. */
function isAscii(value: string): boolean {
  return /^[\x20-\x7e]*$/.test(value);
}

function fitsOctal(value: number, digits: number): boolean {
  return value >= 0 && value < 8 ** digits;
}

/** Writes a ustar block. What does not fit is cut: the extended header before it says it in full. */
export function formatHeader(raw: RawHeader): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  const { prefix, name } = splitName(raw.name) ?? { prefix: '', name: raw.name };
  const octal = (value: number, at: number, digits: number): void => {
    block.write(`${(fitsOctal(value, digits) ? value : 0).toString(8).padStart(digits, '0')}\0`, at, 'latin1');
  };
  // Bytes, not characters: what is cut may be in the middle of one.
  Buffer.from(name).copy(block, 0, 0, 100);
  octal(raw.mode, 100, 7);
  octal(raw.uid, 108, 7);
  octal(raw.gid, 116, 7);
  octal(raw.size, 124, 11);
  octal(raw.seconds, 136, 11);
  block.write(raw.flag, 156, 'latin1');
  Buffer.from(raw.link).copy(block, 157, 0, 100);
  block.write('ustar\x0000', 257, 'latin1');
  octal(raw.major, 329, 7);
  octal(raw.minor, 337, 7);
  Buffer.from(prefix).copy(block, 345, 0, 155);
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** ustar's two name fields meet at a slash: 155 bytes before it, 100 after. */
function splitName(name: string): { prefix: string; name: string } | undefined {
  if (Buffer.byteLength(name) <= 100) return { prefix: '', name };
  for (let slash = name.indexOf('/'); slash !== -1; slash = name.indexOf('/', slash + 1)) {
    const [prefix, rest] = [name.slice(0, slash), name.slice(slash + 1)];
    if (Buffer.byteLength(prefix) > 155) return undefined;
    if (prefix !== '' && rest !== '' && Buffer.byteLength(rest) <= 100) return { prefix, name: rest };
  }
  return undefined;
}
