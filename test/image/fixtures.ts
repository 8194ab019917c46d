import { gzipSync } from 'node:zlib';

import { mediaTypes } from '../../lib/oci/descriptor.js';
import { sha256 } from '../../lib/oci/digest.js';
import type { Digest } from '../../lib/types.js';

/** An entry of a tar archive. Without a type, a name that ends in `/` is a directory, and what has a link a symlink. */
export interface TarFile {
  readonly name: string;
  readonly content?: string | Buffer;
  readonly type?: string;
  readonly link?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
}

/** A tar archive, written here so that it can hold what no tool would write. */
export function tar(files: readonly TarFile[]): Buffer {
  return Buffer.concat([...files.flatMap(tarEntry), Buffer.alloc(1024)]);
}

function tarEntry(file: TarFile): Buffer[] {
  const content = Buffer.from(file.content ?? '');
  const type = file.type ?? (file.name.endsWith('/') ? '5' : file.link === undefined ? '0' : '2');
  const long =
    Buffer.byteLength(file.name) > 100 ? tarEntry({ name: 'long', type: 'L', content: `${file.name}\0` }) : [];
  const header = Buffer.alloc(512);
  const octal = (value: number, at: number, width: number): void =>
    void header.write(`${value.toString(8).padStart(width - 1, '0')}\0`, at);
  header.write(file.name.slice(0, 100), 0);
  octal(file.mode ?? (type === '5' ? 0o755 : 0o644), 100, 8);
  octal(file.uid ?? 0, 108, 8);
  octal(file.gid ?? 0, 116, 8);
  octal(content.length, 124, 12);
  octal(file.mtime ?? 1_700_000_000, 136, 12);
  header.write('        ', 148);
  header.write(type, 156);
  header.write(file.link ?? '', 157);
  header.write('ustar\x0000', 257, 'latin1');
  octal(
    header.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  );
  return [...long, header, content, Buffer.alloc((512 - (content.length % 512)) % 512)];
}

export interface ConfigOptions {
  readonly config?: Readonly<Record<string, unknown>>;
  readonly architecture?: string;
  readonly os?: string;
  readonly created?: string;
}

/** An image's config for these layers, as bytes. */
export function configFor(diffIds: readonly Digest[], options: ConfigOptions = {}): Buffer {
  const { config = { Cmd: ['/bin/sh'], Env: ['PATH=/bin'] }, architecture = 'amd64', os = 'linux' } = options;
  const { created = '2026-01-02T03:04:05Z' } = options;
  return Buffer.from(
    JSON.stringify({
      architecture,
      os,
      created,
      config,
      rootfs: { type: 'layers', diff_ids: diffIds },
      history: diffIds.map((_, i) => ({ created: '2026-01-02T03:04:05Z', created_by: `layer ${i}` })),
    }),
  );
}

export interface ArchiveImage extends ConfigOptions {
  readonly tags?: readonly string[];
  readonly layers: readonly Buffer[];
}

/** The files of a `docker save` archive, in the way of Docker 1.10 to 24. */
export function dockerFiles(images: readonly ArchiveImage[]): TarFile[] {
  const files = new Map<string, TarFile>();
  const manifest = images.map(({ layers, tags = [], ...rest }) => {
    const config = configFor(layers.map(sha256), rest);
    const configName = `${sha256(config).slice(7)}.json`;
    files.set(configName, { name: configName, content: config });
    const names = layers.map(layer => `${sha256(layer).slice(7)}/layer.tar`);
    layers.forEach((content, i) => files.set(names[i] ?? '', { name: names[i] ?? '', content }));
    return { Config: configName, RepoTags: tags, Layers: names };
  });
  return [...files.values(), { name: 'manifest.json', content: JSON.stringify(manifest) }];
}

/** The files of an OCI layout, with gzip layers. */
export function layoutFiles(images: readonly (ArchiveImage & { readonly names?: readonly string[] })[]): TarFile[] {
  const files = new Map<string, TarFile>();
  const blob = (content: Buffer, mediaType: string): { mediaType: string; digest: Digest; size: number } => {
    const digest = sha256(content);
    const name = `blobs/sha256/${digest.slice(7)}`;
    files.set(name, { name, content });
    return { mediaType, digest, size: content.length };
  };
  const manifests = images.flatMap(({ layers, names = [], ...rest }) => {
    const config = blob(configFor(layers.map(sha256), rest), mediaTypes.ociConfig);
    const blobs = layers.map(layer => blob(gzipSync(layer), mediaTypes.ociLayerGzip));
    const manifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: blobs };
    const descriptor = blob(Buffer.from(JSON.stringify(manifest)), mediaTypes.ociManifest);
    if (names.length === 0) return [descriptor];
    return names.map(name => ({ ...descriptor, annotations: { 'org.opencontainers.image.ref.name': name } }));
  });
  return [
    { name: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' },
    { name: 'index.json', content: JSON.stringify({ schemaVersion: 2, manifests }) },
    ...files.values(),
  ];
}
