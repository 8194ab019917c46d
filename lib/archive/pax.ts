/** What an extended header says: keys to bytes, because extended attributes are not text. */
export type PaxRecords = ReadonlyMap<string, Buffer>;

/**
 * Reads the records `length key=value\n` of an extended header. The last of several equal keys counts.
 *
 * @returns What is wrong, as text, where it is malformed: a length that lies, a record without a key, a NUL in a name.
 * @see {@link https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html | POSIX.1-2017, pax, "pax Extended Header"}
 */
export function parsePax(bytes: Buffer): PaxRecords | string {
  const records = new Map<string, Buffer>();
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(0x20, at);
    const digits = space === -1 ? '' : bytes.toString('latin1', at, space);
    if (!/^[0-9]{1,9}$/.test(digits)) return 'a PAX record has no length';
    const end = at + Number(digits);
    if (end > bytes.length || end < space + 4) return "a PAX record's length is wrong";
    if (bytes[end - 1] !== 0x0a) return 'a PAX record does not end where it says';
    const equals = bytes.indexOf(0x3d, space);
    if (equals === -1 || equals >= end || equals === space + 1) return 'a PAX record has no key';
    const key = bytes.toString('utf8', space + 1, equals);
    const value = bytes.subarray(equals + 1, end - 1);
    if (key.includes('\0')) return 'a PAX key holds a NUL';
    if (isText(key) && value.includes(0)) return 'a PAX name holds a NUL';
    records.set(key, value);
    at = end;
  }
  return records;
}

const names = new Set(['path', 'linkpath', 'uname', 'gname']);

function isText(key: string): boolean {
  return names.has(key) || key.startsWith('GNU.sparse.');
}

/** Writes records sorted by key, so that equal records are equal bytes. */
export function formatPax(records: ReadonlyMap<string, string | Uint8Array>): Buffer {
  const sorted = [...records].sort(([a], [b]) => (a < b ? -1 : 1));
  return Buffer.concat(sorted.map(([key, value]) => formatRecord(key, value)));
}

/** A record's length counts its own digits. */
function formatRecord(key: string, value: string | Uint8Array): Buffer {
  const rest = Buffer.concat([
    Buffer.from(` ${key}=`),
    typeof value === 'string' ? Buffer.from(value) : value,
    newline,
  ]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

const newline = Buffer.from('\n');

/** `[-]seconds[.fraction]` in nanoseconds since 1970; further digits are cut. `undefined` when it is no time. */
export function parsePaxTime(text: string): bigint | undefined {
  const match = /^(-?)([0-9]{1,18})(?:\.([0-9]*))?$/.exec(text);
  if (match === null) return undefined;
  const [, sign, seconds = '0', fraction = ''] = match;
  const nanoseconds = BigInt(seconds) * 1_000_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, '0'));
  return sign === '-' ? -nanoseconds : nanoseconds;
}

/** The reverse of {@link parsePaxTime}, without trailing zeros. */
export function formatPaxTime(nanoseconds: bigint): string {
  const absolute = nanoseconds < 0n ? -nanoseconds : nanoseconds;
  const fraction = String(absolute % 1_000_000_000n)
    .padStart(9, '0')
    .replace(/0+$/, '');
  const seconds = `${nanoseconds < 0n ? '-' : ''}${absolute / 1_000_000_000n}`;
  return fraction === '' ? seconds : `${seconds}.${fraction}`;
}
