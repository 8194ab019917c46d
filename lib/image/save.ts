import { isDigest } from '../oci/digest.js';
import { parseReference } from '../oci/reference.js';
import type { Store } from '../store/store.js';
import type { AbortOptions, PlatformString } from '../types.js';
import { writeArchive, type NamedGraph } from './archive-out.js';
import type { Catalog } from './catalog.js';
import { readGraph, type ImageSource } from './graph.js';
import type { ImageRecord } from './record.js';
import { storeSource } from './store-source.js';

/** How images are written to an archive. */
export interface SaveOptions extends AbortOptions {
  /**
   * `docker`: what `docker save` writes since version 25, an OCI layout that older versions, podman and skopeo read as well.
   * `oci`: an OCI layout and nothing else. Default `docker`.
   */
  readonly format?: 'docker' | 'oci';
  /** Of several with the same tag, the image for this platform; `all` for all of them. Default: what the tag stands for. */
  readonly platform?: PlatformString | 'all';
}

/** What is to be saved: images, and under which names. */
export interface Selected {
  readonly records: readonly [ImageRecord, ...ImageRecord[]];
  readonly ref: string;
  tags: readonly string[];
}

/**
 * The images that references mean, each once, in their order: by a tag with that tag, by a repository with all its tags,
 * by id without any.
 *
 * @throws {@link NotFoundError}, {@link ConflictError}, {@link ParseError}.
 */
export function selectImages(
  catalog: Catalog,
  refs: readonly string[],
  options: { readonly call: string; readonly platform?: PlatformString | 'all' },
): Selected[] {
  const { call, platform } = options;
  const selected = new Map<string, Selected>();
  const add = (ref: string, tags: readonly string[]): void => {
    const found = catalog.find(ref, call, platform === 'all' ? undefined : platform);
    const [tag] = tags;
    const others = platform === 'all' && tag !== undefined ? catalog.sharing(tag) : [];
    const records = [found, ...others.filter(other => other.id !== found.id)] as const;
    const key = records.map(record => record.id).join(' ');
    const before = selected.get(key);
    if (before === undefined) selected.set(key, { records: [...records], ref, tags });
    else before.tags = [...new Set([...before.tags, ...tags])];
  };
  for (const ref of refs) {
    const names = namesMeant(catalog, ref, call);
    if (names.length === 0) add(ref, []);
    for (const name of names) add(name, [name]);
  }
  return [...selected.values()];
}

/** Tags in full; none when an id or a digest is meant. */
function namesMeant(catalog: Catalog, ref: string, call: string): string[] {
  if (isDigest(ref) || /^[0-9a-f]{64}$/.test(ref) || ref.startsWith('sha256:')) return [];
  const { repository, tag, digest } = parseReference(ref, { call });
  if (digest !== undefined) return [];
  const tags = [...catalog.tags().values()].flat();
  if (/:[^/]*$/.test(ref)) return [`${repository}:${tag}`];
  const all = [...new Set(tags.filter(name => name.startsWith(`${repository}:`)))].sort();
  return all;
}

/** What a save needs besides its options. */
export interface Saving {
  readonly store: Store;
  readonly catalog: Catalog;
  /** Called for each image when the archive is whole. */
  readonly saved: (record: ImageRecord, ref: string) => void;
}

/** The archive. Nothing is looked up or read before somebody reads it. */
export async function* saveImages(
  refs: readonly string[],
  options: SaveOptions,
  { store, catalog, saved }: Saving,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { format = 'docker', signal = new AbortController().signal } = options;
  const call = 'images.save';
  const selected = selectImages(catalog, refs, { ...options, call });
  const sources: ImageSource[] = [];
  try {
    const graphs: NamedGraph[] = [];
    for (const { records, ref, tags } of selected) {
      const source = await storeSource(store, records, { call, name: ref, tags });
      sources.push(source);
      graphs.push({ graph: await readGraph(source, { call, platform: 'all' }), tags });
    }
    yield* writeArchive(graphs, { call, signal, format });
    for (const { records, ref } of selected) for (const record of records) saved(record, ref);
  } finally {
    for (const source of sources) await source[Symbol.asyncDispose]();
  }
}
