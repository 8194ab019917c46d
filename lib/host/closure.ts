import { closeSync, lstatSync, openSync, readFileSync, readSync, readdirSync, readlinkSync } from 'node:fs';
import { delimiter, dirname, join, posix } from 'node:path';

import { NotFoundError, ParseError, errorCode } from '../errors.js';
import { readElf, type ElfFile } from './elf.js';

/** A file of the host, or a symbolic link on the way to one. */
export type HostEntry =
  | { readonly type: 'file'; readonly path: string }
  | { readonly type: 'symlink'; readonly path: string; readonly target: string };

const MAX_LINKS = 40;
const standardDirectories = ['/lib64', '/usr/lib64', '/lib', '/usr/lib', '/usr/local/lib'];

/**
 * All that programs of this host need to run somewhere else: themselves, their dynamic loader, their libraries, the
 * interpreters of scripts, and every symbolic link on the way. Found by reading the files; nothing is run.
 *
 * @param programs - Paths, or names to be found in `PATH`.
 * @returns By path, sorted.
 * @throws {@link NotFoundError} for a program or library that is not there.
 */
export function elfClosure(programs: readonly string[], call = 'images.fromHost'): HostEntry[] {
  const closure = new Closure(call);
  for (const program of programs) closure.add(locate(program, call));
  return closure.entries();
}

/** Where a program is. A name with a slash is a path already. */
export function locate(program: string, call = 'images.fromHost'): string {
  if (program.includes('/')) {
    if (!program.startsWith('/'))
      throw new TypeError(`${call}: binaries: expected names or absolute paths, got ${JSON.stringify(program)}`);
    return posix.normalize(program);
  }
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
  const found = directories
    .filter(directory => directory.startsWith('/'))
    .map(directory => join(directory, program))
    .find(isFile);
  if (found === undefined)
    throw new NotFoundError({
      call,
      kind: 'file',
      ref: program,
      remedy: 'It is not in PATH: install it, or give its path',
    });
  return found;
}

class Closure {
  readonly #call: string;
  readonly #entries = new Map<string, HostEntry>();
  readonly #directories = libraryDirectories();

  constructor(call: string) {
    this.#call = call;
  }

  entries(): HostEntry[] {
    return [...this.#entries.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  add(path: string): void {
    const real = this.#follow(path);
    if (this.#entries.has(real)) return;
    this.#entries.set(real, { type: 'file', path: real });
    const script = interpreterOf(real);
    if (script !== undefined) return this.add(locate(script, this.#call));
    const elf = readElf(real);
    if (elf === undefined) return;
    if (elf.interpreter !== undefined) this.add(elf.interpreter);
    for (const name of elf.needed) this.add(this.#library(name, elf, real, path));
  }

  /** Notes the links on the way and returns where the path ends. */
  #follow(path: string): string {
    let todo = path.split('/').filter(Boolean).reverse();
    let real = '';
    for (let name = todo.pop(), links = 0; name !== undefined; name = todo.pop()) {
      if (name === '.') continue;
      if (name === '..') {
        real = dirname(real === '' ? '/' : real).replace(/^\/$/, '');
        continue;
      }
      const here = `${real}/${name}`;
      const stat = lstatSync(here, { throwIfNoEntry: false });
      if (stat === undefined) throw new NotFoundError({ call: this.#call, kind: 'file', ref: path });
      if (!stat.isSymbolicLink()) {
        real = here;
        continue;
      }
      if (++links > MAX_LINKS)
        throw new ParseError({ call: this.#call, source: path, reason: 'is a circle of symbolic links' });
      const target = readlinkSync(here);
      this.#entries.set(here, { type: 'symlink', path: here, target });
      if (target.startsWith('/')) real = '';
      todo = [...todo, ...target.split('/').filter(Boolean).reverse()];
    }
    return real;
  }

  /** Looks where the loader would: ld.so(8). The environment is left out, since it is not the container's. */
  #library(name: string, elf: ElfFile, user: string, asked: string): string {
    if (name.includes('/')) return name;
    const own = elf.runpath.length > 0 ? elf.runpath : elf.rpath;
    const origins = [dirname(user), dirname(asked)];
    const first = own.flatMap(directory =>
      origins.map(origin => posix.normalize(directory.replace(/\$ORIGIN|\$\{ORIGIN\}/g, origin))),
    );
    const found = [...first, ...this.#directories]
      .map(directory => join(directory, name))
      .find(path => isFile(path) && readElf(path)?.kind === elf.kind);
    if (found !== undefined) return found;
    throw new NotFoundError({
      call: this.#call,
      kind: 'file',
      ref: name,
      remedy: `${asked} needs this library, and it is nowhere where the loader looks`,
    });
  }
}

/** `#!interpreter argument`; with `env`, what that is told to start is needed as well, but only known by name. */
function interpreterOf(path: string): string | undefined {
  const head = Buffer.alloc(256);
  const fd = openSync(path, 'r');
  try {
    readSync(fd, head, 0, head.length, 0);
  } finally {
    closeSync(fd);
  }
  if (head[0] !== 0x23 || head[1] !== 0x21) return undefined;
  return head.toString('latin1', 2).split('\n')[0]?.trim().split(/\s+/)[0];
}

/** Those of `/etc/ld.so.conf` and what it includes, then the standard ones. */
function libraryDirectories(): string[] {
  return [...configured('/etc/ld.so.conf'), ...standardDirectories];
}

function configured(path: string): string[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    // musl's hosts have none.
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
  return text.split('\n').flatMap(line => {
    const words = line.replace(/#.*/, '').trim().split(/\s+/);
    if (words[0] === 'include') return words.slice(1).flatMap(included);
    return words[0] === undefined || words[0] === '' ? [] : [words[0]];
  });
}

/** Only the pattern that every distribution uses: one directory, `*.conf`. */
function included(pattern: string): string[] {
  const directory = dirname(pattern.startsWith('/') ? pattern : `/etc/${pattern}`);
  try {
    return readdirSync(directory)
      .filter(name => name.endsWith('.conf'))
      .sort()
      .flatMap(name => configured(join(directory, name)));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

function isFile(path: string): boolean {
  try {
    // Through links, to whatever they lead to.
    const fd = openSync(path, 'r');
    closeSync(fd);
    return true;
  } catch {
    return false; // Not there, or not readable: the next directory is tried.
  }
}
