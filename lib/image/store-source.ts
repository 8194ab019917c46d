import { NotFoundError } from '../errors.js';
import { mediaTypes, type Descriptor, type Platform } from '../oci/descriptor.js';
import { sha256 } from '../oci/digest.js';
import { MAX_MANIFEST_BYTES } from '../oci/image-spec.js';
import { parsePlatform } from '../oci/platform.js';
import type { Store } from '../store/store.js';
import type { Document, ImageSource } from './graph.js';
import type { ImageRecord } from './record.js';

/**
 * Images of the store as a source: one, or those that a tag has for several platforms as an index of them. They are kept
 * until it is disposed of.
 */
export async function storeSource(
  store: Store,
  records: readonly [ImageRecord, ...ImageRecord[]],
  options: { readonly call: string; readonly name: string; readonly tags: readonly string[] },
): Promise<ImageSource> {
  const lease = store.leases.create({ persistent: false });
  try {
    for (const record of records) {
      const digests = [record.config, record.manifest.digest, ...record.layers.map(({ blob }) => blob.digest)];
      for (const digest of digests) lease.add('content', digest);
      const missing = digests.find(digest => store.content.stat(digest) === undefined);
      if (missing === undefined) continue;
      const remedy = 'Something took it away: pull or load the image again';
      throw new NotFoundError({ call: options.call, kind: 'blob', ref: missing, remedy });
    }
    const read = async (descriptor: Descriptor): Promise<Document> => ({
      descriptor,
      bytes: await store.content.read(descriptor.digest, { maxBytes: MAX_MANIFEST_BYTES }),
    });
    const [first] = records;
    return {
      name: options.name,
      tags: options.tags,
      top: records.length === 1 ? await read(first.manifest) : indexOf(records),
      document: read,
      blob: async ({ digest }) => store.content.open(digest),
      [Symbol.asyncDispose]: async () => lease.release(),
    };
  } catch (error) {
    lease.release();
    throw error;
  }
}

function indexOf(records: readonly ImageRecord[]): Document {
  const manifests = records.map(({ manifest, platform }): Descriptor & { platform: Platform } => ({
    ...manifest,
    platform: parsePlatform(platform),
  }));
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }));
  return { descriptor: { mediaType: mediaTypes.ociIndex, digest: sha256(bytes), size: bytes.length }, bytes };
}
