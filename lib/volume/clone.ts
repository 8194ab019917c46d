import { ConflictError } from '../errors.js';
import type { AbortOptions, Owned } from '../types.js';
import { copyContent } from './content.js';
import type { CreateVolumeOptions } from './options.js';
import type { Volume } from './volume.js';

/** What a clone asks of the volumes that there are. */
export interface CloneHome {
  create(options: CreateVolumeOptions): Promise<Owned<Volume>>;
  isEmpty(volume: string): boolean;
  /** All of it, or nothing. */
  fill(
    volume: string,
    fill: (directory: string) => Promise<void>,
    options: AbortOptions & { readonly call: string },
  ): Promise<void>;
}

/** Makes a volume with the content of a directory. */
export async function cloneVolume(from: string, home: CloneHome, options: CreateVolumeOptions): Promise<Owned<Volume>> {
  const transfer = { call: 'volume.clone', ...(options.signal === undefined ? {} : { signal: options.signal }) };
  const copy = await home.create({ lifetime: 'process', ...options });
  try {
    if (!home.isEmpty(copy.name)) {
      const reason = 'has something in it already';
      throw new ConflictError({ call: transfer.call, kind: 'volume', ref: copy.name, reason, usedBy: [] });
    }
    await home.fill(copy.name, async to => copyContent(from, to, transfer), transfer);
    return copy;
  } catch (error) {
    await copy[Symbol.asyncDispose]();
    throw error;
  }
}
