import { isDigest } from '../../oci/digest.js';
import type { Digest } from '../../types.js';
import { Refusal, send, type Exchange } from './reply.js';
import { sendFile } from './send-file.js';
import type { StoredBlob } from './storage.js';

/** GET and HEAD: "Pulling blobs", with ranges. */
export async function sendBlob(exchange: Exchange, digest: Digest, blob: StoredBlob): Promise<void> {
  const { request, response, method } = exchange;
  const etag = `"${digest}"`;
  const headers = {
    'accept-ranges': 'bytes',
    'cache-control': 'max-age=31536000, immutable',
    'content-type': 'application/octet-stream',
    'docker-content-digest': digest,
    etag,
  };
  if (request.headers['if-none-match'] === etag) return send(exchange, 304, headers);
  const range = method === 'GET' ? parseRange(request.headers.range, blob.size) : undefined;
  if (range === 'unsatisfiable') {
    throw new Refusal(416, 'SIZE_INVALID', 'no such range', { 'content-range': `bytes */${blob.size}` });
  }
  const { start, end } = range ?? { start: 0, end: blob.size - 1 };
  const length = end - start + 1;
  response.writeHead(range === undefined ? 200 : 206, {
    ...headers,
    'content-length': length,
    ...(range !== undefined && { 'content-range': `bytes ${start}-${end}/${blob.size}` }),
  });
  if (method === 'HEAD') response.end();
  else await sendFile(response, blob.path, start, length);
}

/** A digest in a path. */
export function requireDigest(text: string): Digest {
  if (isDigest(text)) return text;
  throw new Refusal(400, 'DIGEST_INVALID', 'not a digest', {}, { digest: text.slice(0, 200) });
}

export function blobUnknown(digest: Digest): Refusal {
  return new Refusal(404, 'BLOB_UNKNOWN', 'blob unknown to registry', {}, { digest });
}

/**
 * One range of bytes: RFC 9110, section 14.2. What is no range, or several, is left aside, as it may be: all is sent.
 */
export function parseRange(
  header: string | undefined,
  size: number,
): { readonly start: number; readonly end: number } | 'unsatisfiable' | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? '');
  if (match === null || (match[1] === '' && match[2] === '')) return undefined;
  const [, from = '', to = ''] = match;
  // `-500`: the last so many.
  if (from === '')
    return Number(to) === 0 || size === 0 ? 'unsatisfiable' : { start: Math.max(0, size - Number(to)), end: size - 1 };
  const start = Number(from);
  const end = to === '' ? size - 1 : Math.min(Number(to), size - 1);
  return start >= size || end < start ? 'unsatisfiable' : { start, end };
}
