import { join } from 'node:path';
import type { Readable } from 'node:stream';

import { ParseError } from '../errors.js';
import type { Platform } from '../oci/descriptor.js';
import { openArchive, type ArchiveFiles } from './archive-files.js';
import { bringIn, nameAgain, type Arrival, type ArrivalOptions } from './arrival.js';
import { readDockerArchive } from './docker-archive.js';
import { readLegacyArchive } from './legacy-archive.js';
import { readLayout } from './layout.js';
import type { ImageRecord } from './record.js';

export interface LoadOptions extends ArrivalOptions {
  /** Which image of an index. */
  readonly platform: Platform;
}

/** Brings the images of an archive, or of a directory in OCI layout, into the store. */
export async function loadImages(source: string | Readable, options: LoadOptions): Promise<ImageRecord[]> {
  const directory = join(options.store.root, 'tmp');
  await using files = await openArchive(source, { call: options.call, directory, signal: options.signal });
  const records: ImageRecord[] = [];
  for (const arrival of await readImages(files, options)) {
    // However its layers were compressed when they came: an image that is here is only given names.
    const before = options.catalog.get(arrival.id);
    const again = before === undefined ? undefined : await nameAgain(before, arrival.tags, options);
    records.push(again ?? (await bringIn(arrival, options)));
  }
  return records;
}

/** An image in an archive. */
export interface ArchivedImage extends Arrival {
  /** The digest of its config. */
  readonly id: ImageRecord['config'];
}

/** Since version 25, what Docker saves can be read in both ways; the OCI layout says more. */
async function readImages(files: ArchiveFiles, options: LoadOptions): Promise<ArchivedImage[]> {
  if (files.has('index.json') && files.has('oci-layout')) {
    const images = await readLayout(files, options.platform);
    // An index of nothing that is here: some tools write one next to a manifest.json that has all.
    if (images.length > 0 || !files.has('manifest.json')) return images;
  }
  if (files.has('manifest.json')) return readDockerArchive(files);
  if (files.has('repositories')) return readLegacyArchive(files);
  throw new ParseError({
    ...files.origin,
    reason: 'has neither an index.json with an oci-layout, nor a manifest.json: it is no archive of images',
    remedy: 'A file system alone, as docker export writes it, is no image',
  });
}
