import { ParseError } from '../errors.js';
import { isIndex, isManifest, type Descriptor, type Platform } from '../oci/descriptor.js';
import { parseIndex, parseManifestDocument, type ImageManifest } from '../oci/image-spec.js';
import { choosePlatform } from '../oci/platform.js';
import type { Digest } from '../types.js';
import { checkManifest } from './arrival.js';

/** An index may list indexes; nobody nests them deeper. */
const MAX_NESTING = 3;

/** A manifest or an index, and its bytes. */
export interface Document {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
}

/** Where the documents and blobs of an image are: a registry, an archive, a layout, the store. */
export interface ImageSource extends AsyncDisposable {
  /** For messages. */
  readonly name: string;
  /** The names under which it is there, in full. */
  readonly tags: readonly string[];
  /** What the name stands for: a manifest, or an index of several. */
  readonly top: Document;
  /** A manifest or index that another one lists, verified; `undefined` when it was left out. */
  document(descriptor: Descriptor): Promise<Document | undefined>;
  /** A blob. Whoever takes it verifies it. */
  blob(descriptor: Descriptor, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
}

/** One image of a graph. */
export interface GraphImage {
  readonly document: Document;
  readonly manifest: ImageManifest;
  /** As the index that lists it says. */
  readonly platform: Platform | undefined;
}

/** All that one name stands for. */
export interface Graph {
  readonly source: ImageSource;
  readonly root: Document;
  /** Manifests and indexes, those that others list first. */
  readonly documents: readonly Document[];
  readonly images: readonly GraphImage[];
  /** Configs and layers, each once. */
  readonly blobs: readonly Descriptor[];
}

export interface GraphOptions {
  readonly call: string;
  /** One of an index's, or `all` of it as it is. */
  readonly platform: Platform | 'all';
}

/**
 * Reads all that describes an image, and so finds out what it is made of. Nothing large is read.
 *
 * @throws {@link NotFoundError} when there is none for the platform, {@link ParseError} when it is no image.
 */
export async function readGraph(source: ImageSource, options: GraphOptions): Promise<Graph> {
  const documents = new Map<Digest, Document>();
  const images: GraphImage[] = [];
  const blobs = new Map<Digest, Descriptor>();
  const visit = async (document: Document, platform: Platform | undefined, depth: number): Promise<Document> => {
    const { descriptor, bytes } = document;
    const origin = { call: options.call, source: source.name };
    if (depth > MAX_NESTING) throw new ParseError({ ...origin, reason: `its index nests deeper than ${MAX_NESTING}` });
    if (isIndex(descriptor.mediaType)) {
      const index = parseIndex(bytes, origin, descriptor.mediaType);
      if (options.platform !== 'all') {
        const chosen = choosePlatform(index, options.platform, { call: options.call, ref: source.name });
        const found = await source.document(chosen);
        if (found === undefined) throw missing(origin, chosen);
        return visit(found, chosen.platform, depth + 1);
      }
      for (const each of index.manifests) {
        if (!isIndex(each.mediaType) && !isManifest(each.mediaType)) continue;
        const found = await source.document(each);
        if (found === undefined) throw missing(origin, each);
        await visit(found, each.platform, depth + 1);
      }
    } else {
      const parsed = parseManifestDocument(bytes, descriptor.mediaType, origin);
      if (parsed.type !== 'manifest') throw missing(origin, descriptor);
      const { manifest } = parsed;
      // With all that an index lists come attestations and the like, which are no images and are passed on all the same.
      if (options.platform !== 'all' || depth === 0) checkManifest(manifest, origin);
      for (const blob of [manifest.config, ...manifest.layers]) blobs.set(blob.digest, blob);
      images.push({ document, manifest, platform });
    }
    documents.set(descriptor.digest, document);
    return document;
  };
  const root = await visit(source.top, undefined, 0);
  return { source, root, documents: [...documents.values()], images, blobs: [...blobs.values()] };
}

function missing(origin: { readonly call: string; readonly source: string }, { digest }: Descriptor): ParseError {
  return new ParseError({ ...origin, reason: `lists ${digest}, which is not there` });
}
