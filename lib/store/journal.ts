import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

import { errorCode } from '../errors.js';
import type { AbortOptions, EngineEvent } from '../types.js';
import { attempt } from './failure.js';
import { formatOwner, nonce, self } from './owner.js';
import { DirectoryWatch } from './watch.js';

/** A file that is larger is followed by the next, and the one before it goes: never more than about twice this. */
const MAX_BYTES = 8 * 1024 * 1024;

/** Looked at this often even if no watch says so. */
const POLL_MS = 250;

/** A line may be there twice only around a change of files. */
const REMEMBERED_KEYS = 4096;

export interface TailOptions extends AbortOptions {
  /** Begins with the events at or after this instant that are still kept. Default: with what happens from now on. */
  readonly since?: Date;
}

/**
 * Every event of every process, in numbered files of JSON lines; the highest number is the current one. A line is one
 * write(2) to a file opened for appending, so writers need no lock and lines do not mix.
 *
 * Another process may start the next file between our opening and our writing, and whoever reads has moved on then. So a
 * writer looks afterwards, and writes its line to the next file, too; readers know it by its key. Readers in turn look for
 * the next file before they read the rest of theirs. Thus no line is missed.
 */
export class Journal {
  readonly #directory: string;
  readonly #maxBytes: number;
  readonly #writer = `${formatOwner(self())}-${nonce()}`;
  #count = 0;
  #file: { readonly number: number; readonly fd: number } | undefined;

  constructor(directory: string, options: { readonly maxBytes?: number } = {}) {
    this.#directory = directory;
    this.#maxBytes = options.maxBytes ?? MAX_BYTES;
  }

  /** Writes an event. Not synced: after a power cut the last ones may be missing. */
  append(event: EngineEvent): void {
    const line = Buffer.from(
      `${JSON.stringify({ key: `${this.#writer}-${this.#count++}`, event: printable(event) })}\n`,
    );
    attempt('journal.append', this.#directory, () => {
      for (;;) {
        const { number, fd } = (this.#file ??= openLatest(this.#directory));
        writeLine(fd, line);
        const { nlink, size } = fstatSync(fd);
        if (nlink > 0 && !exists(this.#directory, number + 1)) {
          if (size > this.#maxBytes) this.#turn(number);
          return;
        }
        this.close();
      }
    });
  }

  /**
   * The events of all processes as they happen, until aborted or left by `break`; then no watch and no descriptor is left.
   *
   * @throws `options.signal.reason` when aborted.
   */
  async *tail(options: TailOptions = {}): AsyncGenerator<EngineEvent, void, undefined> {
    const { since, signal } = options;
    signal?.throwIfAborted();
    const seen = new Set<string>();
    // The watch before the first look: what comes in between is noticed then.
    using changes = new DirectoryWatch(this.#directory);
    using reader = new Reader(this.#directory, since !== undefined);
    for (;;) {
      for (const text of reader.lines()) {
        const line = parseLine(text);
        if (line === undefined || !remember(seen, line.key)) continue;
        if (since === undefined || line.event.time >= since) yield line.event;
        signal?.throwIfAborted();
      }
      await changes.changed(POLL_MS, signal);
    }
  }

  /** Lets go of the file. The next append opens it again. */
  close(): void {
    if (this.#file !== undefined) closeSync(this.#file.fd);
    this.#file = undefined;
  }

  #turn(number: number): void {
    create(this.#directory, number + 1);
    for (const old of numbers(this.#directory)) if (old < number) remove(this.#directory, old);
    this.close();
  }
}

/** Reads lines from one file after the other. */
class Reader implements Disposable {
  readonly #directory: string;
  #number: number;
  #fd: number | undefined;
  #offset = 0;
  /** Of a line whose end is not written yet. */
  #rest = Buffer.alloc(0);

  constructor(directory: string, fromStart: boolean) {
    this.#directory = directory;
    const all = numbers(directory);
    this.#number = (fromStart ? all[0] : all.at(-1)) ?? 1;
    this.#fd = openIfThere(directory, this.#number, constants.O_RDONLY);
    if (!fromStart && this.#fd !== undefined) this.#offset = fstatSync(this.#fd).size;
  }

  /** All whole lines there are now. */
  *lines(): Generator<string> {
    for (;;) {
      this.#fd ??= openIfThere(this.#directory, this.#number, constants.O_RDONLY);
      const next = numbers(this.#directory).find(number => number > this.#number);
      if (this.#fd !== undefined) yield* this.#drain(this.#fd);
      if (next === undefined) return;
      this.#moveTo(next);
    }
  }

  [Symbol.dispose](): void {
    this.#moveTo(this.#number);
  }

  #moveTo(number: number): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    this.#number = number;
    this.#offset = 0;
    this.#rest = Buffer.alloc(0);
  }

  *#drain(fd: number): Generator<string> {
    const buffer = Buffer.allocUnsafe(64 * 1024);
    for (let length; (length = readSync(fd, buffer, 0, buffer.length, this.#offset)) > 0;) {
      this.#offset += length;
      let bytes = Buffer.concat([this.#rest, buffer.subarray(0, length)]);
      for (let end; (end = bytes.indexOf(10)) >= 0;) {
        const text = bytes.toString('utf8', 0, end);
        this.#rest = bytes = bytes.subarray(end + 1);
        yield text;
      }
      this.#rest = bytes;
    }
  }
}

/** What comes after `key` in a line. Errors have more than JSON shows, and dates come back as text. */
function printable(event: EngineEvent): unknown {
  if (event.type !== 'warning' || event.error === undefined) return event;
  const { name, code, message } = event.error;
  return { ...event, error: { name, code, message } };
}

function parseLine(text: string): { readonly key: string; readonly event: EngineEvent } | undefined {
  try {
    const { key, event } = JSON.parse(text) as { key: string; event: EngineEvent & { time: string } };
    return { key, event: { ...event, time: new Date(event.time) } as EngineEvent };
  } catch {
    // Cut short by a full disk. Whoever wrote it was told.
    return undefined;
  }
}

/** `false` when it was there. */
function remember(seen: Set<string>, key: string): boolean {
  if (seen.has(key)) return false;
  seen.add(key);
  if (seen.size > REMEMBERED_KEYS) for (const oldest of seen) return seen.delete(oldest);
  return true;
}

function openLatest(directory: string): { number: number; fd: number } {
  for (;;) {
    const number = numbers(directory).at(-1) ?? create(directory, 1);
    // Not created here: one that is gone must stay gone, or its number would come after the next.
    const fd = openIfThere(directory, number, constants.O_WRONLY | constants.O_APPEND);
    if (fd !== undefined) return { number, fd };
  }
}

function writeLine(fd: number, line: Buffer): void {
  const written = writeSync(fd, line);
  // A full disk takes a part. What is missing would run into the next line, and spoil that one, too.
  if (written < line.length) writeSync(fd, '\n');
}

function path(directory: string, number: number): string {
  return join(directory, String(number).padStart(10, '0'));
}

function numbers(directory: string): number[] {
  return readdirSync(directory)
    .filter(name => /^\d{10}$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);
}

function exists(directory: string, number: number): boolean {
  return statSync(path(directory, number), { throwIfNoEntry: false }) !== undefined;
}

function create(directory: string, number: number): number {
  try {
    closeSync(openSync(path(directory, number), 'wx', 0o600));
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
  }
  return number;
}

function remove(directory: string, number: number): void {
  try {
    unlinkSync(path(directory, number));
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}

function openIfThere(directory: string, number: number, flags: number): number | undefined {
  try {
    return openSync(path(directory, number), flags);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
