import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';

import { ParseError } from '../errors.js';
import { mediaTypes, type Descriptor, type Platform } from '../oci/descriptor.js';
import { MAX_MANIFEST_BYTES, parseIndex } from '../oci/image-spec.js';
import { parseReference } from '../oci/reference.js';
import type { CredentialProvider } from '../registry/credentials.js';
import { failure } from '../store/failure.js';
import type { Digest, TransferProgress } from '../types.js';
import { writeFileAtomic } from '../util/files.js';
import type { Report } from '../util/operation.js';
import { dockerSource, layoutSource } from './archive-source.js';
import { pathOf, writeArchive } from './archive-out.js';
import { bringIn, type ArrivalOptions } from './arrival.js';
import { readGraph, type Graph, type ImageSource } from './graph.js';
import { openRegistry, type RegistryAccess } from './registries.js';
import { registrySource } from './registry-source.js';
import { selectImages } from './save.js';
import { storeSource } from './store-source.js';
import { verified } from './verified.js';

/** Where an image is, or is to be. */
export type ImageLocation =
  /** A registry: `ghcr.io/acme/app:1`. */
  | { readonly type: 'registry'; readonly ref: string }
  /** A `docker save` archive. As a source, `ref` says which image of several; as a target, what it is called there. */
  | { readonly type: 'docker-archive'; readonly path: string; readonly ref?: string }
  /** An OCI layout in an archive. */
  | { readonly type: 'oci-archive'; readonly path: string; readonly ref?: string }
  /** An OCI layout in a directory; as a target it may hold others already. */
  | { readonly type: 'oci'; readonly path: string; readonly ref?: string }
  /** The engine's store. */
  | { readonly type: 'store'; readonly ref: string };

/** What a copy needs. */
export interface CopyPlan {
  readonly from: ImageLocation;
  readonly to: ImageLocation;
  /** One of an index's, or all of it. */
  readonly platform: Platform | 'all';
  readonly arrival: ArrivalOptions;
  readonly access: RegistryAccess;
  readonly credentials: CredentialProvider | undefined;
}

/** Copies an image byte for byte, without unpacking it on the way. Resolves with the digest of what was copied. */
export async function copyImage(plan: CopyPlan): Promise<Digest> {
  const { call } = plan.arrival;
  await using source = await openSource(plan);
  const graph = await readGraph(source, { call, platform: plan.platform });
  const { descriptor } = graph.root;
  plan.arrival.report({
    kind: 'resolve',
    digest: descriptor.digest,
    bytes: descriptor.size,
    totalBytes: descriptor.size,
  });
  await write(graph, plan);
  return descriptor.digest;
}

async function openSource({ from, arrival, platform, access, credentials }: CopyPlan): Promise<ImageSource> {
  const { call, store, catalog, signal } = arrival;
  switch (from.type) {
    case 'registry': {
      const reference = parseReference(from.ref, { call });
      const registry = await openRegistry(reference.registryHost, access, credentials);
      try {
        return await registrySource(registry, reference, { call, signal });
      } catch (error) {
        await registry.close();
        throw error;
      }
    }
    case 'docker-archive':
      return dockerSource({ call, store, signal, path: from.path, ref: from.ref });
    case 'oci-archive':
    case 'oci':
      return layoutSource({ call, store, signal, path: from.path, ref: from.ref });
    case 'store': {
      const all = platform === 'all' ? { platform: 'all' as const } : {};
      const [selected] = selectImages(catalog, [withTag(from.ref)], { call, ...all });
      // Selecting one reference selects one image, or throws.
      const { records, ref, tags } = selected as NonNullable<typeof selected>;
      return storeSource(store, records, { call, name: ref, tags });
    }
  }
}

/** A name without a tag is that of one image here, not of all that have it. */
function withTag(ref: string): string {
  if (/^(?:sha256:)?[0-9a-f]{7,64}$/.test(ref) || ref.includes('@') || /:[^/]*$/.test(ref)) return ref;
  return `${ref}:latest`;
}

async function write(graph: Graph, plan: CopyPlan): Promise<void> {
  const { to, arrival } = plan;
  switch (to.type) {
    case 'registry':
      return toRegistry(graph, to.ref, plan);
    case 'docker-archive':
    case 'oci-archive':
      return toArchive(graph, to, arrival);
    case 'oci':
      return toLayout(graph, to, arrival);
    case 'store':
      return toStore(graph, to.ref, arrival);
  }
}

async function toRegistry(graph: Graph, ref: string, { arrival, access, credentials }: CopyPlan): Promise<void> {
  const { call, signal, report } = arrival;
  const reference = parseReference(ref, { call });
  if (reference.digest !== undefined) {
    throw new ParseError({ call, source: ref, reason: 'a digest cannot be given, it is what the image has' });
  }
  await using registry = await openRegistry(reference.registryHost, access, credentials);
  for (const blob of graph.blobs) {
    // Not opened before somebody reads: what the registry has already is not asked for.
    const content = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
      yield* checked(graph, blob, await graph.source.blob(blob, signal), call);
    };
    const told = telling(content(), blob, report);
    await registry.putBlob(reference.path, blob, Readable.from(told, { objectMode: false }), { signal, call });
    report({ kind: 'done', digest: blob.digest, bytes: blob.size, totalBytes: blob.size }, `upload ${blob.digest}`);
  }
  for (const { descriptor, bytes } of graph.documents) {
    const name = descriptor.digest === graph.root.descriptor.digest ? reference.version : descriptor.digest;
    await registry.putManifest(reference.path, name, descriptor.mediaType, bytes, { signal, call });
  }
}

async function toArchive(
  graph: Graph,
  to: Extract<ImageLocation, { type: 'docker-archive' | 'oci-archive' }>,
  { call, signal, report }: ArrivalOptions,
): Promise<void> {
  const format = to.type === 'docker-archive' ? 'docker' : 'oci';
  const archive = writeArchive([{ graph, tags: tagsFor(graph, to.ref, call) }], {
    call,
    signal,
    format,
    onBytes: (blob, bytes) =>
      report({ kind: 'upload', digest: blob.digest, bytes, totalBytes: blob.size }, `upload ${blob.digest}`),
  });
  await writeFile(to.path, archive, { call, signal });
}

/** Writes a file whole or not at all. */
async function writeFile(
  path: string,
  content: AsyncIterable<Uint8Array>,
  { call, signal }: { readonly call: string; readonly signal: AbortSignal },
): Promise<void> {
  const aside = `${path}.tmp-${process.pid}-${randomBytes(4).toString('hex')}`;
  let written = false;
  try {
    await using file = await open(aside, 'wx', 0o644);
    for await (const chunk of content) {
      signal.throwIfAborted();
      for (let rest = chunk; rest.length > 0;) rest = rest.subarray((await file.write(rest)).bytesWritten);
    }
    renameSync(aside, path);
    written = true;
  } catch (error) {
    signal.throwIfAborted();
    throw failure(call, path, error);
  } finally {
    if (!written) rmSync(aside, { force: true });
  }
}

async function toLayout(
  graph: Graph,
  { path, ref }: Extract<ImageLocation, { type: 'oci' }>,
  { call, signal, report }: ArrivalOptions,
): Promise<void> {
  try {
    for (const blob of graph.blobs) {
      const target = join(path, pathOf(blob.digest));
      if (statSync(target, { throwIfNoEntry: false })?.size === blob.size) continue;
      mkdirSync(dirname(target), { recursive: true });
      const content = checked(graph, blob, await graph.source.blob(blob, signal), call);
      await writeFile(target, telling(content, blob, report), { call, signal });
    }
    for (const { descriptor, bytes } of graph.documents) {
      const target = join(path, pathOf(descriptor.digest));
      mkdirSync(dirname(target), { recursive: true });
      writeFileAtomic(target, bytes, { mode: 0o644 });
    }
    writeFileAtomic(join(path, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }), { mode: 0o644 });
    writeFileAtomic(join(path, 'index.json'), JSON.stringify(indexWith(graph, path, ref, call)), { mode: 0o644 });
  } catch (error) {
    throw failure(call, path, error);
  }
}

/** What the layout lists already, but for what had the name, and then the image. */
function indexWith(graph: Graph, path: string, ref: string | undefined, call: string): object {
  const file = join(path, 'index.json');
  const before = existsSync(file)
    ? parseIndex(readFileSync(file).subarray(0, MAX_MANIFEST_BYTES + 1), { call, source: file }).manifests
    : [];
  const { mediaType, digest, size } = graph.root.descriptor;
  const names: readonly (string | undefined)[] = ref === undefined ? graph.source.tags : [ref];
  const entries = (names.length === 0 ? [undefined] : names).map((name): Descriptor => ({
    mediaType,
    digest,
    size,
    ...(name === undefined ? {} : { annotations: { 'org.opencontainers.image.ref.name': name } }),
  }));
  const nameOf = (entry: Descriptor): string =>
    entry.annotations?.['org.opencontainers.image.ref.name'] ?? entry.digest;
  const replaced = new Set(entries.map(nameOf));
  const manifests = [...before.filter(entry => !replaced.has(nameOf(entry))), ...entries];
  return { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests };
}

/** Each platform's image is unpacked and recorded; without that, it would be no image of the store. */
async function toStore(graph: Graph, ref: string, arrival: ArrivalOptions): Promise<void> {
  const { call, signal } = arrival;
  const tag = parseReference(ref, { call });
  for (const [i, { document, manifest }] of graph.images.entries()) {
    const chunks: Uint8Array[] = [];
    const content = await graph.source.blob(manifest.config, signal);
    for await (const chunk of checked(graph, manifest.config, content, call)) chunks.push(chunk);
    await bringIn(
      {
        manifest: document.descriptor,
        manifestBytes: document.bytes,
        configBytes: Buffer.concat(chunks),
        tags: [tag.toString()],
        repoDigests: [],
        source: graph.source.name,
        ...(graph.images.length > 1 ? { beside: i === 0 ? ('first' as const) : ('second' as const) } : {}),
        blob: async (descriptor, offset, mine) => from(offset, await graph.source.blob(descriptor, mine)),
      },
      arrival,
    );
  }
}

function tagsFor(graph: Graph, ref: string | undefined, call: string): readonly string[] {
  return ref === undefined ? graph.source.tags : [parseReference(ref, { call }).toString()];
}

function checked(
  graph: Graph,
  blob: Descriptor,
  content: AsyncIterable<Uint8Array>,
  call: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const remedy = 'The content was changed where it is kept, or on its way';
  return verified(content, blob, { call, what: `${graph.source.name}: ${blob.digest}`, remedy });
}

async function* telling(
  content: AsyncIterable<Uint8Array>,
  blob: Descriptor,
  report: Report<TransferProgress>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let bytes = 0;
  for await (const chunk of content) {
    bytes += chunk.length;
    report({ kind: 'upload', digest: blob.digest, bytes, totalBytes: blob.size }, `upload ${blob.digest}`);
    yield chunk;
  }
}

async function* from(offset: number, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let left = offset;
  for await (const chunk of chunks) {
    if (chunk.length > left) yield chunk.subarray(left);
    left = Math.max(0, left - chunk.length);
  }
}
