import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  type Dirent,
} from 'node:fs';
import { dirname, join } from 'node:path';

import { errorCode } from '../../errors.js';
import type { Descriptor } from '../../oci/descriptor.js';
import { algorithmOf, hexOf, isDigest } from '../../oci/digest.js';
import { isRepositoryPath, isTag } from '../../oci/reference.js';
import type { Digest } from '../../types.js';
import { fsyncDirectory, writeFileAtomic } from '../../util/files.js';
import type { RegistryStorage, StoredBlob, StoredManifest } from './storage.js';

/** Manifests that are kept in memory, by their bytes. */
const CACHE_BYTES = 32 * 1024 * 1024;

/**
 * A registry's content in a directory of its own. Everything that is named is whole: it is written aside, synced and
 * renamed. A repository has a file for each thing that it has, whose bytes all repositories share:
 *
 *     blobs/<algorithm>/<hex>                                  bytes of blobs and manifests
 *     repositories/<name>/_blobs/<algorithm>/<hex>             empty
 *     repositories/<name>/_manifests/<algorithm>/<hex>         the media type
 *     repositories/<name>/_tags/<tag>                          the digest
 *     repositories/<name>/_referrers/<subject>/<digest>        the descriptor
 *     uploads/<id>/                                            see `Uploads`
 *
 * No part of a repository's name begins with an underscore.
 */
export class DiskStorage implements RegistryStorage {
  readonly root: string;
  readonly #manifests = new Map<Digest, Buffer>();
  #cached = 0;

  constructor(root: string) {
    this.root = root;
    for (const name of ['blobs/sha256', 'blobs/sha512', 'repositories', 'uploads', 'tmp'])
      mkdirSync(join(root, name), { recursive: true, mode: 0o700 });
  }

  /** Where the bytes of a digest are, or would be. */
  path(digest: Digest): string {
    return join(this.root, 'blobs', algorithmOf(digest), hexOf(digest));
  }

  blob(repository: string, digest: Digest): StoredBlob | undefined {
    if (stat(this.#blobMark(repository, digest)) === undefined) return undefined;
    return this.bytes(digest);
  }

  /** The bytes, whichever repository has them. */
  bytes(digest: Digest): StoredBlob | undefined {
    const path = this.path(digest);
    const size = stat(path)?.size;
    return size === undefined ? undefined : { path, size };
  }

  manifest(repository: string, ref: string): StoredManifest | undefined {
    const digest = isDigest(ref) ? ref : this.#digestOf(repository, ref);
    const mediaType = digest && read(this.#manifestMark(repository, digest));
    if (digest === undefined || mediaType === undefined) return undefined;
    const bytes = this.#manifestBytes(digest);
    return bytes && { mediaType, digest, bytes };
  }

  tags(repository: string): readonly string[] | undefined {
    const place = this.#place(repository);
    if (stat(join(place, '_manifests')) === undefined) return undefined;
    return list(join(place, '_tags')).map(({ name }) => name);
  }

  repositories(): readonly string[] {
    const found: string[] = [];
    const walk = (place: string, name: string): void => {
      for (const entry of list(place)) {
        if (!entry.isDirectory()) continue;
        if (entry.name === '_manifests') found.push(name);
        else if (!entry.name.startsWith('_')) {
          walk(join(place, entry.name), name === '' ? entry.name : `${name}/${entry.name}`);
        }
      }
    };
    walk(join(this.root, 'repositories'), '');
    return found;
  }

  referrers(repository: string, subject: Digest): readonly Descriptor[] {
    const place = this.#referrersPlace(repository, subject);
    return list(place).flatMap(({ name }) => {
      const text = read(join(place, name));
      return text === undefined ? [] : [JSON.parse(text) as Descriptor];
    });
  }

  /** Gives a repository a blob whose bytes are here. */
  linkBlob(repository: string, digest: Digest): void {
    mark(this.#blobMark(repository, digest), '');
  }

  /** Says that a blob is about to be used, so that a collection leaves it for now. */
  touchBlob(repository: string, digest: Digest): void {
    const now = new Date();
    try {
      utimesSync(this.#blobMark(repository, digest), now, now);
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error;
      // Deleted since: whoever uses it will hear.
    }
  }

  /** Puts a file, whole and synced, where the bytes of its digest belong. */
  adopt(digest: Digest, file: string): void {
    const path = this.path(digest);
    renameSync(file, path);
    fsyncDirectory(dirname(path));
  }

  putManifest(repository: string, manifest: StoredManifest, tags: readonly string[]): void {
    const path = this.path(manifest.digest);
    if (stat(path)?.size !== manifest.bytes.length)
      writeFileAtomic(path, manifest.bytes, { aside: join(this.root, 'tmp') });
    this.#write(this.#manifestMark(repository, manifest.digest), manifest.mediaType);
    for (const tag of tags) this.#write(this.#tagPath(repository, tag), manifest.digest);
  }

  putReferrer(repository: string, subject: Digest, referrer: Descriptor): void {
    const path = join(this.#referrersPlace(repository, subject), referrer.digest.replace(':', '-'));
    this.#write(path, JSON.stringify(referrer));
  }

  deleteTag(repository: string, tag: string): boolean {
    return remove(this.#tagPath(repository, tag));
  }

  /** With all its tags. */
  deleteManifest(repository: string, digest: Digest, subject: Digest | undefined): boolean {
    for (const tag of this.tags(repository) ?? []) {
      if (this.#digestOf(repository, tag) === digest) this.deleteTag(repository, tag);
    }
    if (subject !== undefined) {
      remove(join(this.#referrersPlace(repository, subject), digest.replace(':', '-')));
    }
    return remove(this.#manifestMark(repository, digest));
  }

  deleteBlob(repository: string, digest: Digest): boolean {
    return remove(this.#blobMark(repository, digest));
  }

  /** What a repository has, and since when, or when it was last about to be used. */
  *marks(repository: string, kind: 'blobs' | 'manifests'): Generator<{ readonly digest: Digest; readonly at: number }> {
    for (const algorithm of ['sha256', 'sha512']) {
      const place = join(this.#place(repository), `_${kind}`, algorithm);
      for (const { name } of list(place)) {
        const digest = `${algorithm}:${name}`;
        const at = stat(join(place, name))?.mtimeMs;
        if (isDigest(digest) && at !== undefined) yield { digest, at };
      }
    }
  }

  /** Repositories, also those that have blobs alone. */
  places(): string[] {
    const found: string[] = [];
    const walk = (place: string, name: string): void => {
      const entries = list(place).filter(entry => entry.isDirectory());
      if (entries.some(entry => entry.name.startsWith('_'))) found.push(name);
      for (const entry of entries.filter(({ name }) => !name.startsWith('_')))
        walk(join(place, entry.name), name === '' ? entry.name : `${name}/${entry.name}`);
    };
    walk(join(this.root, 'repositories'), '');
    return found;
  }

  /** All bytes that there are. */
  *all(): Generator<{ readonly digest: Digest; readonly size: number; readonly at: number }> {
    for (const algorithm of ['sha256', 'sha512']) {
      const place = join(this.root, 'blobs', algorithm);
      for (const { name } of list(place)) {
        const digest = `${algorithm}:${name}`;
        const found = stat(join(place, name));
        if (isDigest(digest) && found !== undefined) yield { digest, size: found.size, at: found.ctimeMs };
      }
    }
  }

  /** Takes bytes away that no repository has. */
  deleteBytes(digest: Digest): void {
    this.#cached -= this.#manifests.get(digest)?.length ?? 0;
    this.#manifests.delete(digest);
    rmSync(this.path(digest), { force: true });
  }

  #digestOf(repository: string, tag: string): Digest | undefined {
    if (!isTag(tag)) return undefined;
    const text = read(this.#tagPath(repository, tag)) ?? '';
    return isDigest(text) ? text : undefined;
  }

  #manifestBytes(digest: Digest): Buffer | undefined {
    const known = this.#manifests.get(digest);
    if (known !== undefined) return known;
    let bytes: Buffer;
    try {
      bytes = readFileSync(this.path(digest));
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined;
      throw error;
    }
    this.#manifests.set(digest, bytes);
    this.#cached += bytes.length;
    for (const [oldest, { length }] of this.#manifests) {
      if (this.#cached <= CACHE_BYTES || oldest === digest) break;
      this.#manifests.delete(oldest);
      this.#cached -= length;
    }
    return bytes;
  }

  #write(path: string, text: string): void {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileAtomic(path, text, { aside: join(this.root, 'tmp') });
  }

  /** Checked once more: it becomes a path. */
  #place(repository: string): string {
    if (!isRepositoryPath(repository)) throw new TypeError(`not a repository: ${JSON.stringify(repository)}`);
    return join(this.root, 'repositories', repository);
  }

  #blobMark(repository: string, digest: Digest): string {
    return join(this.#place(repository), '_blobs', algorithmOf(digest), hexOf(digest));
  }

  #manifestMark(repository: string, digest: Digest): string {
    return join(this.#place(repository), '_manifests', algorithmOf(digest), hexOf(digest));
  }

  #tagPath(repository: string, tag: string): string {
    return join(this.#place(repository), '_tags', tag);
  }

  #referrersPlace(repository: string, subject: Digest): string {
    return join(this.#place(repository), '_referrers', subject.replace(':', '-'));
  }
}

/** A name that says all: it is there or not. */
function mark(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(path, text, { mode: 0o600 });
  fsyncDirectory(dirname(path));
}

function stat(path: string): { size: number; mtimeMs: number; ctimeMs: number } | undefined {
  return statSync(path, { throwIfNoEntry: false });
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

function list(path: string): Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true });
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return [];
    throw error;
  }
}

function remove(path: string): boolean {
  try {
    unlinkSync(path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return false;
    throw error;
  }
}
