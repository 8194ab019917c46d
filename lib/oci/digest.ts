import { createHash } from 'node:crypto';

import { ParseError } from '../errors.js';
import type { Digest } from '../types.js';

import type { Origin } from './json.js';

/** What the part before a digest's colon may be. */
export type DigestAlgorithm = 'sha256' | 'sha512';

const pattern = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/** Whether it is a digest of an algorithm that we can verify, in its only spelling. */
export function isDigest(text: string): text is Digest {
  return pattern.test(text);
}

/**
 * Checks a digest.
 *
 * @throws {@link ParseError} when it is malformed, or its algorithm is neither sha256 nor sha512.
 * @see {@link https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md#digests | image-spec v1.1.1, descriptor.md, Digests}
 */
export function parseDigest(text: string, origin?: Partial<Origin>): Digest {
  if (isDigest(text)) return text;
  throw new ParseError({
    call: origin?.call ?? 'parseDigest',
    source: origin?.source ?? shortened(text),
    reason: whyNoDigest(text),
  });
}

/** What is wrong with a text that should have been a digest, as the end of a sentence. */
export function whyNoDigest(text: string): string {
  const [algorithm, hex] = text.split(':', 2);
  if (hex === undefined) return 'is not a digest: expected algorithm:hex';
  if (algorithm !== 'sha256' && algorithm !== 'sha512') {
    return `uses the digest algorithm ${JSON.stringify(shortened(algorithm ?? ''))}: only sha256 and sha512 are known`;
  }
  return `is not a digest: expected ${algorithm} and ${algorithm === 'sha256' ? 64 : 128} lower-case hexadecimal digits`;
}

function shortened(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

/** The digest of bytes at hand. */
export function sha256(bytes: string | Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** The part before the colon. */
export function algorithmOf(digest: Digest): DigestAlgorithm {
  return digest.startsWith('sha256:') ? 'sha256' : 'sha512';
}

/** The part after the colon. */
export function hexOf(digest: Digest): string {
  return digest.slice(7);
}

/** A digest in the making. */
export interface Digester {
  /** The next bytes. */
  update(bytes: Uint8Array): void;
  /** What it comes to. Can be asked once. */
  digest(): Digest;
}

/** Digests bytes as they come, by the algorithm of the digest that they are to be compared with. */
export function digester(algorithm: DigestAlgorithm = 'sha256'): Digester {
  const hash = createHash(algorithm);
  return {
    update: bytes => void hash.update(bytes),
    digest: () => `${algorithm}:${hash.digest('hex')}` as Digest,
  };
}
