import { mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { errorCode, ParseError } from '../errors.js';
import { writeFileAtomic } from '../util/files.js';
import { attempt } from './failure.js';
import type { Locks } from './locks.js';
import { Names } from './names.js';
import type { Trash, Warn } from './trash.js';

/** What we write. A newer one was written by a newer version of this package. */
const SCHEMA = 1;

const FORGOTTEN_MS = 60_000;

/** The kinds of resources that have records. */
export const recordKinds = ['images', 'containers', 'volumes', 'networks'] as const;
export type RecordKind = (typeof recordKinds)[number];

export interface WriteOptions {
  /** `false` saves two fsyncs: still whole or not at all, but a power cut may lose it. Default `true`. */
  readonly durable?: boolean;
}

interface RecordsSetup {
  readonly root: string;
  readonly kind: RecordKind;
  readonly locks: Locks;
  readonly trash: Trash;
  readonly warn: Warn;
}

/**
 * One JSON file per resource: `<kind>/<id>/record.json`, next to whatever else the resource keeps in its directory.
 * Written whole by rename, so readers need no lock. Synchronous: each is a few hundred bytes in the page cache.
 */
export class Records<T extends { readonly id: string }> {
  readonly kind: RecordKind;
  readonly #directory: string;
  readonly #setup: RecordsSetup;
  readonly #names: Names;

  constructor(setup: RecordsSetup) {
    this.kind = setup.kind;
    this.#setup = setup;
    this.#directory = join(setup.root, setup.kind);
    this.#names = new Names({
      ...setup,
      directory: join(setup.root, 'names', setup.kind),
      known: id => id !== '' && this.has(id),
    });
  }

  /** The directory of a resource. Made by the first {@link Records.put}. */
  directory(id: string): string {
    checkId(id);
    return join(this.#directory, id);
  }

  has(id: string): boolean {
    return statSync(this.#path(id), { throwIfNoEntry: false }) !== undefined;
  }

  /**
   * `undefined` when there is none. One that is not JSON is set aside, with a warning, and is none from then on.
   *
   * @throws {@link ParseError} when a newer version of this package wrote it.
   */
  get(id: string): T | undefined {
    const path = this.#path(id);
    const text = attempt('records.get', path, () => readText(path));
    return text === undefined ? undefined : this.#parse(path, text);
  }

  /** All of them, in no particular order. Fails like {@link Records.get}. */
  list(): T[] {
    return this.ids().flatMap(id => this.get(id) ?? []);
  }

  /** Ids that have a directory. Costs one readdir(3); not each has, or still has, a record. */
  ids(): string[] {
    return attempt('records.list', this.#directory, () => readdirSync(this.#directory));
  }

  /** Writes a record, new or in place of the former. */
  put(record: T, options: WriteOptions = {}): void {
    const path = this.#path(record.id);
    const { id, ...rest } = record;
    const text = JSON.stringify({ schema: SCHEMA, id, ...rest });
    attempt('records.put', path, () => {
      const directory = this.directory(id);
      if (statSync(directory, { throwIfNoEntry: false }) === undefined) makeDirectory(directory);
      writeFileAtomic(path, text, { aside: join(this.#setup.root, 'tmp'), durable: options.durable ?? true });
    });
  }

  /**
   * Reads, changes and writes a record while no other process does. `change` must not wait, and may return `undefined`
   * to leave things as they are.
   *
   * @returns The record as it is now; `undefined` when there is none.
   */
  update(id: string, change: (record: T) => T | undefined, options: WriteOptions = {}): T | undefined {
    return this.#setup.locks.during(`record-${this.kind}-${id}`, () => {
      const before = this.get(id);
      const after = before && change(before);
      if (after !== undefined) this.put(after, options);
      return after ?? before;
    });
  }

  /**
   * Deletes a resource: its record, its names, and its directory with all that is in there. That is one rename, so it is
   * gone at once and whole; what it takes on disk goes in the background.
   *
   * @returns `false` when there was no such resource.
   */
  delete(id: string, names: readonly string[] = []): boolean {
    const directory = this.directory(id);
    return attempt('records.delete', directory, () =>
      this.#names.releaseAll(names, id, () => this.#setup.trash.discard(directory)),
    );
  }

  /** Takes a name for an id, before its record is written. `false` when another has it. */
  claim(name: string, id: string, options: WriteOptions = {}): boolean {
    checkId(id);
    return this.#names.claim(name, id, options.durable ?? true);
  }

  /** Gives a name to an id, whoever had it: how tags move. */
  assign(name: string, id: string, options: WriteOptions = {}): void {
    checkId(id);
    this.#names.assign(name, id, options.durable ?? true);
  }

  /** Lets go of a name. With an `id`, only if that is who has it. */
  release(name: string, id?: string): boolean {
    return this.#names.release(name, id);
  }

  /** The id that has a name. Its record may not be written yet, or no more. */
  resolve(name: string): string | undefined {
    return this.#names.resolve(name);
  }

  /** All names and their ids. */
  names(): Map<string, string> {
    return this.#names.list();
  }

  /** Removes what kills left: names that nobody has, and empty directories. Reads all names. */
  sweep(): void {
    attempt('records.sweep', this.#directory, () => {
      this.#names.sweep();
      for (const id of this.ids()) if (!this.has(id)) removeIfForgotten(this.directory(id));
    });
  }

  #path(id: string): string {
    checkId(id);
    return `${this.#directory}/${id}/record.json`;
  }

  #parse(path: string, text: string): T | undefined {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      return this.#setAside(path, error);
    }
    if (typeof value !== 'object' || value === null || !('schema' in value) || !('id' in value))
      return this.#setAside(path, undefined);
    const { schema, ...record } = value as { schema: unknown; id: string };
    if (schema === SCHEMA) return record as unknown as T;
    throw new ParseError({
      call: 'records.get',
      source: path,
      reason: `has schema ${JSON.stringify(schema)}, and this version of tscontainer reads up to ${SCHEMA}`,
      remedy: 'Use the version that wrote it, or a newer one',
    });
  }

  #setAside(path: string, error: unknown): undefined {
    const aside = `${path}.corrupt`;
    try {
      renameSync(path, aside);
      this.#setup.warn(`store: ${path}: is damaged, and was set aside as ${aside}`, error);
    } catch (cause) {
      this.#setup.warn(`store: ${path}: is damaged, and could not be set aside`, cause);
    }
    return undefined;
  }
}

/** Ids become names of directories. */
export function checkId(id: string): void {
  if (/^[A-Za-z0-9][\w.:-]{0,254}$/.test(id)) return;
  throw new TypeError(
    `store: ${JSON.stringify(id)} is no id: expected letters, digits, "_", ".", ":" and "-", at most 255`,
  );
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another process was faster.
    if (errorCode(error) !== 'EEXIST') throw error;
  }
}

/** Whoever makes a directory puts a record in it at once. What has something else in it is not ours to judge. */
function removeIfForgotten(path: string): void {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined || Date.now() - stat.ctimeMs < FORGOTTEN_MS) return;
  try {
    rmdirSync(path);
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST', 'ENOENT', 'ENOTDIR'].includes(errorCode(error) ?? '')) throw error;
  }
}
