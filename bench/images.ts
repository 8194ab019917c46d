import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import { writeTar, type TarInput } from '../lib/archive/writer.js';
import type { Digest } from '../lib/index.js';
import { Registry } from '../lib/index.js';

const source = `
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
  (void)argc;
  if (strstr(argv[0], "sleep")) for (;;) pause();
  return 0;
}`;

/** An archive for \`load\` with the smallest programs there are, so that the engine is measured and not they. */
export async function tinyArchive(tag: string): Promise<Buffer> {
  const program = compile();
  const layer = await tar([
    { name: 'bin', type: 'directory' },
    { name: 'bin/true', mode: 0o755, content: program },
    { name: 'bin/sleep', type: 'link', link: 'bin/true', mode: 0o755 },
  ]);
  const config = configOf([digest(layer)]);
  const manifest = [{ Config: 'config.json', RepoTags: [tag], Layers: ['layer.tar'] }];
  return tar([
    { name: 'config.json', content: config },
    { name: 'layer.tar', content: layer },
    { name: 'manifest.json', content: Buffer.from(JSON.stringify(manifest)) },
  ]);
}

/**
 * Pushes an image of the size and shape of a language runtime's: 4 layers, 30,000 files, 430 MB, compressible as programs
 * and texts are. The same bytes each time.
 */
export async function pushLarge(
  host: string,
  repository: string,
  tag: string,
  size = { layers: 4, files: 30_000, bytes: 430_000_000 },
): Promise<void> {
  await using registry = new Registry(host);
  const layers = [];
  const diffIds: Digest[] = [];
  for (let index = 0; index < size.layers; index++) {
    const bytes = await tar(files(index, Math.round(size.files / size.layers), Math.round(size.bytes / size.layers)));
    diffIds.push(digest(bytes));
    const blob = gzipSync(bytes, { level: 6 });
    const descriptor = {
      mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
      digest: digest(blob),
      size: blob.length,
    };
    await registry.putBlob(repository, descriptor, blob);
    layers.push(descriptor);
  }
  const config = configOf(diffIds);
  const described = {
    mediaType: 'application/vnd.docker.container.image.v1+json',
    digest: digest(config),
    size: config.length,
  };
  await registry.putBlob(repository, described, config);
  const mediaType = 'application/vnd.docker.distribution.manifest.v2+json';
  await registry.putManifest(
    repository,
    tag,
    mediaType,
    Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config: described, layers })),
  );
}

function* files(layer: number, count: number, bytes: number): Generator<TarInput> {
  const pool = text(layer, 1 << 20);
  const mean = bytes / count;
  yield { name: `layer${layer}`, type: 'directory' };
  for (let index = 0; index < count; index++) {
    const directory = `layer${layer}/d${Math.floor(index / 100)}`;
    if (index % 100 === 0) yield { name: directory, type: 'directory' };
    // Many small files and a few large ones, as in a real root: exponential sizes.
    const size = Math.min(pool.length * 8, Math.round(-Math.log(1 - ((index * 0.618_033_988_75) % 1)) * mean));
    const content = Buffer.alloc(size);
    for (let at = 0, from = (index * 7919) % pool.length; at < size; from = 0) at += pool.copy(content, at, from);
    yield { name: `${directory}/f${index}`, mode: 0o644, mtime: 1_700_000_000_000_000_000n, content };
  }
}

/** Words with some noise: gzip makes about 3:1 of it, as of a Debian root. */
function text(seed: number, size: number): Buffer {
  const out = Buffer.alloc(size);
  let state = seed * 2_654_435_761 + 1;
  const next = (): number => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0);
  for (let at = 0; at < size;) {
    const word = Buffer.from((next() >>> 8).toString(36));
    const repeat = 1 + ((next() >>> 16) % 3);
    for (let times = 0; times < repeat && at < size; times++) at += word.copy(out, at);
  }
  return out;
}

async function tar(entries: Iterable<TarInput>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of writeTar(entries)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function configOf(diffIds: readonly Digest[]): Buffer {
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  return Buffer.from(
    JSON.stringify({
      architecture,
      os: 'linux',
      config: { Cmd: ['/bin/true'] },
      rootfs: { type: 'layers', diff_ids: diffIds },
    }),
  );
}

function digest(bytes: Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function compile(): Buffer {
  const directory = mkdtempSync(join(tmpdir(), 'tsc-bench-'));
  try {
    const [input, output] = [join(directory, 'tiny.c'), join(directory, 'tiny')];
    writeFileSync(input, source);
    const { status, stderr } = spawnSync(process.env['CC'] ?? 'cc', ['-Os', '-static', '-s', '-o', output, input], {
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`the programs of the bench need a C compiler: ${stderr}`);
    return readFileSync(output);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
