import { createReadStream, existsSync, statSync, watch, type FSWatcher } from 'node:fs';
import { open } from 'node:fs/promises';

import { sleep } from '../util/abort.js';
import type { LogLine, LogOptions } from './options.js';

const CHUNK = 256 * 1024;
/** How often a followed file is looked at when the file system sends no notice, in milliseconds. */
const POLL_MS = 500;

/** Where a log is, and whether more may come. */
export interface LogSource {
  readonly path: string;
  readonly maxFiles: number;
  /** Resolves when the container has ended and its last line is in the file. */
  ended(): Promise<unknown>;
}

/**
 * Reads a log in Docker's json-file format, over rotated files, oldest line first, and goes on with what is written
 * when `follow` is set. A line that the writer has only begun is not shown until it is whole.
 */
export async function* readLog(source: LogSource, options: LogOptions = {}): AsyncGenerator<LogLine, void, undefined> {
  options.signal?.throwIfAborted();
  for await (const text of rawLines(source, options)) {
    const line = parseLine(text);
    if (line === undefined) continue;
    if (options.since !== undefined && line.time < new Date(Number(options.since))) continue;
    if (options.until !== undefined && line.time > new Date(Number(options.until))) {
      if (options.follow === true) return;
      continue;
    }
    if (options.stream === undefined || options.stream === line.stream) yield line;
  }
}

async function* rawLines(source: LogSource, options: LogOptions): AsyncGenerator<string, void, undefined> {
  // Asked for before the first byte is read: whatever is written before the end is then surely read.
  let over = false;
  const end = options.follow === true ? source.ended().then(() => (over = true)) : undefined;
  const start = options.tail === undefined ? undefined : await tailStart(source, options.tail);
  for (const path of rotated(source)) {
    if (start !== undefined && start.skip.has(path)) continue;
    yield* linesOf(path, start?.path === path ? start.offset : 0, options.signal);
  }
  yield* currentLines(source, start?.path === source.path ? start.offset : 0, end, () => over, options.signal);
}

/** The current file, and with `end` what is written to it, over rotations, until that has come. */
async function* currentLines(
  source: LogSource,
  from: number,
  end: Promise<unknown> | undefined,
  isOver: () => boolean,
  signal: AbortSignal | undefined,
): AsyncGenerator<string, void, undefined> {
  const watch = end === undefined ? undefined : new FileWatch(source.path);
  try {
    let inode = inodeOf(source.path);
    for (let offset = from; ;) {
      const last = isOver() || end === undefined;
      watch?.arm();
      const reader = new LineReader(offset);
      yield* reader.lines(source.path, signal);
      offset = reader.offset;
      if (last) return;
      await watch?.next(end, signal);
      const now = inodeOf(source.path);
      if (inode !== undefined && now !== inode) {
        // Rotated: first the rest of what is now `.1`, if it is still there.
        if (existsSync(`${source.path}.1`)) yield* linesOf(`${source.path}.1`, offset, signal);
        offset = 0;
      }
      inode = now;
    }
  } finally {
    watch?.close();
  }
}

/** Older files, oldest first; without the current one. */
function rotated(source: LogSource): string[] {
  return Array.from(
    { length: source.maxFiles - 1 },
    (_, index) => `${source.path}.${source.maxFiles - 1 - index}`,
  ).filter(existsSync);
}

async function* linesOf(
  path: string,
  offset: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<string, void, undefined> {
  yield* new LineReader(offset).lines(path, signal);
}

class LineReader {
  /** Behind the last whole line. */
  offset: number;

  constructor(offset: number) {
    this.offset = offset;
  }

  async *lines(path: string, signal: AbortSignal | undefined): AsyncGenerator<string, void, undefined> {
    if (!existsSync(path)) return;
    let rest: Buffer = Buffer.alloc(0);
    const stream = createReadStream(path, { start: this.offset, highWaterMark: CHUNK });
    try {
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        signal?.throwIfAborted();
        const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
        const end = bytes.lastIndexOf(10);
        rest = bytes.subarray(end + 1);
        if (end < 0) continue;
        this.offset += end + 1;
        for (const line of bytes.toString('utf8', 0, end).split('\n')) yield line;
      }
    } finally {
      stream.destroy();
    }
  }
}

/** Where the last `count` lines begin: read backwards, so that the size of the log does not matter. */
async function tailStart(
  source: LogSource,
  count: number,
): Promise<{ path: string; offset: number; skip: Set<string> }> {
  const files = [...rotated(source), source.path].reverse();
  let missing = count;
  for (const [index, path] of files.entries()) {
    const found = existsSync(path) ? await offsetOfLast(path, missing) : { offset: 0, lines: 0 };
    if (found.lines >= missing || index === files.length - 1)
      return { path, offset: found.offset, skip: new Set(files.slice(index + 1)) };
    missing -= found.lines;
  }
  return { path: source.path, offset: 0, skip: new Set() };
}

async function offsetOfLast(path: string, count: number): Promise<{ offset: number; lines: number }> {
  await using file = await open(path, 'r');
  const { size } = await file.stat();
  let lines = 0;
  const buffer = Buffer.alloc(CHUNK);
  for (let end = size; end > 0; end -= Math.min(end, CHUNK)) {
    const from = Math.max(0, end - CHUNK);
    await file.read(buffer, 0, end - from, from);
    for (let at = end - from - 1; at >= 0; at--) {
      // The newline at the very end closes the last line; the one before line n from the end is where to begin.
      if (buffer[at] === 10 && from + at !== size - 1 && ++lines === count) return { offset: from + at + 1, lines };
    }
  }
  return count === 0 ? { offset: size, lines: 0 } : { offset: 0, lines: size > 0 ? lines + 1 : 0 };
}

/** One entry; `undefined` for what a crash left behind. */
function parseLine(text: string): LogLine | undefined {
  try {
    const entry = JSON.parse(text) as { log: string; stream: 'stdout' | 'stderr'; time: string };
    const partial = !entry.log.endsWith('\n');
    return {
      time: new Date(entry.time),
      timestamp: entry.time,
      stream: entry.stream,
      text: partial ? entry.log : entry.log.slice(0, -1),
      partial,
    };
  } catch {
    return undefined; // Half a line: the machine went down while it was written. The next one is whole again.
  }
}

/** Tells when a file has changed since it was armed, so that a change during the reading is not missed. */
class FileWatch {
  readonly #path: string;
  #watcher: FSWatcher | undefined;
  #inode: number | undefined;
  #changed = false;
  #wake = (): void => {};

  constructor(path: string) {
    this.#path = path;
  }

  /** From now on changes count. A file that was rotated is another one, and is watched anew. */
  arm(): void {
    this.#changed = false;
    const inode = inodeOf(this.#path);
    if (this.#watcher !== undefined && inode === this.#inode) return;
    this.close();
    this.#inode = inode;
    try {
      this.#watcher = watch(this.#path, () => this.#tell());
      this.#watcher.on('error', () => this.#tell());
    } catch {
      // Not there before the first byte, or no watches left: then it is looked at now and then.
    }
  }

  /** Resolves at the next change, the end, or after a while, since not every file system sends notices. */
  async next(end: Promise<unknown>, signal: AbortSignal | undefined): Promise<void> {
    if (this.#changed) return;
    const done = new AbortController();
    const either = signal === undefined ? done.signal : AbortSignal.any([signal, done.signal]);
    const poll = sleep(this.#watcher === undefined ? 20 : POLL_MS, either);
    poll.catch(() => {}); // Ended below.
    try {
      await Promise.race([new Promise<void>(resolve => (this.#wake = resolve)), poll, end]);
    } finally {
      done.abort();
    }
  }

  close(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  #tell(): void {
    this.#changed = true;
    this.#wake();
  }
}

function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}
