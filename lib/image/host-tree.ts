import { createReadStream, lstatSync, readdirSync, readlinkSync, type BigIntStats } from 'node:fs';
import { posix } from 'node:path';

import type { TarInput } from '../archive/writer.js';
import { errorCode, NotFoundError, ParseError } from '../errors.js';
import { elfClosure, locate, type HostEntry } from '../host/closure.js';
import { sha256 } from '../oci/digest.js';
import { failure } from '../store/failure.js';

/** As the kernel's own limit on symbolic links in one look-up. */
const MAX_LINKS = 40;

/** A file, directory or link of the host under its own name, one under another name, or a file made here. */
export type HostFile =
  | string
  | { readonly source: string; readonly target: string }
  | { readonly target: string; readonly content: string | Uint8Array; readonly mode?: number };

type Node =
  | { readonly type: 'directory'; readonly mode: number }
  | { readonly type: 'symlink'; readonly link: string }
  | { readonly type: 'file'; readonly mode: number; readonly content: Uint8Array }
  | { readonly type: 'file'; readonly mode: number; readonly source: string; readonly stat: BigIntStats };

interface Wanted {
  readonly binaries: readonly string[];
  readonly files: readonly HostFile[];
  readonly call: string;
}

/** What any program may expect, with nothing in it that differs between hosts. */
const base: Readonly<Record<string, Node>> = {
  ...Object.fromEntries(
    ['dev', 'etc', 'proc', 'run', 'sys', 'usr', 'var'].map(name => [name, { type: 'directory', mode: 0o755 }]),
  ),
  root: { type: 'directory', mode: 0o700 },
  tmp: { type: 'directory', mode: 0o1777 },
  'var/tmp': { type: 'directory', mode: 0o1777 },
  'etc/passwd': text('root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n'),
  'etc/group': text('root:x:0:\nnogroup:x:65534:\n'),
  'etc/nsswitch.conf': text('passwd: files\ngroup: files\nhosts: files dns\n'),
};

/** Where distributions have, or had, links into `/usr`. */
const merged = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'] as const;

/**
 * A file tree picked from the host: what was asked for, the libraries and interpreters that it needs, and the links and
 * directories on the way to each. Owners are root, times are zero, and set-id bits are left out.
 */
export class HostTree {
  /** The programs' paths, in the order in which they were asked for. */
  readonly programs: readonly string[];
  readonly #nodes: ReadonlyMap<string, Node>;

  private constructor(programs: readonly string[], nodes: ReadonlyMap<string, Node>) {
    this.programs = programs;
    this.#nodes = nodes;
  }

  /** @throws {@link NotFoundError} when a program, a library or a file is not there. */
  static collect(wanted: Wanted): HostTree {
    const picker = new Picker(wanted.call);
    const programs = wanted.binaries.map(name => locate(name, wanted.call));
    const needed = elfClosure(programs, wanted.call);
    for (const entry of needed) picker.addNeeded(entry);
    if (needed.some(isUnusualLibrary)) picker.addIfThere('/etc/ld.so.cache');
    for (const file of wanted.files) picker.addFile(file);
    return new HostTree(programs, picker.finish());
  }

  /** In the order of an archive: by name, so that directories come before what is in them. */
  *entries(): Generator<TarInput, void, undefined> {
    for (const [name, node] of this.#nodes) {
      if (node.type === 'symlink') yield { name, type: 'symlink', link: node.link, mode: 0o777 };
      else if (node.type === 'directory') yield { name, type: 'directory', mode: node.mode };
      else if ('content' in node) yield { name, mode: node.mode, content: node.content };
      else yield { name, mode: node.mode, size: Number(node.stat.size), content: read(node.source) };
    }
  }

  /** Tells whether the tree is the same as another time, without reading the files of the host. */
  fingerprint(): unknown {
    return [...this.#nodes].map(([name, node]) => {
      if (node.type === 'symlink') return [name, node.link];
      if (node.type === 'directory') return [name, node.mode];
      if ('content' in node) return [name, node.mode, sha256(node.content)];
      const { dev, ino, size, mtimeNs, ctimeNs } = node.stat;
      return [name, node.mode, ...[dev, ino, size, mtimeNs, ctimeNs].map(String)];
    });
  }
}

/** Gathers nodes by their path in the image, without the leading slash. */
class Picker {
  readonly #call: string;
  readonly #nodes = new Map<string, Node>(Object.entries(base));

  constructor(call: string) {
    this.#call = call;
    for (const name of merged) if (this.#lstat(`/${name}`)?.isSymbolicLink() === true) this.#addDirectory(`/${name}`);
  }

  /** Adds a path of the host with all links on the way, and a directory with all that is in it. */
  add(path: string, target = path): void {
    const real = this.#addLinks(path, target);
    this.#addReal(real.source, real.target);
  }

  /** A file with the links on the way, or a link alone: what it leads to may be a directory of which little is needed. */
  addNeeded(entry: HostEntry): void {
    if (entry.type === 'symlink') this.#put(entry.path, { type: 'symlink', link: entry.target });
    else this.add(entry.path);
  }

  /** A file, or a link that leads to one: what is behind a link comes as an entry of its own. */
  addEntry(entry: HostEntry): void {
    if (entry.type === 'symlink') this.#put(entry.path, { type: 'symlink', link: entry.target });
    else this.#addReal(entry.path, entry.path);
  }

  /** The links that lead to a directory, and it without what is in it. */
  #addDirectory(path: string): void {
    this.#put(this.#addLinks(path, path).target, { type: 'directory', mode: 0o755 });
  }

  addIfThere(path: string): void {
    if (this.#lstat(path) !== undefined) this.add(path);
  }

  addFile(file: HostFile): void {
    if (typeof file === 'string') return this.add(posix.resolve(file));
    const target = posix.join('/', file.target);
    if ('source' in file) return this.add(posix.resolve(file.source), target);
    this.#put(target, { type: 'file', mode: file.mode ?? 0o644, content: Buffer.from(file.content) });
  }

  finish(): Map<string, Node> {
    return new Map([...this.#nodes].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** Follows the links that lead to a path, and adds each. A path that is put elsewhere has its links followed only. */
  #addLinks(path: string, target: string): { source: string; target: string } {
    const keep = path === target;
    const todo = path.split('/').filter(Boolean).reverse();
    let at = '';
    for (let name = todo.pop(), links = 0; name !== undefined; name = todo.pop()) {
      if (name === '.' || name === '..') {
        at = name === '..' ? posix.dirname(at || '/') : at;
        continue;
      }
      const next = `${at === '/' ? '' : at}/${name}`;
      const stat = this.#lstat(next);
      if (stat === undefined) throw this.#missing(next, path);
      if (!stat.isSymbolicLink()) {
        at = next;
        continue;
      }
      if (++links > MAX_LINKS) throw new ParseError({ call: this.#call, source: path, reason: 'is a link to itself' });
      const link = readlinkSync(next);
      if (keep) this.#put(next, { type: 'symlink', link });
      if (link.startsWith('/')) at = '';
      todo.push(...link.split('/').filter(Boolean).reverse());
    }
    return { source: at === '' ? '/' : at, target: keep ? at : target };
  }

  #addReal(source: string, target: string): void {
    const stat = this.#lstat(source);
    if (stat === undefined) throw this.#missing(source, source);
    if (stat.isFile()) {
      return this.#put(target, { type: 'file', mode: Number(stat.mode & 0o777n), source, stat });
    }
    if (stat.isSymbolicLink()) return this.#put(target, { type: 'symlink', link: readlinkSync(source) });
    // Sockets, fifos and devices are this machine's.
    if (!stat.isDirectory()) return;
    this.#put(target, { type: 'directory', mode: Number(stat.mode & 0o1777n) });
    for (const name of readdirSync(source)) this.#addReal(posix.join(source, name), posix.join(target, name));
  }

  #put(path: string, node: Node): void {
    const parts = path.split('/').filter(Boolean);
    if (parts.length === 0) return;
    for (let i = 1; i < parts.length; i++) {
      const parent = parts.slice(0, i).join('/');
      if (!this.#nodes.has(parent)) this.#nodes.set(parent, { type: 'directory', mode: 0o755 });
    }
    this.#nodes.set(parts.join('/'), node);
  }

  #lstat(path: string): BigIntStats | undefined {
    try {
      return lstatSync(path, { bigint: true, throwIfNoEntry: false });
    } catch (error) {
      if (errorCode(error) === 'ENOTDIR') return undefined;
      throw failure(this.#call, path, error);
    }
  }

  #missing(path: string, wanted: string): NotFoundError {
    const remedy = path === wanted ? '' : `${wanted} leads there`;
    return new NotFoundError({ call: this.#call, kind: 'file', ref: path, ...(remedy !== '' && { remedy }) });
  }
}

/** The loader finds it by its cache only. */
function isUnusualLibrary({ path }: HostEntry): boolean {
  return /\.so(?:\.|$)/.test(path) && !/^(?:\/usr)?\/lib(?:32|64|x32)?(?:\/[^/]*-linux-[^/]*)?\/[^/]+$/.test(path);
}

/** A file is opened when its turn comes. */
async function* read(path: string): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) yield chunk as Buffer;
}

function text(content: string): Node {
  return { type: 'file', mode: 0o644, content: Buffer.from(content) };
}
