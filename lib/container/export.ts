import { PassThrough, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import type { AbortOptions } from '../types.js';
import type { FilesOf } from './view.js';

/** See `Container.export`. */
export function exportContainer(of: () => FilesOf, options: AbortOptions): Readable {
  const out = new PassThrough({ highWaterMark: 1 << 20 });
  void write(of, out, options).catch((error: unknown) => out.destroy(error as Error));
  return out;
}

async function write(of: () => FilesOf, out: PassThrough, { signal }: AbortOptions): Promise<void> {
  const call = 'container.export';
  // Whoever stops reading ends it.
  const left = new AbortController();
  out.once('close', () => left.abort());
  const both = signal === undefined ? left.signal : AbortSignal.any([signal, left.signal]);
  const [{ startFileJob }, { explainFiles }, { inView }] = await Promise.all([
    import('../host/file-job.js'),
    import('../host/file-errors.js'),
    import('./view.js'),
  ]);
  await inView(of(), { call, signal: both, access: 'read', mounts: false }, async plan => {
    const job = startFileJob(plan.op('archive', '/', ''), {
      call,
      signal: both,
      stdout: 'pipe',
      explain: explainFiles(call),
    });
    await job.ready;
    await pipeline(job.stdout as Readable, out, { end: false });
    await job.done;
  });
  out.end();
}
