import { decompress, decompressor, peek, sniffCompression, SNIFF_BYTES } from '../archive/compression.js';
import { LimitError, ParseError, type EngineError } from '../errors.js';
import { startJob, toSyscallError, type Fact, type Job } from '../host/job.js';
import { Plan } from '../host/plan.js';
import type { AbortOptions, Digest } from '../types.js';
import { abortable, onAborted } from '../util/abort.js';

/** Ids inside the image, `inside` to `inside + count - 1`, that are `outside` and so on in the directory. */
export interface IdRange {
  readonly inside: number;
  readonly outside: number;
  readonly count: number;
}

export interface ApplyOptions extends AbortOptions {
  /** The layer: a tar archive, as it is or compressed by gzip or zstd. */
  readonly content: AsyncIterable<Uint8Array>;
  /** The directory that it goes into. Absolute. */
  readonly target: string;
  /**
   * What becomes of whiteouts: `overlay` marks them for overlayfs, in a directory that holds just this layer; `delete`
   * carries them out, in a directory that holds the layers below.
   */
  readonly whiteouts: 'overlay' | 'delete';
  /** The user's call, for messages. */
  readonly call: string;
  /** What messages call the layer. Default `layer`. */
  readonly source?: string;
  /** A layer whose tar is larger is refused. Default: no limit. */
  readonly maxBytes?: number;
  /** A layer with more entries is refused. Default 10,000,000. */
  readonly maxEntries?: number;
  /** Whose ids the files get. Default: those in the archive. */
  readonly idMaps?: { readonly uids: readonly IdRange[]; readonly gids: readonly IdRange[] };
  /** Everything belongs to this process's user: in a user namespace with a single id, nothing else is possible. */
  readonly ignoreOwners?: boolean;
  /** Marks of overlayfs as `user.overlay.*`, for mounts with `userxattr` in a user namespace. */
  readonly userXattrs?: boolean;
  /** Everything is on disk when the call returns. */
  readonly durable?: boolean;
}

/** What a layer turned out to be. */
export interface AppliedLayer {
  /** The digest of its tar. */
  readonly diffId: Digest;
  /** Of the files in it. */
  readonly bytes: number;
  /** Of its tar. */
  readonly tarBytes: number;
  readonly entries: number;
  /** Directories, relative to the root, that hide all that lower layers have in them. Only with `whiteouts: 'overlay'`. */
  readonly opaque: readonly string[];
  /** Extended attributes that could not be kept: the file system has none, or overlayfs owns them. */
  readonly skippedXattrs: number;
  /** Device nodes that could not be made, in a user namespace. */
  readonly skippedDevices: number;
}

const MAX_ENTRIES = 10_000_000;

/**
 * Unpacks one layer into a directory, by the helper, which is confined to it. Decompression, digest and extraction happen
 * outside of this process: only the bytes as they came pass through it.
 *
 * @throws {@link ParseError} when the layer is malformed, or names something outside of the directory.
 * @throws {@link LimitError} when it unpacks to more than allowed.
 * @throws {@link SyscallError} when the kernel refuses; a full disk, for example.
 * @throws `options.signal.reason` when aborted. The directory is left as it was at that moment.
 * @see {@link https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md | image-spec v1.1.1, layer.md}
 */
export async function applyLayer(options: ApplyOptions): Promise<AppliedLayer> {
  const { call, signal } = options;
  signal?.throwIfAborted();
  const { head, all } = await abortable(peek(options.content, SNIFF_BYTES), signal);
  const { plan, content } = makePlan(options, head, all);
  const facts: Fact[] = [];
  const stop = new AbortController();
  const off = onAborted(signal, reason => stop.abort(reason));
  try {
    const job = startJob('layer', plan, { signal: stop.signal, call, onFact: fact => void facts.push(fact) });
    await feed(job, content, stop);
    await job.done;
  } catch (error) {
    signal?.throwIfAborted();
    const fact = facts.find(({ fact }) => fact === 'error');
    throw fact === undefined ? error : toError(fact, options);
  } finally {
    off();
  }
  return summarize(facts);
}

function makePlan(
  options: ApplyOptions,
  head: Uint8Array,
  all: AsyncIterable<Uint8Array>,
): { plan: Plan; content: AsyncIterable<Uint8Array> } {
  const { maxBytes = Number.MAX_SAFE_INTEGER, maxEntries = MAX_ENTRIES, idMaps } = options;
  const plan = new Plan()
    .op('target', options.target)
    .op('whiteouts', options.whiteouts, options.userXattrs ? 'user' : 'trusted')
    .op('limits', maxBytes, maxEntries);
  for (const { inside, outside, count } of idMaps?.uids ?? []) plan.op('idmap', 'uid', inside, outside, count);
  for (const { inside, outside, count } of idMaps?.gids ?? []) plan.op('idmap', 'gid', inside, outside, count);
  if (options.ignoreOwners) plan.op('owners', 'ignore');
  if (options.durable) plan.op('sync');

  const compression = sniffCompression(head);
  const command = decompressor(compression);
  if (compression === 'gzip') plan.op('decode', 'gzip');
  else if (command !== undefined) plan.op('decode', 'exec', ...command);
  else
    return {
      plan,
      content: decompress(all, { ...(options.signal && { signal: options.signal }), call: options.call }),
    };
  return { plan, content: all };
}

/** Passes the bytes on as fast as the helper takes them, and no longer than it lives. */
async function feed({ stdin, done }: Job, content: AsyncIterable<Uint8Array>, stop: AbortController): Promise<void> {
  const iterator = content[Symbol.asyncIterator]();
  let ended = false;
  let wake = (): void => {};
  const onEnd = (): void => {
    ended = true;
    wake();
  };
  done.then(onEnd, onEnd);
  let onDrain = (): void => {};
  stdin.on('drain', () => onDrain());
  const unlessEnded = <T>(wait: Promise<T>): Promise<T | undefined> =>
    new Promise((resolve, reject) => {
      wake = () => resolve(undefined);
      wait.then(resolve, reject);
    });
  try {
    while (!ended) {
      const next = await unlessEnded(iterator.next());
      if (next === undefined) break;
      if (next.done) return void stdin.end();
      if (!stdin.write(next.value)) await unlessEnded(new Promise<void>(resolve => (onDrain = resolve)));
    }
  } catch (error) {
    // Nothing of a layer whose bytes stopped coming is of use.
    stop.abort(error);
    await done.catch(() => {});
    throw error;
  }
  // Not awaited: a source that is waiting for bytes itself would keep us from telling what the helper said.
  iterator.return?.().catch(() => {});
}

function toError(fact: Fact, options: ApplyOptions): EngineError {
  const { call, source = 'layer' } = options;
  const [stage, path, reason] = [fact['stage'], String(fact['path'] ?? ''), String(fact['reason'] ?? '')];
  const what = path === '' ? source : `${source}: ${path}`;
  switch (stage) {
    case 'layer-parse':
    case 'layer-path':
    case 'layer-decode':
      if (reason !== '') return new ParseError({ call, source: what, reason });
      break;
    case 'layer-limit':
      return new LimitError({ call, what, reason, limit: limitOf(reason, options) });
  }
  return toSyscallError(call, fact, remedies[String(fact['errno'])]);
}

function limitOf(reason: string, { maxBytes, maxEntries = MAX_ENTRIES }: ApplyOptions): number {
  return reason.includes('bytes') ? (maxBytes ?? Number.MAX_SAFE_INTEGER) : maxEntries;
}

const noSpace = 'The disk of the store is full: free some space, prune what is unused, or open a store on another disk';

const remedies: Readonly<Record<string, string>> = {
  ENOSPC: noSpace,
  EDQUOT: noSpace,
  EOVERFLOW: 'The image has an owner outside of the id map: map more ids',
  EROFS: 'The store is on a read-only file system: remount it writable, or open a store elsewhere',
};

function summarize(facts: readonly Fact[]): AppliedLayer {
  const done = facts.find(({ fact }) => fact === 'done');
  const number = (key: string): number => Number(done?.[key] ?? 0);
  return {
    diffId: `sha256:${String(done?.['sha256'])}`,
    bytes: number('bytes'),
    tarBytes: number('tarBytes'),
    entries: number('entries'),
    opaque: [...new Set(facts.filter(({ fact }) => fact === 'opaque').map(fact => String(fact['path'])))],
    skippedXattrs: number('skippedXattrs'),
    skippedDevices: number('skippedDevices'),
  };
}
