import { execFileSync } from 'node:child_process';
import {
  closeSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';

import { formatPax } from '../../lib/archive/pax.js';
import { readTar } from '../../lib/archive/reader.js';
import { writeTar, type TarInput } from '../../lib/archive/writer.js';
import { sha256 } from '../../lib/oci/digest.js';
import { applyLayer, type AppliedLayer, type ApplyOptions } from '../../lib/image/apply.js';

/** An entry byte by byte: what no tool would write. Fields that are not given are those of an ordinary file. */
export interface RawEntry {
  readonly name?: string | Buffer;
  readonly type?: string;
  readonly link?: string;
  readonly mode?: string;
  readonly uid?: string | Buffer;
  readonly gid?: string | Buffer;
  /** As written; default the body's length in octal. */
  readonly size?: string | Buffer;
  readonly mtime?: string | Buffer;
  readonly magic?: string;
  readonly device?: readonly [string, string];
  readonly prefix?: string;
  readonly body?: string | Buffer;
  /** Bytes to put at offsets, before the checksum is made. */
  readonly patch?: Readonly<Record<number, string | Buffer>>;
  /** A wrong one, when given. */
  readonly checksum?: string;
}

/** One entry, padded to whole blocks. */
export function entry(raw: RawEntry): Buffer {
  const body = Buffer.from(raw.body ?? '');
  const header = Buffer.alloc(512);
  const put = (value: string | Buffer, at: number): void =>
    void (typeof value === 'string' ? header.write(value, at, 'latin1') : value.copy(header, at));
  put(Buffer.from(raw.name ?? 'file').subarray(0, 100), 0);
  put(raw.mode ?? '0000644', 100);
  put(raw.uid ?? '0000000', 108);
  put(raw.gid ?? '0000000', 116);
  put(raw.size ?? body.length.toString(8).padStart(11, '0'), 124);
  put(raw.mtime ?? '14371253621', 136);
  put(raw.type ?? '0', 156);
  put(raw.link ?? '', 157);
  put(raw.magic ?? 'ustar\x0000', 257);
  put(raw.device?.[0] ?? '', 329);
  put(raw.device?.[1] ?? '', 337);
  put(raw.prefix ?? '', 345);
  for (const [at, value] of Object.entries(raw.patch ?? {})) put(value, Number(at));
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  put(raw.checksum ?? `${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([header, body, Buffer.alloc((512 - (body.length % 512)) % 512)]);
}

/** An extended header for the next entry. */
export function pax(records: Readonly<Record<string, string | Buffer>>): Buffer {
  return entry({ name: 'PaxHeaders/x', type: 'x', body: formatPax(new Map(Object.entries(records))) });
}

/** Entries and an end mark. */
export function archive(...entries: readonly Buffer[]): Buffer {
  return Buffer.concat([...entries, Buffer.alloc(1024)]);
}

/** An archive by our own writer. */
export async function pack(...entries: readonly TarInput[]): Promise<Buffer> {
  return buffer(writeTar(entries));
}

/** What the real GNU tar writes. */
export function gnuTar(directory: string, ...args: readonly string[]): Buffer {
  return execFileSync('tar', ['-C', directory, '-cf', '-', ...args], {
    maxBuffer: 1 << 30,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

const everyXattr = ['--xattrs', '--xattrs-include=*'];

/** What the real GNU tar makes of an archive: our oracle. */
export function gnuExtract(bytes: Buffer, directory: string): void {
  const args = ['-C', directory, '-xpf', '-', '--numeric-owner', '--delay-directory-restore', ...everyXattr];
  execFileSync('tar', args, { input: bytes, stdio: ['pipe', 'ignore', 'pipe'] });
}

/**
 * A tree as a table: a line per name with type, mode, owners, time, link, extended attributes and, for files, size, blocks
 * on disk, and content. Hard links show as such. Read by GNU tar, which sees what Node cannot.
 */
export async function treeOf(directory: string, options: { blocks?: boolean } = {}): Promise<Record<string, string>> {
  const bytes = gnuTar(
    directory,
    '--format=pax',
    '--sort=name',
    '--numeric-owner',
    '--pax-option=delete=atime,delete=ctime',
    ...everyXattr,
    '.',
  );
  const tree: Record<string, string> = {};
  for await (const { header, body } of readTar(chunks(bytes))) {
    const { name, type, mode, uid, gid, mtime, link, size, device, xattrs } = header;
    const content = await buffer(body);
    const blocks = options.blocks && type === 'file' ? blocksOf(join(directory, name)) : '';
    const attributes = [...xattrs].map(([key, value]) => `${key}=${value.toString('hex')}`).sort();
    tree[name] = [
      type,
      mode.toString(8),
      uid,
      gid,
      mtime,
      link,
      size,
      blocks,
      device && `${device.major}:${device.minor}`,
      ...attributes,
      content.length > 100 ? sha256(content) : content.toString('latin1'),
    ].join(' ');
  }
  return tree;
}

/** On disk: what is only about to be written is not all counted yet. */
function blocksOf(path: string): number {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
    return fstatSync(fd).blocks;
  } finally {
    closeSync(fd);
  }
}

/** A directory to unpack into, and one beside it that nothing may touch. */
export class Cell implements Disposable {
  readonly home = mkdtempSync(join(tmpdir(), 'tsc-layer-'));
  readonly root = join(this.home, 'root');
  readonly outside = join(this.home, 'outside');
  readonly secret = join(this.outside, 'secret');

  constructor() {
    mkdirSync(this.root, { mode: 0o755 });
    mkdirSync(this.outside);
    writeFileSync(this.secret, 'untouched', { mode: 0o600 });
  }

  /** Where a file of the layer is on the host. */
  path(name: string): string {
    return join(this.root, name);
  }

  read(name: string): string {
    return readFileSync(this.path(name), 'utf8');
  }

  apply(content: Uint8Array | AsyncIterable<Uint8Array>, options: Partial<ApplyOptions> = {}): Promise<AppliedLayer> {
    const stream = ArrayBuffer.isView(content) ? chunks(content) : content;
    return applyLayer({
      content: stream,
      target: this.root,
      whiteouts: 'overlay',
      call: 'images.pull',
      source: 'layer',
      ...options,
    });
  }

  /** Everything outside is as it was. */
  intact(): boolean {
    const { mode, nlink, uid } = statSync(this.secret);
    return (
      readFileSync(this.secret, 'utf8') === 'untouched' &&
      (mode & 0o7777) === 0o600 &&
      nlink === 1 &&
      uid === process.getuid?.()
    );
  }

  [Symbol.dispose](): void {
    rmSync(this.home, { recursive: true, force: true });
  }
}

/** A stream in pieces that respect no boundary. */
export async function* chunks(bytes: Uint8Array, size = 100_003): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
