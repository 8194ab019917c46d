import { createHash } from 'node:crypto';

import { defaultProfile } from './seccomp-default.js';
import { compileSeccomp } from './seccomp.js';
import type { SeccompProfile } from './seccomp-profile.js';

/** Compiled filters. A process that uses more profiles than this compiles some of them again. */
const KEPT = 32;
const compiled = new Map<string, Buffer>();

/**
 * The BPF program for a profile and a set of capabilities, compiled once: it takes milliseconds, a start should not.
 *
 * @param profile - In Docker's JSON form; Docker's own when left out.
 * @param capabilities - Names in the bounding set: rules of a profile may depend on them.
 * @throws {@link ParseError} when the profile is malformed.
 */
export function seccompFilter(profile: object | undefined, capabilities: ReadonlySet<string>): Buffer {
  const key = `${profile === undefined ? '' : digest(profile)} ${[...capabilities].join(' ')}`;
  const known = compiled.get(key);
  if (known !== undefined) return known;
  const filter = compileSeccomp((profile as SeccompProfile | undefined) ?? defaultProfile, { capabilities });
  const [oldest] = compiled.keys();
  if (compiled.size >= KEPT && oldest !== undefined) compiled.delete(oldest);
  compiled.set(key, filter);
  return filter;
}

function digest(profile: object): string {
  return createHash('sha256').update(JSON.stringify(profile)).digest('hex');
}
