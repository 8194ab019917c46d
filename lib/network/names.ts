import { mkdirSync, readdirSync, readlinkSync, rmdirSync, rmSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';

import { errorCode } from '../errors.js';

/** Names under which containers reach their host, on every network that has names. */
export const hostNames: readonly string[] = ['host.docker.internal', 'host.containers.internal'];

/** In place of a container, in the links of {@link hostNames}. */
const host = 'host';

/**
 * The names of one network, as the resolvers of its members read them: `names/<name>/<address>`, a symbolic link to the id of
 * the container. A member joins and leaves by making and removing its own links, so there is nothing to write whole and
 * nothing to lock, and the next question sees it.
 */
export class Names {
  readonly #directory: string;

  constructor(runDirectory: string) {
    this.#directory = join(runDirectory, 'names');
  }

  /** Enters addresses under names. Returns the links, for whoever removes them when the container is gone. */
  enter(container: string, names: readonly string[], addresses: readonly string[]): string[] {
    const links = this.linksFor(names, addresses);
    for (const path of links) link(container, path);
    return links;
  }

  /** Where {@link Names.enter} enters them. */
  linksFor(names: readonly string[], addresses: readonly string[]): string[] {
    const all = [...new Set(names.map(each => each.toLowerCase()))];
    return all.flatMap(name => addresses.map(address => join(this.#directory, name, address)));
  }

  /**
   * Names that only one member knows, each for a name that all know: links. Returns the directory for its resolver, and what
   * to remove when the container is gone, in that order.
   */
  alias(container: string, aliases: Readonly<Record<string, string>>): { directory: string; links: string[] } {
    const paths = this.aliasPaths(container, Object.keys(aliases));
    mkdirSync(join(paths.directory, 'names'), { recursive: true, mode: 0o700 });
    for (const [i, name] of Object.values(aliases).entries()) {
      const path = paths.links[i] ?? '';
      rmSync(path, { force: true });
      // Not to its address, which changes with every start, but to its name.
      symlinkSync(`../../${name.toLowerCase()}`, path);
    }
    return paths;
  }

  /** Where {@link Names.alias} has them. */
  aliasPaths(container: string, aliases: readonly string[]): { directory: string; links: string[] } {
    const directory = join(this.#directory, `.${container}`);
    const names = join(directory, 'names');
    return { directory, links: [...aliases.map(alias => join(names, alias.toLowerCase())), names, directory] };
  }

  /** The host, at the bridge's addresses. */
  enterHost(addresses: readonly string[]): void {
    this.enter(host, hostNames, addresses);
  }

  /** Removes all of what containers have that do not satisfy `keep`. */
  sweep(keep: (container: string) => boolean): void {
    for (const name of list(this.#directory)) {
      if (name.startsWith('.')) {
        if (!keep(name.slice(1))) rmSync(join(this.#directory, name), { recursive: true, force: true });
        continue;
      }
      for (const address of list(join(this.#directory, name))) {
        const path = join(this.#directory, name, address);
        if (!keep(textOf(path))) removeLink(path);
      }
    }
  }

  /** What is entered: name to addresses. */
  list(): Record<string, string[]> {
    return Object.fromEntries(
      list(this.#directory)
        .filter(name => !name.startsWith('.'))
        .map(name => [name, list(join(this.#directory, name)).sort()] as const),
    );
  }

  /** When nobody is there any more. */
  clear(): void {
    this.sweep(() => false);
    removeDirectory(this.#directory);
  }
}

/** Removes a link that {@link Names.enter} made, and the name with its last address. */
export function removeLink(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (errorCode(error) === 'EISDIR') removeDirectory(path);
    else if (errorCode(error) !== 'ENOENT') throw error;
  }
  removeDirectory(join(path, '..'));
}

function link(container: string, path: string): void {
  for (;;) {
    try {
      symlinkSync(container, path);
      return;
    } catch (error) {
      const code = errorCode(error);
      // The last one with that name may leave at this moment, and take the directory along.
      if (code === 'ENOENT') mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 });
      // The address is ours now, so whoever entered it before is gone.
      else if (code === 'EEXIST') {
        if (textOf(path) === container) return;
        removeLink(path);
      } else throw error;
    }
  }
}

function textOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return '';
    throw error;
  }
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

function removeDirectory(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(errorCode(error) ?? '')) throw error;
  }
}
