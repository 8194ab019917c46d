import { join } from 'node:path';

import { ConflictError, IntegrityError, LimitError, NotFoundError, ParseError } from '../errors.js';
import { isIndex, isManifest, type Descriptor } from '../oci/descriptor.js';
import { algorithmOf, digester } from '../oci/digest.js';
import { MAX_MANIFEST_BYTES, parseIndex, parseManifest } from '../oci/image-spec.js';
import { parseReference } from '../oci/reference.js';
import type { Store } from '../store/store.js';
import { openArchive, type ArchiveFiles } from './archive-files.js';
import { pathOf } from './archive-out.js';
import { readDockerArchive } from './docker-archive.js';
import type { Document, ImageSource } from './graph.js';
import { tagOf } from './layout.js';
import { readLegacyArchive } from './legacy-archive.js';
import type { ArchivedImage } from './load.js';

/** Which image of an archive or a layout. */
export interface ArchiveQuestion {
  readonly call: string;
  readonly store: Store;
  readonly signal: AbortSignal;
  readonly path: string;
  /** A name or a digest. Needed only where there are several. */
  readonly ref: string | undefined;
}

/** An image of an OCI layout, in a directory or an archive, with all platforms that it has. */
export async function layoutSource(question: ArchiveQuestion): Promise<ImageSource> {
  const files = await open(question);
  try {
    if (!files.has('index.json') || !files.has('oci-layout')) {
      throw new ParseError({ ...files.origin, reason: 'has no index.json with an oci-layout: it is no OCI layout' });
    }
    const origin = { ...files.origin, source: `${files.origin.source}: index.json` };
    const index = parseIndex(await files.read('index.json', MAX_MANIFEST_BYTES), origin);
    const entries = index.manifests.filter(entry => isIndex(entry.mediaType) || isManifest(entry.mediaType));
    const chosen = choose(question, entries, entry => namesOf(entry, question.call));
    const document = (descriptor: Descriptor): Promise<Document | undefined> => readDocument(files, descriptor);
    const top = await document(chosen);
    if (top === undefined) throw new ParseError({ ...origin, reason: `lists ${chosen.digest}, which is not in it` });
    return {
      name: question.path,
      tags: tagOf(chosen, origin),
      top,
      document,
      blob: async ({ digest }) => files.open(pathOf(digest)),
      [Symbol.asyncDispose]: () => files[Symbol.asyncDispose](),
    };
  } catch (error) {
    await files[Symbol.asyncDispose]();
    throw error;
  }
}

/** An image of a `docker save` archive, of whatever version. */
export async function dockerSource(question: ArchiveQuestion): Promise<ImageSource> {
  const files = await open(question);
  try {
    const images = await readArchive(files);
    const chosen = choose(question, images, image => [image.id, image.manifest.digest, ...image.tags]);
    const { mediaType, digest, size } = chosen.manifest;
    const { config } = parseManifest(chosen.manifestBytes, files.origin, mediaType);
    return {
      name: question.path,
      tags: chosen.tags,
      top: { descriptor: { mediaType, digest, size }, bytes: chosen.manifestBytes },
      document: async () => undefined,
      blob: async (descriptor, signal) =>
        descriptor.digest === config.digest ? once(chosen.configBytes) : chosen.blob(descriptor, 0, signal),
      [Symbol.asyncDispose]: () => files[Symbol.asyncDispose](),
    };
  } catch (error) {
    await files[Symbol.asyncDispose]();
    throw error;
  }
}

function open({ call, store, signal, path }: ArchiveQuestion): Promise<ArchiveFiles> {
  return openArchive(path, { call, directory: join(store.root, 'tmp'), signal });
}

async function readArchive(files: ArchiveFiles): Promise<ArchivedImage[]> {
  if (files.has('manifest.json')) return readDockerArchive(files);
  if (files.has('repositories')) return readLegacyArchive(files);
  throw new ParseError({ ...files.origin, reason: 'has no manifest.json: it is no archive of docker save' });
}

/** The one that is meant, which needs no name where it is the only one. */
function choose<T>({ call, path, ref }: ArchiveQuestion, all: readonly T[], names: (one: T) => readonly string[]): T {
  const wanted = ref === undefined ? undefined : [ref, ...fullName(ref)];
  const fitting = wanted === undefined ? all : all.filter(one => names(one).some(name => wanted.includes(name)));
  const [first] = fitting;
  const known = [...new Set(all.flatMap(names))].slice(0, 20);
  const remedy = known.length === 0 ? 'Nothing in it has a name' : `It has ${known.join(', ')}`;
  if (first === undefined)
    throw new NotFoundError({ call, kind: 'image', ref: `${path}${ref ? `: ${ref}` : ''}`, remedy });
  if (ref !== undefined || fitting.length === 1) return first;
  throw new ConflictError({
    call,
    kind: 'image',
    ref: path,
    reason: 'there are several in it',
    usedBy: known,
    remedy: 'Say which by ref',
  });
}

function fullName(ref: string): string[] {
  try {
    return [parseReference(ref).toString()];
  } catch {
    return []; // A layout's own word for it, which need be no name of an image: `v1 (stable)`.
  }
}

function namesOf(entry: Descriptor, call: string): string[] {
  const { annotations = {} } = entry;
  const own = annotations['org.opencontainers.image.ref.name'];
  return [entry.digest, ...(own === undefined ? [] : [own]), ...tagOf(entry, { call, source: 'index.json' })];
}

async function readDocument(files: ArchiveFiles, descriptor: Descriptor): Promise<Document | undefined> {
  const path = pathOf(descriptor.digest);
  if (!files.has(path)) return undefined;
  const { call, source } = files.origin;
  const what = `${source}: ${path}`;
  if (descriptor.size > MAX_MANIFEST_BYTES) {
    const reason = `has ${descriptor.size} bytes, at most ${MAX_MANIFEST_BYTES} are read`;
    throw new LimitError({ call, what, reason, limit: MAX_MANIFEST_BYTES });
  }
  const bytes = await files.read(path, MAX_MANIFEST_BYTES);
  const hash = digester(algorithmOf(descriptor.digest));
  hash.update(bytes);
  const actual = hash.digest();
  if (actual !== descriptor.digest) throw new IntegrityError({ call, what, expected: descriptor.digest, actual });
  return { descriptor, bytes };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}
