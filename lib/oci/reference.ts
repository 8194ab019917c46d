import { ParseError } from '../errors.js';
import type { Digest } from '../types.js';

import { isDigest, whyNoDigest } from './digest.js';

const DEFAULT_DOMAIN = 'docker.io';
const DEFAULT_TAG = 'latest';
/** distribution-spec v1.1.1 leaves it open; Docker's parser, and so every registry, draws the line here. */
const MAX_PATH = 255;
const MAX_TAG = 128;
/** Domain (DNS allows 253), port, path, tag and a sha512 digest. */
const MAX_TEXT = 253 + 6 + 1 + MAX_PATH + 1 + MAX_TAG + 1 + 135;

const label = '[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?';
const domainPattern = new RegExp(`^(?:${label}(?:\\.${label})*|\\[[0-9A-Fa-f:]+\\])(?::([0-9]+))?$`);
const pathPattern = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const tagPattern = /^\w[\w.-]*$/;

/** An image's name: which registry, which repository there, and which of its versions. */
export class Reference {
  /** With the port, where there is one: `docker.io`, `127.0.0.1:5000`, `[::1]:5000`. */
  readonly domain: string;
  /** The repository on that registry: `library/alpine`. */
  readonly path: string;
  /** Which version, by the name that somebody gave it. */
  readonly tag?: string;
  /** Which version, by its content. */
  readonly digest?: Digest;

  private constructor(parts: { domain: string; path: string; tag?: string | undefined; digest?: Digest | undefined }) {
    this.domain = parts.domain;
    this.path = parts.path;
    if (parts.tag !== undefined) this.tag = parts.tag;
    if (parts.digest !== undefined) this.digest = parts.digest;
    Object.freeze(this);
  }

  /** @internal Parts are checked by the parser. */
  static of(parts: { domain: string; path: string; tag?: string | undefined; digest?: Digest | undefined }): Reference {
    return new Reference(parts);
  }

  /** `docker.io/library/alpine`. */
  get repository(): string {
    return `${this.domain}/${this.path}`;
  }

  /** The host to ask: Docker Hub's registry does not live under the name that its images have. */
  get registryHost(): string {
    return this.domain === DEFAULT_DOMAIN ? 'registry-1.docker.io' : this.domain;
  }

  /** What to ask the registry for: the digest where there is one, else the tag. */
  get version(): string {
    return this.digest ?? this.tag ?? DEFAULT_TAG;
  }

  /** The same repository at this tag, without a digest. */
  withTag(tag: string, call = 'reference.withTag'): Reference {
    checkTag(tag, { call, source: tag });
    return new Reference({ domain: this.domain, path: this.path, tag });
  }

  /** The same name, pinned. */
  withDigest(digest: Digest): Reference {
    return new Reference({ ...this, digest });
  }

  /** As short as Docker prints it: `alpine:3`. */
  familiar(): string {
    return this.familiarRepository() + this.#suffix();
  }

  /** As short as Docker prints it, without tag and digest: `alpine`. */
  familiarRepository(): string {
    if (this.domain !== DEFAULT_DOMAIN) return this.repository;
    const official = /^library\/([^/]+)$/.exec(this.path);
    return official?.[1] ?? this.path;
  }

  /** In full: `docker.io/library/alpine:3`. */
  toString(): string {
    return this.repository + this.#suffix();
  }

  /** In full. */
  toJSON(): string {
    return this.toString();
  }

  #suffix(): string {
    return (this.tag === undefined ? '' : `:${this.tag}`) + (this.digest === undefined ? '' : `@${this.digest}`);
  }
}

/** Whether it can be a repository on a registry: `library/alpine`. */
export function isRepositoryPath(text: string): boolean {
  return text.length <= MAX_PATH && pathPattern.test(text);
}

/** Whether it can be a tag. */
export function isTag(text: string): boolean {
  return text.length <= MAX_TAG && tagPattern.test(text);
}

/** How to read a reference. */
export interface ReferenceOptions {
  /** The user's call, for the message. */
  readonly call?: string;
  /** What stands for neither tag nor digest; `false` leaves both out. Default `latest`. */
  readonly defaultTag?: string | false;
}

/**
 * Reads an image's name as Docker does: `alpine` is `docker.io/library/alpine:latest`.
 *
 * @throws {@link ParseError} that says which part is wrong.
 * @see {@link https://github.com/distribution/reference/blob/v0.6.0/reference.go | distribution/reference v0.6.0}, the grammar at its top
 */
export function parseReference(text: string, options: ReferenceOptions = {}): Reference {
  const { call = 'parseReference', defaultTag = DEFAULT_TAG } = options;
  if (typeof text !== 'string') throw new TypeError(`${call}: expected an image reference, got ${typeof text}`);
  const at: At = { call, source: text.length > 300 ? `${text.slice(0, 300)}…` : text };
  refuseLookalikes(text, at);

  const [named, digest] = splitDigest(text, at);
  const { domain, remainder, official } = splitDomain(named);
  const colon = remainder.lastIndexOf(':');
  const written = colon === -1 ? remainder : remainder.slice(0, colon);
  const tag = colon === -1 ? undefined : remainder.slice(colon + 1);

  checkDomain(domain, at);
  checkPath(written, at);
  const path = official ? `library/${written}` : written;
  if (path.length > MAX_PATH) {
    refuse(at, `the repository name has ${path.length} characters, at most ${MAX_PATH} are allowed`);
  }
  if (tag !== undefined) checkTag(tag, at);
  const implied = tag === undefined && digest === undefined && defaultTag !== false ? defaultTag : tag;
  return Reference.of({ domain, path, tag: implied, digest });
}

interface At {
  readonly call: string;
  readonly source: string;
}

function refuse(at: At, reason: string, remedy?: string): never {
  throw new ParseError({ ...at, reason, ...(remedy !== undefined && { remedy }) });
}

/** What people paste instead of a reference. */
function refuseLookalikes(text: string, at: At): void {
  if (text === '') refuse({ ...at, source: '""' }, 'an image reference must not be empty');
  if (text.length > MAX_TEXT) refuse(at, `has ${text.length} characters, at most ${MAX_TEXT} are possible`);
  const url = /^[a-z][a-z0-9+.-]*:\/\//i.exec(text);
  if (url) refuse(at, 'is a URL, not an image reference', `Leave out ${url[0]}`);
  if (/\s/.test(text)) refuse(at, 'an image reference has no white space');
  if (/^[0-9a-f]{64}$/.test(text)) {
    refuse(
      at,
      'is 64 hexadecimal digits, which is an image id, not a name',
      `Write sha256:${text.slice(0, 8)}… where an id is meant`,
    );
  }
}

function splitDigest(text: string, at: At): [named: string, digest: Digest | undefined] {
  const sign = text.indexOf('@');
  if (sign === -1) return [text, undefined];
  const digest = text.slice(sign + 1);
  if (!isDigest(digest)) refuse(at, `what follows the @ ${whyNoDigest(digest)}`);
  return [text.slice(0, sign), digest];
}

/**
 * The first component is a registry when it could not be a path on Docker Hub: it has a dot, a colon or a capital, or it
 * is `localhost`.
 */
function splitDomain(name: string): { domain: string; remainder: string; official: boolean } {
  const slash = name.indexOf('/');
  const first = name.slice(0, Math.max(slash, 0));
  const isDomain = first === 'localhost' || /[.:]/.test(first) || first !== first.toLowerCase();
  const domain = slash === -1 || !isDomain || first === 'index.docker.io' ? DEFAULT_DOMAIN : first;
  const remainder = slash !== -1 && isDomain ? name.slice(slash + 1) : name;
  return { domain, remainder, official: domain === DEFAULT_DOMAIN && !remainder.includes('/') };
}

function checkDomain(domain: string, at: At): void {
  const match = domainPattern.exec(domain);
  if (!match || (domain.startsWith('[') && !isIPv6(domain))) {
    refuse(
      at,
      `${JSON.stringify(domain)} is not a registry's host`,
      'Expected a name, an IPv4 address, or an IPv6 address in brackets, and perhaps a port',
    );
  }
  if (match[1] !== undefined && (Number(match[1]) > 65535 || Number(match[1]) === 0)) {
    refuse(at, `the port ${match[1]} is not between 1 and 65535`);
  }
}

/** Zones and embedded IPv4 addresses are left out by the grammar; what remains must be an address. */
function isIPv6(domain: string): boolean {
  return URL.canParse(`http://${domain}/`);
}

function checkPath(path: string, at: At): void {
  if (/[A-Z]/.test(path))
    refuse(at, `the repository name ${JSON.stringify(path)} must be lower case`, `Write ${path.toLowerCase()}`);
  if (!pathPattern.test(path)) {
    refuse(
      at,
      `${JSON.stringify(path)} is not a repository name`,
      'Its components are lower-case letters and digits, separated by one of . _ __ or any number of -',
    );
  }
}

function checkTag(tag: string, at: At): void {
  if (tag.length > MAX_TAG) refuse(at, `the tag has ${tag.length} characters, at most ${MAX_TAG} are allowed`);
  if (!tagPattern.test(tag)) {
    refuse(
      at,
      `${JSON.stringify(tag)} is not a tag`,
      'A tag has letters, digits, _ . and -, and starts with neither . nor -',
    );
  }
}
