import {
  chmodSync,
  lchownSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import { readTar } from '../../lib/archive/reader.js';
import type { TarInput } from '../../lib/archive/writer.js';
import { chunks, gnuTar } from '../support/tar.js';

/** When files of the fixtures were made, in seconds since 1970. */
const MADE = 1_000_000_000;
/** Later than this is now: the same in both, whatever the second. */
const NOW = 1_500_000_000;

/** What is in an archive: name by name type, mode, owners, time to the second, link, content. */
export async function listing(bytes: Uint8Array): Promise<Record<string, string>> {
  const tree: Record<string, string> = {};
  for await (const { header, body } of readTar(chunks(bytes))) {
    const { name, type, mode, uid, gid, mtime, link } = header;
    const content = await text(body);
    const seconds = Number(mtime / 1_000_000_000n);
    const at = seconds > NOW ? 'now' : String(seconds);
    tree[name.replace(/\/$/, '')] = [type, mode.toString(8), `${uid}:${gid}`, at, link, content.slice(0, 100)].join(
      ' ',
    );
  }
  return tree;
}

/** A directory of the host, as `listing`. */
export function hostListing(directory: string): Promise<Record<string, string>> {
  return listing(gnuTar(directory, '--format=pax', '--sort=name', '--numeric-owner', '.'));
}

type Fixture = Omit<TarInput, 'content'> & { readonly content?: string };

const file = (name: string, content: string, more: Partial<Fixture> = {}): Fixture => ({ name, content, ...more });
const directory = (name: string, more: Partial<Fixture> = {}): Fixture => ({ name, type: 'directory', ...more });
const symlink = (name: string, link: string): Fixture => ({ name, type: 'symlink', link, mode: 0o777 });

/** What lies on both ends of a copy. `base` is where it is, for links that are absolute. */
function fixture(base: string, where: string): Fixture[] {
  return [
    directory('.', { mode: 0o751, uid: 7, gid: 8 }),
    file('file', `a file ${where}`, { mode: 0o640, uid: 1000, gid: 29 }),
    file('program', 'x', { mode: 0o4755 }),
    directory('dir', { mode: 0o1750, uid: 1000, gid: 1000 }),
    file('dir/a', `a ${where}`),
    directory('dir/sub', { mode: 0o700 }),
    file('dir/sub/b', `b ${where}`, { mode: 0o600, uid: 12345, gid: 54321 }),
    symlink('dir/link', 'sub/b'),
    { name: 'dir/twin', type: 'link', link: 'dir/a' },
    directory('empty', { mode: 0o755 }),
    directory(`only-${where}`),
    file(`only-${where}/c`, 'c'),
    symlink('link', 'file'),
    symlink('dirlink', 'dir'),
    symlink('abslink', `${base}/dir`),
    symlink('dangling', 'not-there-yet'),
    symlink('loop', 'loop'),
    { name: 'pipe', type: 'fifo', mode: 0o644 },
  ];
}

/** Entries of a layer: the fixture at `/t/NAME` for each. */
export function layerFixtures(names: readonly string[]): TarInput[] {
  const time = { mtime: BigInt(MADE) * 1_000_000_000n };
  return [
    directory('t'),
    ...names.flatMap(name =>
      fixture(`/t/${name}`, 'inside').map(each => ({
        ...each,
        ...time,
        name: `t/${name}${each.name === '.' ? '' : `/${each.name}`}`,
        ...(each.type === 'link' ? { link: `t/${name}/${each.link ?? ''}` } : {}),
      })),
    ),
  ];
}

/** A directory of the host with the fixture in it. */
export class HostFixture implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'tsc-files-'));

  constructor() {
    const entries = fixture(this.path, 'outside').filter(({ type }) => type !== 'fifo');
    for (const each of entries) this.#make(each);
    for (const each of entries.reverse()) lutimesSync(join(this.path, each.name), MADE, MADE);
  }

  #make({ name, type = 'file', mode, uid = 0, gid = 0, link = '', content = '' }: Fixture): void {
    const path = join(this.path, name);
    if (type === 'link') return linkSync(join(this.path, link), path);
    if (type === 'symlink') return symlinkSync(link, path);
    if (type === 'directory') mkdirSync(path, { recursive: true });
    else writeFileSync(path, content);
    lchownSync(path, uid, gid);
    chmodSync(path, mode ?? (type === 'directory' ? 0o755 : 0o644));
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
