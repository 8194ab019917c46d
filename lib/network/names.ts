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
    const links: string[] = [];
    for (const name of new Set(names.map(each => each.toLowerCase()))) {
      const directory = join(this.#directory, name);
      for (const address of addresses) {
        link(container, directory, address);
        links.push(join(directory, address));
      }
    }
    return links;
  }

  /**
   * Names that only one member knows, each for a name that all know: links. Returns the directory for its resolver, and what
   * to remove when the container is gone, in that order.
   */
  alias(container: string, aliases: Readonly<Record<string, string>>): { directory: string; links: string[] } {
    const directory = join(this.#directory, `.${container}`);
    const names = join(directory, 'names');
    mkdirSync(names, { recursive: true, mode: 0o700 });
    const links = Object.entries(aliases).map(([alias, name]) => {
      const path = join(names, alias.toLowerCase());
      rmSync(path, { force: true });
      // Not to its address, which changes with every start, but to its name.
      symlinkSync(`../../${name.toLowerCase()}`, path);
      return path;
    });
    return { directory, links: [...links, names, directory] };
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
    if (errorCode(error) !== 'ENOENT') throw error;
  }
  removeDirectory(join(path, '..'));
}

function link(container: string, directory: string, address: string): void {
  const path = join(directory, address);
  for (;;) {
    try {
      symlinkSync(container, path);
      return;
    } catch (error) {
      const code = errorCode(error);
      // The last one with that name may leave at this moment, and take the directory along.
      if (code === 'ENOENT') mkdirSync(directory, { recursive: true, mode: 0o700 });
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
