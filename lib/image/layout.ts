import { IntegrityError, LimitError } from '../errors.js';
import { isIndex, isManifest, type Descriptor, type Platform } from '../oci/descriptor.js';
import { algorithmOf, digester, hexOf } from '../oci/digest.js';
import { MAX_CONFIG_BYTES, MAX_MANIFEST_BYTES, parseIndex, parseManifest } from '../oci/image-spec.js';
import type { Origin } from '../oci/json.js';
import { choosePlatform } from '../oci/platform.js';
import { parseReference } from '../oci/reference.js';
import type { Digest } from '../types.js';
import type { ArchiveFiles } from './archive-files.js';
import { checkManifest } from './arrival.js';
import type { ArchivedImage } from './load.js';

/** An index may list indexes; nobody nests them deeper. */
const MAX_NESTING = 3;

/**
 * The images of an OCI layout, in an archive or a directory, for a platform. One that has several names is listed once.
 *
 * @see {@link https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md | image-spec v1.1.1, image-layout.md}
 */
export async function readLayout(files: ArchiveFiles, platform: Platform): Promise<ArchivedImage[]> {
  const origin = { ...files.origin, source: `${files.origin.source}: index.json` };
  const index = parseIndex(await files.read('index.json', MAX_MANIFEST_BYTES), origin);
  const found = new Map<Digest, ArchivedImage>();
  for (const listed of index.manifests) {
    const descriptor = await resolve(files, listed, platform, 0);
    if (descriptor === undefined) continue;
    const tags = tagOf(listed, origin);
    const before = found.get(descriptor.digest);
    if (before === undefined) found.set(descriptor.digest, await readImage(files, descriptor, tags));
    else found.set(descriptor.digest, { ...before, tags: [...new Set([...before.tags, ...tags])] });
  }
  return [...found.values()];
}

/** The manifest that an entry stands for here, `undefined` when it is none or was left out of the archive. */
async function resolve(
  files: ArchiveFiles,
  descriptor: Descriptor,
  platform: Platform,
  depth: number,
): Promise<Descriptor | undefined> {
  if (!files.has(pathOf(descriptor.digest)) || depth > MAX_NESTING) return undefined;
  if (isManifest(descriptor.mediaType)) {
    // Attestations lie beside the images, and are none.
    return descriptor.annotations?.['vnd.docker.reference.type'] === undefined ? descriptor : undefined;
  }
  if (!isIndex(descriptor.mediaType)) return undefined;
  const bytes = await readBlob(files, descriptor, MAX_MANIFEST_BYTES);
  const origin = named(files, descriptor);
  const index = parseIndex(bytes, origin, descriptor.mediaType);
  // An archive need not have all that its index lists.
  const present = { ...index, manifests: index.manifests.filter(other => files.has(pathOf(other.digest))) };
  const chosen = choosePlatform(present, platform, { call: origin.call, ref: origin.source });
  return resolve(files, chosen, platform, depth + 1);
}

async function readImage(files: ArchiveFiles, descriptor: Descriptor, tags: readonly string[]): Promise<ArchivedImage> {
  const origin = named(files, descriptor);
  const manifestBytes = await readBlob(files, descriptor, MAX_MANIFEST_BYTES);
  const manifest = parseManifest(manifestBytes, origin, descriptor.mediaType);
  checkManifest(manifest, origin);
  return {
    id: manifest.config.digest,
    manifest: { mediaType: descriptor.mediaType, digest: descriptor.digest, size: descriptor.size },
    manifestBytes,
    configBytes: await readBlob(files, manifest.config, MAX_CONFIG_BYTES),
    tags,
    repoDigests: [],
    source: origin.source,
    blob: async (layer, offset) => {
      checkSize(files, layer);
      return files.open(pathOf(layer.digest), offset);
    },
  };
}

/**
 * What an entry is called: Docker writes the name in full beside the tag, skopeo and podman write it where the tag
 * belongs. A bare tag names nothing here.
 */
export function tagOf(descriptor: Descriptor, { call }: Origin): string[] {
  const { annotations = {} } = descriptor;
  const name = annotations['io.containerd.image.name'] ?? annotations['org.opencontainers.image.ref.name'] ?? '';
  if (!/[:/]/.test(name)) return [];
  const reference = parseReference(name, { call });
  return reference.digest === undefined ? [reference.toString()] : [];
}

async function readBlob(files: ArchiveFiles, descriptor: Descriptor, maxBytes: number): Promise<Buffer> {
  const path = pathOf(descriptor.digest);
  if (descriptor.size > maxBytes) {
    const reason = `${path} has ${descriptor.size} bytes, at most ${maxBytes} are read`;
    throw new LimitError({ call: files.origin.call, what: files.origin.source, reason, limit: maxBytes });
  }
  checkSize(files, descriptor);
  const bytes = await files.read(path, maxBytes);
  const hash = digester(algorithmOf(descriptor.digest));
  hash.update(bytes);
  const actual = hash.digest();
  if (actual === descriptor.digest) return bytes;
  const { call, source } = named(files, descriptor);
  throw new IntegrityError({ call, what: source, expected: descriptor.digest, actual });
}

function checkSize(files: ArchiveFiles, descriptor: Descriptor): void {
  const actual = files.size(pathOf(descriptor.digest));
  if (actual === descriptor.size) return;
  const { call, source } = named(files, descriptor);
  throw new IntegrityError({ call, what: source, expected: `${descriptor.size} bytes`, actual: `${actual} bytes` });
}

function named(files: ArchiveFiles, descriptor: Descriptor): Origin {
  return { ...files.origin, source: `${files.origin.source}: ${pathOf(descriptor.digest)}` };
}

function pathOf(digest: Digest): string {
  return `blobs/${algorithmOf(digest)}/${hexOf(digest)}`;
}
