import { writeTar, type TarInput } from '../archive/writer.js';
import { mediaTypes, type Descriptor } from '../oci/descriptor.js';
import { algorithmOf, hexOf } from '../oci/digest.js';
import { parseReference } from '../oci/reference.js';
import { parseConfig } from '../oci/image-spec.js';
import type { Digest } from '../types.js';
import type { Graph, GraphImage } from './graph.js';
import { verified } from './verified.js';

/** An image with the names that it is to have in an archive. */
export interface NamedGraph {
  readonly graph: Graph;
  /** In full. */
  readonly tags: readonly string[];
}

/** How images are written to a stream. */
export interface ArchiveOptions {
  readonly call: string;
  readonly signal: AbortSignal;
  /** `docker`: an OCI layout that is a `docker save` archive as well, as Docker writes since version 25. */
  readonly format: 'docker' | 'oci';
  /** Called with bytes of each blob as they pass. */
  readonly onBytes?: (descriptor: Descriptor, bytes: number) => void;
}

/**
 * Writes images to an archive: layers byte for byte as they are, each once. Equal images give equal archives.
 *
 * @throws {@link IntegrityError} when a blob is not what its digest says.
 */
export async function* writeArchive(
  images: readonly NamedGraph[],
  options: ArchiveOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const files = new Map<string, TarInput>();
  for (const { graph } of images) {
    for (const { descriptor, bytes } of graph.documents) addFile(files, pathOf(descriptor.digest), bytes);
    for (const blob of graph.blobs) {
      const name = pathOf(blob.digest);
      files.set(name, { name, size: blob.size, content: blobContent(graph, blob, options) });
    }
  }
  addFile(files, 'index.json', json(indexOf(images, options.format)));
  addFile(files, 'oci-layout', json({ imageLayoutVersion: '1.0.0' }));
  if (options.format === 'docker') {
    const { list, repositories } = await dockerIndex(images, options);
    addFile(files, 'manifest.json', json(list));
    if (Object.keys(repositories).length > 0) addFile(files, 'repositories', json(repositories));
  }
  const algorithms = new Set([...files.keys()].flatMap(name => /^blobs\/[^/]+/.exec(name)?.[0] ?? []));
  const directories = ['blobs', ...[...algorithms].sort()].map((name): TarInput => ({ name, type: 'directory' }));
  const sorted = [...files.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  for await (const chunk of writeTar([...directories, ...sorted])) {
    options.signal.throwIfAborted();
    yield chunk;
  }
}

function addFile(files: Map<string, TarInput>, name: string, content: Uint8Array): void {
  files.set(name, { name, content });
}

/** Opened when it is its turn, and not before: an archive of many layers would hold as many files open. */
async function* blobContent(
  graph: Graph,
  blob: Descriptor,
  { call, signal, onBytes }: ArchiveOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const what = `${graph.source.name}: ${blob.digest}`;
  const remedy = 'The content was changed where it is kept: pull or load the image again';
  let bytes = 0;
  for await (const chunk of verified(await graph.source.blob(blob, signal), blob, { call, what, remedy })) {
    bytes += chunk.length;
    onBytes?.(blob, bytes);
    yield chunk;
  }
}

function indexOf(images: readonly NamedGraph[], format: ArchiveOptions['format']): object {
  const manifests = images.flatMap(({ graph, tags }) => {
    const { mediaType, digest, size } = graph.root.descriptor;
    const descriptor = { mediaType, digest, size };
    if (tags.length === 0) return [descriptor];
    return tags.map(tag => ({ ...descriptor, annotations: namesOf(tag, format) }));
  });
  return { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests };
}

/** Docker writes the tag where skopeo and podman look for the whole name; each gets what it expects. */
function namesOf(tag: string, format: ArchiveOptions['format']): Record<string, string> {
  const name = format === 'docker' ? parseReference(tag).version : tag;
  return { 'io.containerd.image.name': tag, 'org.opencontainers.image.ref.name': name };
}

interface DockerIndex {
  readonly list: readonly object[];
  readonly repositories: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** What versions before 25 read. An index of several platforms has no place in it; its first image stands for it. */
async function dockerIndex(images: readonly NamedGraph[], { call, signal }: ArchiveOptions): Promise<DockerIndex> {
  const list: object[] = [];
  const repositories: Record<string, Record<string, string>> = {};
  for (const { graph, tags } of images) {
    const [image] = graph.images;
    if (image === undefined) continue;
    const references = tags.map(tag => parseReference(tag));
    const diffIds = await diffIdsOf(graph, image, call, signal);
    const { config, layers } = image.manifest;
    list.push({
      Config: pathOf(config.digest),
      RepoTags: references.length === 0 ? null : references.map(reference => reference.familiar()),
      Layers: layers.map(layer => pathOf(layer.digest)),
      LayerSources: Object.fromEntries(
        layers.map(({ mediaType, size, digest }, i) => [diffIds[i] ?? digest, { mediaType, size, digest }]),
      ),
    });
    const top = hexOf(layers.at(-1)?.digest ?? config.digest);
    for (const reference of references) {
      const name = reference.familiar().slice(0, -reference.version.length - 1);
      repositories[name] = { ...repositories[name], [reference.version]: top };
    }
  }
  return { list, repositories };
}

async function diffIdsOf(
  { source }: Graph,
  { manifest }: GraphImage,
  call: string,
  signal: AbortSignal,
): Promise<readonly Digest[]> {
  const chunks: Uint8Array[] = [];
  const content = await source.blob(manifest.config, signal);
  for await (const chunk of verified(content, manifest.config, { call, what: `${source.name}: its config` })) {
    chunks.push(chunk);
  }
  return parseConfig(Buffer.concat(chunks), { call, source: source.name }).rootfs.diff_ids;
}

function json(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

/** Where a layout has a blob. */
export function pathOf(digest: Digest): string {
  return `blobs/${algorithmOf(digest)}/${hexOf(digest)}`;
}
