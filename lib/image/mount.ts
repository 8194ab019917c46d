import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, type Readable } from 'node:stream';

import { NotFoundError } from '../errors.js';
import { startFileJob } from '../host/file-job.js';
import { Plan } from '../host/plan.js';
import { failure } from '../store/failure.js';
import type { Store } from '../store/store.js';
import type { AbortOptions } from '../types.js';
import type { ImageRecord } from './record.js';

/** An image's files as one read-only directory, for as long as this is not disposed of. */
export interface MountedImage extends AsyncDisposable {
  /** Where the files are. The path ends with this process at the latest. */
  readonly path: string;
  /** Lets go of it. */
  unmount(): Promise<void>;
}

/** A file that is another one in the second of two images. */
export interface ImageChange {
  readonly kind: 'added' | 'changed' | 'removed';
  /** Absolute, inside the image. */
  readonly path: string;
}

interface Call extends AbortOptions {
  readonly call: string;
}

/**
 * Mounts the layers in a mount namespace that only a helper process has, so nothing appears among the host's mounts, and
 * nothing is left when that process ends: with the handle, or with us. Its root directory is what others see through
 * `/proc`. Plain snapshots need no mount.
 */
export async function mountImage(store: Store, record: ImageRecord, { call, signal }: Call): Promise<MountedImage> {
  signal?.throwIfAborted();
  const release = keep(store, record, call);
  if (store.snapshots.driver !== 'overlay') {
    const [path = emptyDirectory(store)] = store.snapshots.lowers(chainOf(record));
    const unmount = async (): Promise<void> => release();
    return { path, unmount, [Symbol.asyncDispose]: unmount };
  }
  const job = startFileJob(rootPlan(store, record).op('stay'), { call, stdin: 'pipe', stdout: 'lend' });
  const end = async (): Promise<void> => {
    job.stdin?.destroy();
    await job.done.catch(() => {}); // Killed or ended: either way there is nothing any more.
    release();
  };
  try {
    const path = join('/proc', await pidOf(job.stdout, job.done), 'root');
    // It must not be what keeps this process alive.
    for (const pipe of [job.stdin, job.stdout]) (pipe as { unref?: () => void } | undefined)?.unref?.();
    signal?.throwIfAborted();
    return { path: `${path}/`, unmount: end, [Symbol.asyncDispose]: end };
  } catch (error) {
    await end();
    throw failure(call, store.root, error);
  }
}

/** The helper says its process id when all is mounted. */
async function pidOf(stdout: Readable | undefined, done: Promise<unknown>): Promise<string> {
  let text = '';
  const said = new Promise<string>(resolve => {
    stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      if (text.endsWith('\n')) resolve(text.trim());
    });
  });
  return Promise.race([said, done.then(() => text.trim())]);
}

/** What is different in the files of two images. */
export async function diffImages(
  store: Store,
  from: ImageRecord,
  to: ImageRecord,
  options: Call,
): Promise<readonly ImageChange[]> {
  await using before = await mountImage(store, from, options);
  await using now = await mountImage(store, to, options);
  const plan = new Plan().op('changes', `${now.path}/.`, 'plain', `${before.path}/.`);
  const facts = await startFileJob(plan, options).done;
  return facts
    .filter(({ fact }) => fact === 'change')
    .map(({ kind, path }): ImageChange => ({ kind: kinds[String(kind)] ?? 'changed', path: `/${String(path)}` }))
    .map(change => ({ ...change, path: change.path.replace(/^\/+/, '/') }));
}

const kinds: Readonly<Record<string, ImageChange['kind']>> = { A: 'added', C: 'changed', D: 'removed' };

/** The files of an image as one archive, as `docker export` of a container of it would be. */
export function exportImage(store: Store, record: ImageRecord, { call, signal }: Call): Readable {
  signal?.throwIfAborted();
  const release = keep(store, record, call);
  const plan =
    store.snapshots.driver === 'overlay'
      ? rootPlan(store, record)
      : new Plan().op('target', store.snapshots.lowers(chainOf(record))[0] ?? emptyDirectory(store));
  const job = startFileJob(plan.op('archive', '/', ''), { call, signal, stdout: 'pipe' });
  const archive = new PassThrough({ highWaterMark: 1 << 20 });
  archive.once('close', () => {
    if (!archive.readableEnded) job.kill();
    release();
  });
  job.stdout?.on('error', error => archive.destroy(error)).pipe(archive, { end: false });
  job.done.then(
    () => {
      // What it wrote last may still be in the pipe.
      if (job.stdout?.readableEnded !== false) archive.end();
      else job.stdout.once('end', () => archive.end());
    },
    (error: unknown) => archive.destroy(error as Error),
  );
  return archive;
}

/** Ends with the image as root directory, in a mount namespace of the helper's own. */
function rootPlan(store: Store, record: ImageRecord): Plan {
  const names = store.snapshots.lowers(chainOf(record));
  // overlayfs wants two lower directories where there is no upper one.
  const lowers =
    names.length < 2 ? [...names, emptyDirectory(store), emptyDirectory(store, 'empty2')].slice(0, 2) : names;
  const mountpoint = join(store.root, 'mnt');
  mkdirSync(mountpoint, { recursive: true, mode: 0o700 });
  return new Plan().op('root-overlay', mountpoint, store.root, '', '', '', ...lowers).op('pivot');
}

function emptyDirectory(store: Store, name = 'empty'): string {
  const path = join(store.root, 'snapshots', name);
  if (!existsSync(path)) mkdirSync(path, { mode: 0o755 });
  return path;
}

function chainOf(record: ImageRecord): ImageRecord['layers'][number]['chainId'][] {
  return record.layers.map(layer => layer.chainId);
}

/** Keeps the layers from being collected, and makes sure that they are there. */
function keep(store: Store, record: ImageRecord, call: string): () => void {
  const lease = store.leases.create({ persistent: false });
  for (const chainId of chainOf(record)) lease.add('snapshot', chainId);
  const missing = chainOf(record).find(chainId => !store.snapshots.has(chainId));
  if (missing === undefined) {
    const renewal = setInterval(() => lease.renew(), 15 * 60_000).unref();
    return () => {
      clearInterval(renewal);
      lease.release();
    };
  }
  lease.release();
  throw new NotFoundError({ call, kind: 'snapshot', ref: missing, remedy: 'Pull or load the image again' });
}
