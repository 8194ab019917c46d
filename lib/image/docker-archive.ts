import { posix } from 'node:path';

import { sniffCompression } from '../archive/compression.js';
import { IntegrityError, ParseError } from '../errors.js';
import { mediaTypes, type Descriptor } from '../oci/descriptor.js';
import { digester, sha256 } from '../oci/digest.js';
import { MAX_CONFIG_BYTES, MAX_MANIFEST_BYTES, parseConfig } from '../oci/image-spec.js';
import { parseJson, type Json, type Origin } from '../oci/json.js';
import { parseReference } from '../oci/reference.js';
import type { Digest } from '../types.js';
import type { ArchiveFiles } from './archive-files.js';
import type { ArchivedImage } from './load.js';

/** An image as `manifest.json` lists it: names of files in the archive. */
interface Listed {
  readonly config: string;
  readonly tags: readonly string[];
  readonly layers: readonly string[];
}

/** The images of a `docker save` archive. */
export async function readDockerArchive(files: ArchiveFiles): Promise<ArchivedImage[]> {
  const origin = { ...files.origin, source: `${files.origin.source}: manifest.json` };
  const json = parseJson(await files.read('manifest.json', MAX_MANIFEST_BYTES), MAX_MANIFEST_BYTES, origin);
  const images: ArchivedImage[] = [];
  for (const item of json.items()) {
    const listed = readListed(item, origin);
    const configBytes = await files.read(listed.config, MAX_CONFIG_BYTES);
    checkName(files, listed.config, configBytes);
    images.push(await archivedImage(files, { ...listed, configBytes }));
  }
  return images;
}

function readListed(json: Json, origin: Origin): Listed {
  const tags = json.maybe('RepoTags', value => value.strings()) ?? [];
  return {
    config: clean(json.at('Config').string()),
    tags: tags.map(tag => parseReference(tag, { call: origin.call }).toString()),
    layers: (json.maybe('Layers', value => value.strings()) ?? []).map(clean),
  };
}

/** A config's file is called after its digest. */
function checkName(files: ArchiveFiles, path: string, bytes: Uint8Array): void {
  const [hex] = /[0-9a-f]{64}/.exec(posix.basename(path)) ?? [];
  const actual = sha256(bytes);
  if (hex === undefined || actual === `sha256:${hex}`) return;
  const { call, source } = files.origin;
  throw new IntegrityError({ call, what: `${source}: ${path}`, expected: `sha256:${hex}`, actual });
}

/** An image whose layers lie under names of their own. They are stored as they are; the manifest is made here. */
export async function archivedImage(
  files: ArchiveFiles,
  image: { readonly configBytes: Uint8Array; readonly tags: readonly string[]; readonly layers: readonly string[] },
): Promise<ArchivedImage> {
  const { configBytes, layers } = image;
  const id = sha256(configBytes);
  const origin = { ...files.origin, source: `${files.origin.source}: config ${id}` };
  const { diff_ids: diffIds } = parseConfig(configBytes, origin).rootfs;
  if (diffIds.length !== layers.length) {
    const reason = `lists ${diffIds.length} layers, but manifest.json lists ${layers.length}`;
    throw new ParseError({ ...origin, reason });
  }
  const descriptors = await Promise.all(layers.map((path, i) => describeLayer(files, path, diffIds[i])));
  const paths = new Map(descriptors.map(({ digest }, i) => [digest, layers[i] ?? '']));
  const config = { mediaType: mediaTypes.ociConfig, digest: id, size: configBytes.length };
  const manifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: descriptors };
  const manifestBytes = Buffer.from(JSON.stringify(manifest));
  return {
    id,
    manifest: { mediaType: mediaTypes.ociManifest, digest: sha256(manifestBytes), size: manifestBytes.length },
    manifestBytes,
    configBytes,
    tags: image.tags,
    repoDigests: [],
    source: files.origin.source,
    blob: async ({ digest }, offset) => files.open(paths.get(digest) ?? '', offset),
  };
}

const types = { none: mediaTypes.ociLayer, gzip: mediaTypes.ociLayerGzip, zstd: mediaTypes.ociLayerZstd };

/** Of an uncompressed layer the digest is known already, and is verified when it is stored. */
async function describeLayer(files: ArchiveFiles, path: string, diffId: Digest | undefined): Promise<Descriptor> {
  const compression = await sniff(files, path);
  const digest = compression === 'none' && diffId !== undefined ? diffId : await digestOf(files, path);
  return { mediaType: types[compression], digest, size: files.size(path) };
}

async function sniff(files: ArchiveFiles, path: string): Promise<keyof typeof types> {
  const compression = sniffCompression(await firstChunk(files, path));
  if (compression === 'none' || compression === 'gzip' || compression === 'zstd') return compression;
  const reason = `its layer ${path} is compressed by ${compression}, which images do not know`;
  throw new ParseError({ ...files.origin, reason });
}

async function firstChunk(files: ArchiveFiles, path: string): Promise<Uint8Array> {
  for await (const chunk of files.open(path)) return chunk;
  return new Uint8Array();
}

async function digestOf(files: ArchiveFiles, path: string): Promise<Digest> {
  const hash = digester();
  for await (const chunk of files.open(path)) hash.update(chunk);
  return hash.digest();
}

function clean(path: string): string {
  return posix.join('/', path).slice(1);
}
