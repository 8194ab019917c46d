import type { Readable } from 'node:stream';

import { IntegrityError, RegistryError } from '../errors.js';
import type { Descriptor } from '../oci/descriptor.js';
import { digester, isDigest, sha256, algorithmOf } from '../oci/digest.js';

import type { RegistryRequest } from './client.js';
import type { Response } from './transport.js';

/** Where and how to upload. */
export interface Uploads {
  readonly call: string;
  /** `…/v2/<repository>/`. */
  readonly root: URL;
  readonly scope: string;
  readonly signal: AbortSignal;
  readonly request: (request: RegistryRequest) => Promise<Response>;
  /** As `request`, and rejects for other statuses. */
  readonly expect: (status: number | readonly number[], request: RegistryRequest) => Promise<Response>;
}

/** distribution-spec v1.1.1, "POST then PUT". A stream is sent once; bytes are sent again where that may help. */
export async function uploadBlob(
  uploads: Uploads,
  descriptor: Descriptor,
  content: Readable | Uint8Array,
): Promise<void> {
  const { call, root, scope, signal } = uploads;
  const common = { call, scope, signal };
  const there = await uploads.request({ ...common, method: 'HEAD', url: new URL(`blobs/${descriptor.digest}`, root) });
  await there.drain();
  if (there.status === 200) {
    if (!ArrayBuffer.isView(content)) content.destroy();
    return;
  }
  const begun = await uploads.expect(202, {
    ...common,
    method: 'POST',
    url: new URL('blobs/uploads/', root),
    headers: { 'content-length': '0' },
  });
  await begun.drain();
  const url = uploadLocation(begun, uploads);
  url.searchParams.set('digest', descriptor.digest);
  const headers = { 'content-type': 'application/octet-stream', 'content-length': String(descriptor.size) };
  const done = await uploads.expect(201, { ...common, method: 'PUT', url, headers, body: content });
  await done.drain();
}

/** May be relative, and stays on the registry: elsewhere, its log-in would not be sent along anyway. */
function uploadLocation(response: Response, { call, root }: Uploads): URL {
  const location = response.header('location') ?? '';
  const { status, method, url } = response;
  const target = URL.canParse(location, url.href) ? new URL(location, url) : undefined;
  // Registries behind a proxy that ends TLS often name themselves with http.
  if (target !== undefined && root.protocol === 'https:' && target.hostname === root.hostname)
    target.protocol = 'https:';
  if (target?.origin === root.origin) return target;
  throw new RegistryError({
    call,
    status,
    method,
    url,
    reason: `wants the upload at ${JSON.stringify(location.slice(0, 200))}`,
  });
}

/** distribution-spec v1.1.1, "Pushing Manifests". */
export async function uploadManifest(
  uploads: Uploads,
  ref: string,
  mediaType: string,
  bytes: Uint8Array,
): Promise<Descriptor> {
  const { call, root, scope, signal } = uploads;
  const url = new URL(`manifests/${ref}`, root);
  const headers = { 'content-type': mediaType };
  const response = await uploads.expect(201, { call, scope, signal, method: 'PUT', url, headers, body: bytes });
  await response.drain();
  const stated = response.header('docker-content-digest') ?? '';
  const hash = digester(isDigest(stated) ? algorithmOf(stated) : 'sha256');
  hash.update(bytes);
  const digest = isDigest(stated) ? hash.digest() : sha256(bytes);
  if (isDigest(stated) && stated !== digest) {
    throw new IntegrityError({ call, what: url.href, expected: digest, actual: stated });
  }
  return { mediaType, digest, size: bytes.length };
}
