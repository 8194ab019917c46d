import { BLOCK_BYTES, fitsHeader, formatHeader, type RawHeader, type TarHeader, type TarType } from './header.js';
import { formatPax, formatPaxTime } from './pax.js';

/** An entry to be written: only the name is needed. Without a type it is a file. */
export type TarInput = Partial<Omit<TarHeader, 'size' | 'xattrs'>> & {
  readonly name: string;
  /** Of a content that is a stream; otherwise what `content` has. */
  readonly size?: number;
  readonly xattrs?: Readonly<Record<string, Uint8Array>>;
  readonly content?: Uint8Array | string | AsyncIterable<Uint8Array>;
};

const flags: Readonly<Record<TarType, string>> = {
  file: '0',
  link: '1',
  symlink: '2',
  character: '3',
  block: '4',
  directory: '5',
  fifo: '6',
};

/**
 * Writes an archive, deterministically: equal entries in equal order are equal bytes. What has no value given is 0: owners,
 * times; names of owners are left out. ustar where it suffices, PAX where not, never GNU's own.
 *
 * @throws `TypeError` when a stream's content is not as long as its `size` said: the archive would be wrong from there on.
 */
export async function* writeTar(
  entries: Iterable<TarInput> | AsyncIterable<TarInput>,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const entry of entries) {
    const content = typeof entry.content === 'string' ? Buffer.from(entry.content) : entry.content;
    const size = content instanceof Uint8Array ? content.length : (entry.size ?? 0);
    yield formatEntry(entry, size);
    if (content instanceof Uint8Array) yield content;
    else if (content !== undefined) yield* exactly(content, size, entry.name);
    if (size % BLOCK_BYTES !== 0) yield Buffer.alloc(BLOCK_BYTES - (size % BLOCK_BYTES));
  }
  yield Buffer.alloc(2 * BLOCK_BYTES);
}

async function* exactly(
  content: AsyncIterable<Uint8Array>,
  size: number,
  name: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  let bytes = 0;
  for await (const chunk of content) {
    bytes += chunk.length;
    if (bytes > size) break;
    yield chunk;
  }
  if (bytes !== size)
    throw new TypeError(`writeTar: ${name}: expected ${size} bytes, got ${bytes > size ? 'more' : bytes}`);
}

/** The blocks before an entry's content. */
export function formatEntry(entry: TarInput, size = 0): Buffer {
  const { name, type = 'file', mode = type === 'directory' ? 0o755 : 0o644, uid = 0, gid = 0, mtime = 0n } = entry;
  const { link = '', device = { major: 0, minor: 0 } } = entry;
  const seconds = Number(mtime / 1_000_000_000n);
  const path = type === 'directory' && !name.endsWith('/') ? `${name}/` : name;
  const raw: RawHeader = { flag: flags[type], name: path, link, size, mode, uid, gid, seconds, ...device };
  const records = extensions(raw, mtime, entry.xattrs ?? {});
  if (records.size === 0) return formatHeader(raw);
  const body = formatPax(records);
  const padding = Buffer.alloc((BLOCK_BYTES - (body.length % BLOCK_BYTES)) % BLOCK_BYTES);
  // Readers without PAX make a file of it: next to the entry, under a name that says what it is.
  const about: RawHeader = {
    ...raw,
    flag: 'x',
    name: `PaxHeaders/${Buffer.from(path).subarray(-80).toString('latin1')}`,
    link: '',
    size: body.length,
    mode: 0o644,
    major: 0,
    minor: 0,
  };
  const header = formatHeader({ ...about, name: about.name.replace(/[^\x20-\x7e]/g, '_'), uid: 0, gid: 0, seconds: 0 });
  return Buffer.concat([header, body, padding, formatHeader(raw)]);
}

function extensions(
  raw: RawHeader,
  mtime: bigint,
  xattrs: Readonly<Record<string, Uint8Array>>,
): Map<string, string | Uint8Array> {
  const records = new Map<string, string | Uint8Array>();
  if (!fitsHeader({ ...raw, link: '', uid: 0, gid: 0, size: 0, seconds: 0 })) records.set('path', raw.name);
  if (!fitsHeader({ ...raw, name: '', uid: 0, gid: 0, size: 0, seconds: 0 })) records.set('linkpath', raw.link);
  for (const key of ['uid', 'gid', 'size'] as const)
    if (raw[key] >= 8 ** (key === 'size' ? 11 : 7)) records.set(key, String(raw[key]));
  if (mtime % 1_000_000_000n !== 0n || raw.seconds < 0 || raw.seconds >= 8 ** 11)
    records.set('mtime', formatPaxTime(mtime));
  for (const [name, value] of Object.entries(xattrs)) records.set(`SCHILY.xattr.${name}`, value);
  return records;
}
