import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';

import { writeTar, type TarInput } from '../../lib/archive/writer.js';
import { elfClosure } from '../../lib/host/closure.js';
import type { Engine, Image } from '../../lib/index.js';
import { sha256 } from '../../lib/oci/digest.js';
import { programPath } from './needs.js';

/**
 * An image that nobody would build in good faith: the host's shell and what it needs, and then whatever entries the test
 * wants, in one layer, by way of an archive.
 */
export async function craftedImage(engine: Engine, entries: readonly TarInput[], config: object = {}): Promise<Image> {
  const layer = await pack([...programs(['sh', 'cat', 'ls']), ...entries]);
  const document = Buffer.from(
    JSON.stringify({
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      config: { Cmd: ['sh'], ...config },
      rootfs: { type: 'layers', diff_ids: [sha256(layer)] },
    }),
  );
  const manifest = Buffer.from(JSON.stringify([{ Config: 'config.json', RepoTags: [], Layers: ['layer.tar'] }]));
  const archive = await pack([
    { name: 'config.json', content: document },
    { name: 'layer.tar', content: layer },
    { name: 'manifest.json', content: manifest },
  ]);
  const [image] = await engine.images.load(Readable.from([archive]));
  if (image === undefined) throw new Error('the crafted archive holds no image');
  return image;
}

function programs(names: readonly string[]): TarInput[] {
  const paths = names.map(programPath).filter(path => path !== undefined);
  return [
    { name: 'bin', type: 'symlink', link: 'usr/bin' },
    ...elfClosure(paths).map((entry): TarInput => {
      const name = entry.path.slice(1);
      if (entry.type === 'symlink') return { name, type: 'symlink', link: entry.target, mode: 0o777 };
      return { name, mode: 0o755, content: readFileSync(entry.path) };
    }),
  ].filter((entry, index, all) => all.findIndex(({ name }) => name === entry.name) === index) as TarInput[];
}

async function pack(entries: readonly TarInput[]): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of writeTar(entries)) chunks.push(chunk);
  return Buffer.concat(chunks);
}
