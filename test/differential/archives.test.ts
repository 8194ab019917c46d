import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';

import { afterAll, beforeAll, expect } from '@jest/globals';

import { dockerFiles, tar } from '../image/fixtures.js';
import { testEngine, type TestEngine } from '../support/engine.js';
import { needs } from '../support/needs.js';
import { runPeer } from '../support/peers.js';

const { describe, test } = needs('root', 'docker');
const umoci = needs('root', 'umoci', 'skopeo');
const podman = needs('root', 'podman');

const layers = [
  tar([{ name: 'etc/' }, { name: 'etc/x', content: 'one' }, { name: 'bin/sh', content: '#!', mode: 0o4755 }]),
  tar([{ name: 'etc/y', content: 'two' }, { name: 'etc/.wh.x' }]),
];
const config = { Cmd: ['/bin/sh'], Env: ['A=1'], Labels: { of: 'tscontainer-test' } };
const tags = ['images-archive:1', 'images-archive:two', 'registry.example/images/archive:x'];

let engine: TestEngine;
let directory: string;

beforeAll(async () => {
  engine = await testEngine();
  directory = mkdtempSync(join(tmpdir(), 'archives-'));
  writeFileSync(at('in.tar'), tar(dockerFiles([{ layers, config, tags }])));
});

afterAll(async () => {
  if (process.env['TSC_TEST_DOCKER_HOST']) await runPeer('docker', ['rmi', '-f', ...tags, 'images-imported:1']);
  rmSync(directory, { recursive: true, force: true });
  await engine[Symbol.asyncDispose]();
});

function at(name: string): string {
  return join(directory, name);
}

async function docker(...args: string[]): Promise<string> {
  const said = await runPeer('docker', args);
  if (said.code !== 0) throw new Error(`docker ${args.join(' ')}: ${said.stderr}`);
  return said.stdout.trim();
}

async function known(): Promise<unknown> {
  const [inspected] = JSON.parse(await docker('image', 'inspect', 'images-archive:1')) as [Record<string, unknown>];
  const history = await docker(
    'history',
    '--no-trunc',
    '--format',
    '{{.ID}} {{.CreatedBy}} {{.Size}}',
    'images-archive:1',
  );
  const { Id, RepoTags, RootFS, Config, Size, Created } = inspected;
  return { Id, RepoTags: (RepoTags as string[]).toSorted(), RootFS, Config, Size, Created, history };
}

describe('an archive', () => {
  test('goes from Docker to us, and from us to Docker, and stays the same image', async () => {
    await docker('load', '-q', '-i', at('in.tar'));
    const before = await known();
    await docker('save', '-o', at('docker.tar'), ...tags);
    const [image] = await engine.images.load(at('docker.tar'));
    const info = await image?.inspect();
    expect(info?.tags).toEqual(tags.toSorted());
    const ours = (await image?.history())?.map(step =>
      [step.id ?? '<missing>', step.createdBy, `${step.sizeBytes}B`].join(' '),
    );
    expect(ours?.join('\n')).toBe((before as { history: string }).history);
    await docker('rmi', '-f', ...tags);
    await pipeline(engine.images.save(tags), createWriteStream(at('ours.tar')));
    await docker('load', '-q', '-i', at('ours.tar'));
    expect(await known()).toEqual(before);
  });

  test('of ours has the manifest, the list and the names that Docker writes', async () => {
    const read = async (archive: string, name: string): Promise<unknown> =>
      JSON.parse((await runPeer('tar', ['-xOf', at(archive), name])).stdout);
    await docker('load', '-q', '-i', at('in.tar'));
    await docker('save', '-o', at('docker.tar'), 'images-archive:1', 'images-archive:two');
    await engine.images.load(at('docker.tar'));
    await pipeline(engine.images.save(['images-archive:1', 'images-archive:two']), createWriteStream(at('ours.tar')));
    for (const name of ['index.json', 'manifest.json', 'repositories', 'oci-layout'])
      expect([name, await read('ours.tar', name)]).toEqual([name, await read('docker.tar', name)]);
  });

  test('of a file system becomes the same image', async () => {
    writeFileSync(at('root.tar'), layers[0] ?? '');
    const changes = [
      'CMD ["echo","hi"]',
      'ENV A=1 B="x y"',
      'EXPOSE 80 53/udp',
      'VOLUME /d',
      'ENTRYPOINT exec top',
      'WORKDIR /w',
    ];
    await docker(
      'import',
      ...changes.flatMap(change => ['-c', change]),
      '-m',
      'words',
      at('root.tar'),
      'images-imported:1',
    );
    const [theirs] = JSON.parse(await docker('image', 'inspect', 'images-imported:1')) as [Record<string, unknown>];
    const image = await engine.images.import(at('root.tar'), { changes, message: 'words', ref: 'images-imported:1' });
    const ours = (await image.inspectDocker()) as unknown as Record<string, unknown>;
    for (const key of ['RootFS', 'Comment', 'Size', 'Architecture', 'Os', 'RepoTags', 'Config', 'Author', 'Parent'])
      expect([key, ours[key]]).toEqual([key, theirs[key]]);
  });
});

umoci.describe('the store', () => {
  umoci.test('is unpacked by umoci and read by skopeo', async () => {
    await engine.images.load(at('in.tar'));
    const inspected = await runPeer('skopeo', ['inspect', `oci:${engine.root}:docker.io/library/images-archive:1`]);
    expect([inspected.code, inspected.stderr]).toEqual([0, '']);
    // umoci takes what follows the last colon for the tag, so it gets a layout whose names are plain.
    await engine.images.copy(
      { type: 'store', ref: 'images-archive:1' },
      { type: 'oci', path: at('layout'), ref: 'plain' },
    );
    const unpacked = await runPeer('umoci', ['unpack', '--image', `${at('layout')}:plain`, at('bundle')]);
    expect([unpacked.code, unpacked.code === 0 ? '' : unpacked.stderr]).toEqual([0, '']);
    expect(readFileSync(at('bundle/rootfs/etc/y'), 'utf8')).toBe('two');
    await expect(runPeer('test', ['-e', at('bundle/rootfs/etc/x')])).resolves.toMatchObject({ code: 1 });
  });
});

podman.describe('podman', () => {
  podman.test('loads what we save, in either format, and we load what it saves', async () => {
    await engine.images.load(at('in.tar'));
    mkdirSync(at('podman'));
    const run = (...args: string[]): ReturnType<typeof runPeer> =>
      runPeer('podman', [
        '--root',
        at('podman/root'),
        '--runroot',
        at('podman/run'),
        '--storage-driver',
        'vfs',
        ...args,
      ]);
    const id = (await engine.images.get('images-archive:1')).id;
    for (const format of ['docker', 'oci'] as const) {
      await pipeline(engine.images.save('images-archive:1', { format }), createWriteStream(at(`${format}.tar`)));
      const loaded = await run('load', '-i', at(`${format}.tar`));
      expect([format, loaded.code, loaded.code === 0 ? '' : loaded.stderr]).toEqual([format, 0, '']);
      expect((await run('image', 'exists', id.slice(7))).code).toBe(0);
    }
    for (const format of ['docker-archive', 'oci-archive']) {
      const path = at(`podman-${format}.tar`);
      expect((await run('save', '--format', format, '-o', path, id.slice(7))).code).toBe(0);
      const [image] = await engine.images.load(path);
      expect([format, image?.id]).toEqual([format, id]);
    }
    await run('rmi', '-af');
  });
});
