import { mediaTypes, type Descriptor } from '../oci/descriptor.js';
import { algorithmOf, hexOf, isDigest } from '../oci/digest.js';
import { MAX_MANIFEST_BYTES, parseIndex } from '../oci/image-spec.js';
import { parseJson } from '../oci/json.js';
import type { Digest } from '../types.js';

import { nextPage } from './tags.js';
import type { Response } from './transport.js';

/** More pages than anything has that refers to one image. */
const MAX_PAGES = 1_000;

/** Under this tag clients keep what refers to an image where the registry itself does not. */
export function referrersTag(digest: Digest): string {
  return `${algorithmOf(digest).slice(0, 32)}-${hexOf(digest).slice(0, 64)}`;
}

/** How referrers are asked for. */
export interface ReferrersQuestion {
  readonly call: string;
  readonly digest: Digest;
  readonly artifactType: string | undefined;
  readonly first: URL;
  /** The answer to a GET; `undefined` for 404. */
  readonly ask: (url: URL) => Promise<Response | undefined>;
  /** The manifest under a tag, `undefined` when there is none. */
  readonly manifest: (tag: string) => Promise<Uint8Array | undefined>;
}

/**
 * What refers to an image, by the registry's own list, or by the tag that stands in for it.
 *
 * @see {@link https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers | distribution-spec v1.1.1, "Listing Referrers"}
 */
export async function listReferrers(question: ReferrersQuestion): Promise<Descriptor[]> {
  const { artifactType } = question;
  const found = (await listed(question)) ?? (await fallback(question));
  // Whether the registry has sorted out already, it may say; to do it again costs nothing.
  return found.filter(each => artifactType === undefined || each.artifactType === artifactType);
}

async function listed({ call, first, ask }: ReferrersQuestion): Promise<Descriptor[] | undefined> {
  const found: Descriptor[] = [];
  let url: URL | undefined = first;
  for (let page = 0; url !== undefined && page < MAX_PAGES; page++) {
    const response: Response | undefined = await ask(url);
    if (response === undefined) return undefined;
    const bytes = await response.bytes(MAX_MANIFEST_BYTES);
    const { manifests } = parseIndex(bytes, { call, source: url.href }, mediaTypes.ociIndex);
    found.push(...manifests);
    url = manifests.length === 0 ? undefined : nextPage(response.header('link'), url, call);
  }
  return found;
}

async function fallback({ call, digest, manifest }: ReferrersQuestion): Promise<Descriptor[]> {
  const tag = referrersTag(digest);
  const bytes = await manifest(tag);
  return bytes === undefined ? [] : [...parseIndex(bytes, { call, source: tag }, mediaTypes.ociIndex).manifests];
}

/** The subject of a manifest and how it would be listed among what refers to that; `undefined` when it has none. */
export function readSubject(
  bytes: Uint8Array,
  descriptor: Descriptor,
  call: string,
): { readonly subject: Digest; readonly referrer: Descriptor } | undefined {
  const json = parseJson(bytes, MAX_MANIFEST_BYTES, { call, source: descriptor.digest });
  const subject = json.maybe('subject', value => value.at('digest').string());
  if (subject === undefined || !isDigest(subject)) return undefined;
  const own = json.maybe('artifactType', value => value.string()) || undefined;
  const type = own ?? json.maybe('config', value => value.at('mediaType').string());
  const annotations = json.maybe('annotations', value => value.map());
  return {
    subject,
    referrer: {
      ...descriptor,
      ...(type !== undefined && { artifactType: type }),
      ...(annotations !== undefined && { annotations }),
    },
  };
}

/** The index under the tag, with one more entry; `undefined` when it has that already. */
export function withReferrer(
  before: Uint8Array | undefined,
  referrer: Descriptor,
  call: string,
): Uint8Array | undefined {
  const known = before === undefined ? [] : parseIndex(before, { call, source: 'referrers' }).manifests;
  if (known.some(({ digest }) => digest === referrer.digest)) return undefined;
  const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [...known, referrer] };
  return Buffer.from(JSON.stringify(index));
}
