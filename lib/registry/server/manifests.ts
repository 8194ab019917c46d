import { isEngineError } from '../../errors.js';
import { isIndex, isManifest, type Descriptor } from '../../oci/descriptor.js';
import { algorithmOf, digester, isDigest } from '../../oci/digest.js';
import { MAX_MANIFEST_BYTES, parseManifestDocument, type ManifestDocument } from '../../oci/image-spec.js';
import { isTag } from '../../oci/reference.js';
import type { Digest } from '../../types.js';
import { readSubject } from '../referrers.js';
import type { DiskStorage } from './disk.js';
import { Refusal, send, type Exchange } from './reply.js';
import type { RegistryStorage, StoredManifest } from './storage.js';

/** What the registry says of the bytes of a manifest that was pushed. */
interface Checked {
  readonly manifest: StoredManifest;
  readonly tags: readonly string[];
  readonly document: ManifestDocument;
}

/** GET and HEAD: "Pulling manifests". */
export function sendManifest(exchange: Exchange, manifest: StoredManifest): void {
  const { mediaType, digest, bytes } = manifest;
  const etag = `"${digest}"`;
  const headers = { 'docker-content-digest': digest, etag };
  if (exchange.request.headers['if-none-match'] === etag) return send(exchange, 304, headers);
  send(exchange, 200, { 'content-type': mediaType, ...headers }, bytes);
}

/** As a client that asks for what is not there is told. */
export function requireManifest(storage: RegistryStorage, repository: string, ref: string): StoredManifest {
  const found = isTag(ref) || isDigest(ref) ? storage.manifest(repository, ref) : undefined;
  if (found !== undefined) return found;
  throw new Refusal(404, 'MANIFEST_UNKNOWN', 'manifest unknown to registry', {}, { name: repository, reference: ref });
}

/** PUT: "Pushing manifests". */
export async function receiveManifest(
  exchange: Exchange,
  storage: DiskStorage,
  {
    repository,
    ref,
    sparse,
    onPut,
  }: {
    readonly repository: string;
    readonly ref: string;
    /** Also when what it refers to is not here. */
    readonly sparse: boolean;
    /** Hears which digests are in use now. */
    readonly onPut: (digests: readonly Digest[]) => void;
  },
): Promise<void> {
  const { manifest, tags, document } = check(exchange, await readBody(exchange), ref);
  // From here on nothing is waited for: what was found cannot vanish in between.
  const needed = neededBy(document);
  if (!sparse) requireContent(storage, repository, document, needed);
  onPut([manifest.digest, ...needed.map(({ digest }) => digest)]);
  const descriptor = { mediaType: manifest.mediaType, digest: manifest.digest, size: manifest.bytes.length };
  const about = readSubject(manifest.bytes, descriptor, 'registry');
  if (about !== undefined) storage.putReferrer(repository, about.subject, about.referrer);
  storage.putManifest(repository, manifest, tags);
  send(exchange, 201, {
    location: `/v2/${repository}/manifests/${manifest.digest}`,
    'docker-content-digest': manifest.digest,
    ...(about !== undefined && { 'oci-subject': about.subject }),
    ...(isDigest(ref) && tags.length > 0 && { 'oci-tag': tags }),
  });
}

/** DELETE of a tag, or of a manifest with all its tags: "Content management". */
export function deleteManifest(exchange: Exchange, storage: DiskStorage, repository: string, ref: string): void {
  if (!isDigest(ref)) {
    requireManifest(storage, repository, ref);
    storage.deleteTag(repository, ref);
    return send(exchange, 202, {});
  }
  const manifest = requireManifest(storage, repository, ref);
  storage.deleteManifest(repository, ref, subjectOf(manifest));
  send(exchange, 202, {});
}

export function subjectOf({ bytes, mediaType, digest }: StoredManifest): Digest | undefined {
  return readSubject(bytes, { mediaType, digest, size: bytes.length }, 'registry')?.subject;
}

async function readBody({ request }: Exchange): Promise<Buffer> {
  const tooLarge = new Refusal(413, 'SIZE_INVALID', `a manifest may have at most ${MAX_MANIFEST_BYTES} bytes`);
  if (Number(request.headers['content-length'] ?? 0) > MAX_MANIFEST_BYTES) throw tooLarge;
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > MAX_MANIFEST_BYTES) throw tooLarge;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function check({ request, url }: Exchange, bytes: Buffer, ref: string): Checked {
  if (!isDigest(ref) && !isTag(ref)) {
    const code = ref.includes(':') ? 'DIGEST_INVALID' : 'TAG_INVALID';
    throw new Refusal(400, code, 'neither a tag nor a digest', {}, { reference: ref });
  }
  const tags = isDigest(ref) ? url.searchParams.getAll('tag') : [ref];
  for (const tag of tags) if (!isTag(tag)) throw new Refusal(400, 'TAG_INVALID', 'not a tag', {}, { tag });
  const hash = digester(isDigest(ref) ? algorithmOf(ref) : 'sha256');
  hash.update(bytes);
  const digest = hash.digest();
  if (isDigest(ref) && ref !== digest) {
    throw new Refusal(
      400,
      'DIGEST_INVALID',
      'the content does not have this digest',
      {},
      { digest: ref, actual: digest },
    );
  }
  const mediaType = mediaTypeOf(request.headers['content-type'], bytes);
  try {
    const document = parseManifestDocument(bytes, mediaType, { call: 'registry', source: 'manifest' });
    return { manifest: { mediaType, digest, bytes }, tags, document };
  } catch (error) {
    if (!isEngineError(error)) throw error;
    throw new Refusal(400, 'MANIFEST_INVALID', error.message.replace(/^registry: manifest: /, ''));
  }
}

/** What the client says; where that is nothing of use, what the document says of itself. */
function mediaTypeOf(header: string | undefined, bytes: Buffer): string {
  const stated = (header ?? '').split(';', 1)[0]?.trim() ?? '';
  if (stated !== '' && stated !== 'application/json' && stated !== 'application/octet-stream') return stated;
  try {
    const { mediaType } = JSON.parse(bytes.toString()) as { mediaType?: unknown };
    if (typeof mediaType === 'string') return mediaType;
  } catch {
    // Then it is no manifest either, which is told in a moment.
  }
  return stated === '' ? 'application/octet-stream' : stated;
}

function neededBy(document: ManifestDocument): readonly Descriptor[] {
  return document.type === 'index' ? document.index.manifests : [document.manifest.config, ...document.manifest.layers];
}

/** Layers that may not be distributed are elsewhere by right. */
function requireContent(
  storage: DiskStorage,
  repository: string,
  document: ManifestDocument,
  needed: readonly Descriptor[],
): void {
  const missing = needed.filter(({ digest, mediaType, urls }) => {
    if (document.type === 'index') {
      return isIndex(mediaType) || isManifest(mediaType)
        ? storage.manifest(repository, digest) === undefined
        : storage.manifest(repository, digest) === undefined && storage.blob(repository, digest) === undefined;
    }
    const foreign = (urls ?? []).length > 0 || /\.(?:nondistributable|foreign)\./.test(mediaType);
    return !foreign && storage.blob(repository, digest) === undefined;
  });
  if (missing.length === 0) return;
  const detail = missing.map(({ digest }) => ({ digest }));
  throw new Refusal(404, 'MANIFEST_BLOB_UNKNOWN', 'the manifest refers to content that is not here', {}, detail);
}
