import { IntegrityError, ParseError } from '../errors.js';
import { isIndex, isManifest, mediaTypes, type Descriptor } from '../oci/descriptor.js';
import { algorithmOf, digester, isDigest } from '../oci/digest.js';
import { MAX_MANIFEST_BYTES } from '../oci/image-spec.js';
import { parseJson } from '../oci/json.js';
import type { Digest } from '../types.js';

import type { Response } from './transport.js';

/** A manifest or index, as the registry has it. */
export interface FetchedManifest {
  /** Its media type, digest and size. */
  readonly descriptor: Descriptor;
  /** To the byte what the digest is of. */
  readonly bytes: Uint8Array;
}

/** What was asked for, for messages and checks. */
export interface ManifestQuestion {
  readonly call: string;
  /** `host/repository:tag`. */
  readonly name: string;
  /** The tag or digest. */
  readonly ref: string;
}

/** All that we understand, so that the registry need not translate. */
export const manifestTypes = [
  mediaTypes.ociIndex,
  mediaTypes.ociManifest,
  mediaTypes.dockerIndex,
  mediaTypes.dockerManifest,
  // Last and least: some registries say so instead of what it is.
  'application/json;q=0.1',
].join(', ');

/**
 * Reads and checks the answer to a GET: by digest the bytes must have it, by tag they must have the one that the registry
 * itself states.
 */
export async function readManifest(response: Response, question: ManifestQuestion): Promise<FetchedManifest> {
  const bytes = await response.bytes(MAX_MANIFEST_BYTES);
  const digest = verified(response, bytes, question);
  return { descriptor: { mediaType: mediaTypeOf(response, bytes, question), digest, size: bytes.length }, bytes };
}

/** What the answer to a HEAD says; `undefined` when that is not all we need. */
export function readHead(response: Response, ref: string): Descriptor | undefined {
  const digest = response.header('docker-content-digest') ?? '';
  const size = Number(response.header('content-length') ?? NaN);
  const mediaType = contentType(response);
  if (response.status !== 200 || !isDigest(digest) || !Number.isSafeInteger(size) || !isKnown(mediaType))
    return undefined;
  return isDigest(ref) && ref !== digest ? undefined : { mediaType, digest, size };
}

function verified(response: Response, bytes: Uint8Array, { call, name, ref }: ManifestQuestion): Digest {
  const stated = response.header('docker-content-digest') ?? '';
  const expected = isDigest(ref) ? ref : isDigest(stated) ? stated : undefined;
  const hash = digester(expected === undefined ? 'sha256' : algorithmOf(expected));
  hash.update(bytes);
  const actual = hash.digest();
  if (expected === undefined || actual === expected) return actual;
  const remedy = 'The registry, or something on the way to it, changed the content';
  throw new IntegrityError({ call, what: name, expected, actual, remedy });
}

/** The header's word, or the document's own where the header says nothing of use. */
function mediaTypeOf(response: Response, bytes: Uint8Array, { call, name: source }: ManifestQuestion): string {
  const stated = contentType(response);
  if (isKnown(stated) || stated.startsWith('application/vnd.')) return stated;
  if (stated === 'text/html' || stated === 'application/xhtml+xml') {
    const remedy = `Is ${response.url.host} a registry, or does a proxy on the way want a log-in?`;
    throw new ParseError({ call, source, reason: 'the answer is a web page, not a manifest', remedy });
  }
  const json = parseJson(bytes, MAX_MANIFEST_BYTES, { call, source });
  const own = json.maybe('mediaType', value => value.string());
  return own ?? (json.has('manifests') ? mediaTypes.ociIndex : mediaTypes.ociManifest);
}

function isKnown(mediaType: string): boolean {
  return isIndex(mediaType) || isManifest(mediaType);
}

function contentType(response: Response): string {
  return (response.header('content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}
