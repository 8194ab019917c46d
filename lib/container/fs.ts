import { Readable, type Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';

import { LimitError, SyscallError } from '../errors.js';
import type { Fact } from '../host/job.js';
import type { Plan } from '../host/plan.js';
import type { AbortOptions } from '../types.js';
import type { FileStat, FileType } from './fs-stat.js';
import type { FilesOf } from './view.js';

/** What is in a directory. */
export interface DirectoryEntry {
  readonly name: string;
  readonly type: FileType;
}

/** How a file is written. */
export interface WriteFileOptions extends AbortOptions {
  /** `replace` what is there, `append` to it, or `create` and fail when there is something. @defaultValue `'replace'` */
  readonly how?: 'replace' | 'append' | 'create';
  /** Permissions, also of one that is there. Default: `0o644` for a new one. */
  readonly mode?: number;
  /** Whose it is, also of one that is there. Default: root's, for a new one. */
  readonly owner?: { readonly uid: number; readonly gid: number };
}

const READ_MAX_BYTES = 256 * 1024 * 1024;

/**
 * The files of a container, as its own processes see them, whether it runs or not; but not `/proc`, `/sys` and `/dev`,
 * which are the kernel's. Paths are from its root, and no link in them leads out. What cannot be done rejects with a
 * `SyscallError` that has `errno` and `path`.
 */
export class ContainerFiles {
  readonly #of: (call: string) => FilesOf;

  /** @internal */
  constructor(of: (call: string) => FilesOf) {
    this.#of = of;
  }

  /**
   * Reads a file.
   *
   * @param options.encoding - Default: none, the bytes.
   * @param options.maxBytes - A larger one is refused with a {@link LimitError}. Default 256 MiB.
   */
  async readFile(
    path: string,
    options: AbortOptions & { readonly encoding: BufferEncoding; readonly maxBytes?: number },
  ): Promise<string>;
  async readFile(path: string, options?: AbortOptions & { readonly maxBytes?: number }): Promise<Buffer>;
  async readFile(
    path: string,
    options: AbortOptions & { readonly encoding?: BufferEncoding; readonly maxBytes?: number } = {},
  ): Promise<Buffer | string> {
    const { signal, encoding, maxBytes = READ_MAX_BYTES } = options;
    const call = 'container.fs.readFile';
    const bytes = await this.#do(call, 'read', signal, async plan => {
      const { startFileJob } = await import('../host/file-job.js');
      const job = startFileJob(plan.op('read', rooted(call, path)), { call, signal, stdout: 'pipe' });
      const [content] = await Promise.all([
        buffer(limited(job.stdout as Readable, { call, path, maxBytes })),
        job.done,
      ]);
      return content;
    });
    return encoding === undefined ? bytes : bytes.toString(encoding);
  }

  /** Writes a file; its directory must be there. A link is followed. */
  async writeFile(
    path: string,
    content: string | Uint8Array | Readable,
    options: WriteFileOptions = {},
  ): Promise<void> {
    const { signal, how = 'replace', mode, owner } = options;
    const call = 'container.fs.writeFile';
    if (mode !== undefined) checkMode(call, mode);
    await this.#do(call, 'write', signal, async plan => {
      const { startFileJob } = await import('../host/file-job.js');
      plan.op(
        'write',
        rooted(call, path),
        how,
        mode === undefined ? '' : `0${mode.toString(8)}`,
        ...(owner === undefined ? [] : [owner.uid, owner.gid]),
      );
      const job = startFileJob(plan, { call, signal, stdin: 'pipe' });
      await job.ready;
      const source = content instanceof Readable ? content : Readable.from([Buffer.from(content as string)]);
      let failure: { readonly reason: unknown } | undefined;
      pipeline(source, job.stdin as Writable).catch((reason: unknown) => {
        failure = { reason };
        job.kill();
      });
      try {
        await job.done;
      } catch (error) {
        signal?.throwIfAborted();
        throw failure !== undefined && error instanceof SyscallError && error.syscall === 'exit'
          ? failure.reason
          : error;
      } finally {
        source.destroy();
      }
    });
  }

  /** What is in a directory, by name. */
  async readdir(path: string, options: AbortOptions = {}): Promise<readonly DirectoryEntry[]> {
    const call = 'container.fs.readdir';
    const facts = await this.#run(call, 'read', options.signal, plan => plan.op('readdir', rooted(call, path)));
    return facts
      .filter(({ fact }) => fact === 'entry')
      .map(({ name, type }) => ({ name: String(name), type: type as FileType }));
  }

  /** What a path is; links are followed. */
  async stat(path: string, options: AbortOptions = {}): Promise<FileStat> {
    const call = 'container.fs.stat';
    const { statFile } = await import('./fs-stat.js');
    return statFile(this.#of(call), rooted(call, path), { call, signal: options.signal, follow: true });
  }

  /** What a path is; of a link, the link. */
  async lstat(path: string, options: AbortOptions = {}): Promise<FileStat> {
    const call = 'container.fs.lstat';
    const { statFile } = await import('./fs-stat.js');
    return statFile(this.#of(call), rooted(call, path), { call, signal: options.signal, follow: false });
  }

  /**
   * Makes a directory.
   *
   * @param options.recursive - And those above it, and no error when it is there. Default `false`.
   * @param options.mode - Default `0o755`.
   */
  async mkdir(
    path: string,
    options: AbortOptions & { readonly recursive?: boolean; readonly mode?: number } = {},
  ): Promise<void> {
    const { recursive = false, mode = 0o755, signal } = options;
    const call = 'container.fs.mkdir';
    checkMode(call, mode);
    const words = [`0${mode.toString(8)}`, recursive ? 'parents' : 'alone'] as const;
    await this.#run(call, 'write', signal, plan => plan.op('mkdir', rooted(call, path), ...words));
  }

  /**
   * Removes a file or, with `recursive`, a directory and all in it. Links are not followed.
   *
   * @param options.force - No error when it is not there. Default `false`.
   */
  async rm(
    path: string,
    options: AbortOptions & { readonly recursive?: boolean; readonly force?: boolean } = {},
  ): Promise<void> {
    const { recursive = false, force = false, signal } = options;
    const call = 'container.fs.rm';
    const words = [recursive ? 'recursive' : 'alone', force ? 'force' : 'strict'] as const;
    await this.#run(call, 'write', signal, plan => plan.op('rm', rooted(call, path), ...words));
  }

  #run(
    call: string,
    access: 'read' | 'write',
    signal: AbortSignal | undefined,
    job: (plan: Plan) => Plan,
  ): Promise<Fact[]> {
    return this.#do(call, access, signal, async plan => {
      const { runFileJob } = await import('../host/file-job.js');
      return runFileJob(job(plan), { call, signal });
    });
  }

  async #do<T>(
    call: string,
    access: 'read' | 'write',
    signal: AbortSignal | undefined,
    work: (plan: Plan) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted();
    const of = this.#of(call);
    const { inView } = await import('./view.js');
    return inView(of, { call, signal, access, mounts: true }, work);
  }
}

async function* limited(
  source: Readable,
  { call, path, maxBytes }: { readonly call: string; readonly path: string; readonly maxBytes: number },
): AsyncGenerator<Buffer, void, undefined> {
  let bytes = 0;
  for await (const chunk of source as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) {
      throw new LimitError({
        call,
        what: path,
        reason: `has more than the ${maxBytes} bytes that are read`,
        limit: maxBytes,
      });
    }
    yield chunk;
  }
}

function rooted(call: string, path: string): string {
  if (typeof path !== 'string' || path === '' || path.includes('\0')) {
    throw new TypeError(`${call}: path: expected text without NUL, not empty, got ${JSON.stringify(path)}`);
  }
  return path.startsWith('/') ? path : `/${path}`;
}

function checkMode(call: string, mode: number): void {
  if (Number.isInteger(mode) && mode >= 0 && mode <= 0o7777) return;
  throw new TypeError(`${call}: mode: expected a number up to 0o7777, got ${String(mode)}`);
}
