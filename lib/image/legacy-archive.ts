import { ParseError } from '../errors.js';
import { digester } from '../oci/digest.js';
import { MAX_CONFIG_BYTES, MAX_MANIFEST_BYTES } from '../oci/image-spec.js';
import { parseJson } from '../oci/json.js';
import { parseReference } from '../oci/reference.js';
import type { Digest } from '../types.js';
import { decompress } from '../archive/compression.js';
import type { ArchiveFiles } from './archive-files.js';
import { archivedImage } from './docker-archive.js';
import type { ArchivedImage } from './load.js';

/** More than overlayfs could stack. */
const MAX_LAYERS = 500;
/** What described an image before 2016 and describes a layer no more. */
const dropped = new Set(['id', 'parent', 'Size', 'parent_id', 'layer_id', 'throwaway', 'rootfs', 'history']);

/** One directory of the archive: a layer, and the image that it is the top of. */
interface LegacyLayer {
  readonly id: string;
  readonly json: Readonly<Record<string, unknown>>;
}

/**
 * The images of an archive that Docker saved before version 1.10: directories that name their parents, and a file
 * `repositories`. Configs are made as Docker made them when it migrated, so that ids are the same.
 */
export async function readLegacyArchive(files: ArchiveFiles): Promise<ArchivedImage[]> {
  const tops = await readRepositories(files);
  const images: ArchivedImage[] = [];
  for (const [id, tags] of tops) {
    const layers = await readChain(files, id);
    const paths = layers.map(layer => `${layer.id}/layer.tar`);
    const diffIds: Digest[] = [];
    for (const path of paths) diffIds.push(await diffIdOf(files, path));
    images.push(await archivedImage(files, { configBytes: makeConfig(layers, diffIds), tags, layers: paths }));
  }
  return images;
}

/** `{"name": {"tag": "id"}}` */
async function readRepositories(files: ArchiveFiles): Promise<Map<string, string[]>> {
  const origin = { ...files.origin, source: `${files.origin.source}: repositories` };
  const json = parseJson(await files.read('repositories', MAX_MANIFEST_BYTES), MAX_MANIFEST_BYTES, origin);
  const tops = new Map<string, string[]>();
  for (const [name, versions] of json.entries()) {
    for (const [tag, value] of versions.entries()) {
      const id = value.string();
      if (!/^[0-9a-f]{64}$/.test(id)) value.fail('is not the id of a layer');
      const reference = parseReference(`${name}:${tag}`, { call: origin.call }).toString();
      tops.set(id, [...(tops.get(id) ?? []), reference]);
    }
  }
  return tops;
}

/** The layer and all below it, lowest first. */
async function readChain(files: ArchiveFiles, top: string): Promise<LegacyLayer[]> {
  const layers: LegacyLayer[] = [];
  for (let id: string | undefined = top; id !== undefined;) {
    const path: string = `${id}/json`;
    const origin = { ...files.origin, source: `${files.origin.source}: ${path}` };
    const bytes = await files.read(path, MAX_CONFIG_BYTES);
    const parsed = parseJson(bytes, MAX_CONFIG_BYTES, origin);
    layers.unshift({ id, json: JSON.parse(bytes.toString()) as Record<string, unknown> });
    if (layers.length > MAX_LAYERS) throw new ParseError({ ...origin, reason: 'its parents form a circle' });
    const parent: string | undefined = parsed.maybe('parent', value => value.string());
    id = parent === '' ? undefined : parent;
  }
  return layers;
}

async function diffIdOf(files: ArchiveFiles, path: string): Promise<Digest> {
  const { call, source } = files.origin;
  const hash = digester();
  for await (const chunk of decompress(files.open(path), { call, source: `${source}: ${path}` })) hash.update(chunk);
  return hash.digest();
}

/** What Go's `MakeConfigFromV1Config` makes: a map, so its keys are sorted, with values as they were. */
function makeConfig(layers: readonly LegacyLayer[], diffIds: readonly Digest[]): Buffer {
  const top = layers.at(-1)?.json ?? {};
  const kept = Object.entries(top).filter(([key]) => !dropped.has(key));
  const config: Record<string, unknown> = {
    ...Object.fromEntries(kept),
    history: layers.map(layer => historyOf(layer.json)),
    rootfs: { type: 'layers', diff_ids: diffIds },
  };
  const sorted = Object.keys(config)
    .sort()
    .map(key => [key, config[key]]);
  return Buffer.from(escapeHtml(JSON.stringify(Object.fromEntries(sorted))));
}

function historyOf(json: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const container = json['container_config'] as { Cmd?: unknown } | undefined;
  const command = Array.isArray(container?.Cmd) ? container.Cmd.join(' ') : '';
  const said = { created: json['created'], author: json['author'], created_by: command, comment: json['comment'] };
  return Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined && value !== ''));
}

/** Go escapes these in JSON, so that it may stand in HTML. */
function escapeHtml(json: string): string {
  return json.replace(/[<>&\u2028\u2029]/g, char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
