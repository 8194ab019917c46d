import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { ImageCollection } from '../../lib/image/images.js';
import { sha256 } from '../../lib/oci/digest.js';
import type { Store } from '../../lib/store/store.js';
import { Place } from '../store/place.js';
import { configFor, dockerFiles, layoutFiles, tar, type TarFile } from './fixtures.js';

const base = tar([
  { name: 'etc/' },
  { name: 'etc/x', content: 'base' },
  { name: 'bin/sh', content: '#!', mode: 0o755 },
]);
const top = tar([{ name: 'etc/y', content: 'top' }, { name: 'etc/.wh.x' }]);
const idOf = (...layers: Buffer[]): string => sha256(configFor(layers.map(sha256)));

let place: Place;
let store: Store;
let images: ImageCollection;

beforeEach(async () => {
  place = new Place();
  store = await place.open();
  images = new ImageCollection({ store });
});

afterEach(() => place[Symbol.asyncDispose]());

function save(files: readonly TarFile[], name = 'archive.tar'): string {
  writeFileSync(place.at(name), tar(files));
  return place.at(name);
}

function expectNothing(): void {
  expect(store.records('images').list()).toEqual([]);
  expect(readdirSync(place.at('root', 'snapshots')).filter(name => name !== 'empty')).toEqual([]);
  expect(readdirSync(place.at('root', 'tmp'))).toEqual([]);
}

describe('an archive of docker save', () => {
  const archive = dockerFiles([{ tags: ['app:1', 'registry.example/app:one'], layers: [base, top] }]);

  test('becomes an image with the id that Docker gives it', async () => {
    const [image, ...more] = await images.load(save(archive));
    expect(more).toEqual([]);
    expect(image?.id).toBe(idOf(base, top));
    const info = await image?.inspect();
    expect(info?.tags).toEqual(['app:1', 'registry.example/app:one']);
    expect(info?.layers.map(layer => layer.diffId)).toEqual([sha256(base), sha256(top)]);
    const { readFile } = images.resolve('app:1');
    expect(readFile('/etc/y')?.toString()).toBe('top');
    expect(readFile('/etc/x')).toBeUndefined();
  });

  test('may come as a stream, and compressed, and manifest.json first or last', async () => {
    const plain = tar(archive);
    const [first] = await images.load(Readable.from([plain.subarray(0, 700), plain.subarray(700)]));
    await images.remove(first?.id ?? '', { force: true });
    const [second] = await images.load(Readable.from([gzipSync(tar([...archive].reverse()))]));
    expect(second?.id).toBe(first?.id);
    writeFileSync(place.at('archive.tar.gz'), gzipSync(plain));
    const [third] = await images.load(place.at('archive.tar.gz'));
    expect(third?.digest).toBe(first?.digest);
    expect(readdirSync(place.at('root', 'tmp'))).toEqual([]);
  });

  test('may have several images, that share layers by links', async () => {
    const name = `${sha256(base).slice(7)}/layer.tar`;
    const files = dockerFiles([
      { tags: ['a:1'], layers: [base] },
      { tags: ['b:1'], layers: [base, top] },
    ]);
    const shared = `${'1'.repeat(64)}/layer.tar`;
    const linked = files.flatMap(file =>
      file.name === name
        ? [
            { name: shared, content: base },
            { name, link: `../${shared}` },
          ]
        : [file],
    );
    const loaded = await images.load(save(linked));
    expect(loaded.map(image => image.id)).toEqual([idOf(base), idOf(base, top)]);
  });

  test('may have compressed layers', async () => {
    const files = archive.map(file =>
      file.name.endsWith('/layer.tar') ? { ...file, content: gzipSync(file.content ?? '') } : file,
    );
    const [image] = await images.load(save(files));
    expect(image?.id).toBe(idOf(base, top));
    expect(images.resolve('app:1').readFile('/etc/y')?.toString()).toBe('top');
  });

  test('loaded again only names the image', async () => {
    const [first] = await images.load(save(archive));
    const [second] = await images.load(save(dockerFiles([{ tags: ['app:2'], layers: [base, top] }])));
    expect(second?.id).toBe(first?.id);
    expect((await second?.inspect())?.tags).toEqual(['app:1', 'app:2', 'registry.example/app:one']);
  });
});

describe('an OCI layout', () => {
  test('in an archive keeps its manifest, and lists an image of several names once', async () => {
    const files = layoutFiles([{ layers: [base, top], names: ['app:1', 'docker.io/library/app:2'] }]);
    const loaded = await images.load(save(files));
    expect(loaded).toHaveLength(1);
    expect(loaded[0]?.id).toBe(idOf(base, top));
    expect((await loaded[0]?.inspect())?.tags).toEqual(['app:1', 'app:2']);
    expect(files.map(file => file.name)).toContain(`blobs/sha256/${loaded[0]?.digest.slice(7)}`);
  });

  test('may be a directory', async () => {
    for (const { name, content = '' } of layoutFiles([{ layers: [base] }])) {
      mkdirSync(dirname(place.at('layout', name)), { recursive: true });
      writeFileSync(place.at('layout', name), content);
    }
    const [image] = await images.load(place.at('layout'));
    expect(image?.id).toBe(idOf(base));
    expect((await image?.inspect())?.tags).toEqual([]);
  });

  test('of our own store can be loaded into another', async () => {
    await images.load(save(dockerFiles([{ tags: ['app:1'], layers: [base, top] }])));
    const other = new ImageCollection({ store: await place.open({ root: place.at('other') }) });
    const [image] = await other.load(place.at('root'));
    expect(image?.id).toBe(idOf(base, top));
    expect((await image?.inspect())?.tags).toEqual(['app:1']);
  });
});

describe('an archive that is wrong is refused, and leaves nothing', () => {
  const good = dockerFiles([{ tags: ['app:1'], layers: [base, top] }]);
  const change = (pick: (file: TarFile) => boolean, to: Partial<TarFile>): TarFile[] =>
    good.map(file => (pick(file) ? { ...file, ...to } : file));
  const isLayer = (file: TarFile): boolean => file.name.endsWith('/layer.tar');

  test.each<[string, TarFile[], string, RegExp]>([
    ['no image in it', [{ name: 'etc/passwd', content: 'x' }], 'CTR_PARSE', /no archive of images/],
    ['a layer that is not there', good.filter(file => !isLayer(file)), 'CTR_PARSE', /which is not in it/],
    ['a layer that is another', change(isLayer, { content: top }), 'CTR_INTEGRITY', /expected sha256:/],
    [
      'a config that is another',
      change(f => /^[0-9a-f]{64}\.json$/.test(f.name), { content: configFor([]) }),
      'CTR_INTEGRITY',
      /config|json/,
    ],
    [
      'a link out of it',
      change(isLayer, { content: '', link: '../../../etc/passwd' }),
      'CTR_PARSE',
      /symbolic link out of the archive/,
    ],
    [
      'an absolute link',
      change(isLayer, { content: '', link: '/etc/passwd' }),
      'CTR_PARSE',
      /symbolic link out of the archive/,
    ],
    ['a link to itself', change(isLayer, { content: '', link: 'layer.tar' }), 'CTR_PARSE', /link to itself/],
    [
      'a hard link to nowhere',
      change(isLayer, { content: '', type: '1', link: '../../etc/passwd' }),
      'CTR_PARSE',
      /not in it/,
    ],
    [
      'a manifest that is none',
      change(f => f.name === 'manifest.json', { content: '{}' }),
      'CTR_PARSE',
      /expected a list/,
    ],
    [
      'a manifest with another number of layers',
      change(f => f.name === 'manifest.json', { content: manifestWithout() }),
      'CTR_PARSE',
      /lists 2 layers/,
    ],
  ])('%s', async (_, files, code, words) => {
    const loading = images.load(save(files));
    await expect(loading).rejects.toMatchObject({ code });
    await expect(loading).rejects.toThrow(words);
    expectNothing();
  });

  function manifestWithout(): string {
    const [item] = JSON.parse(String(good.at(-1)?.content)) as [{ Layers: string[] }];
    return JSON.stringify([{ ...item, Layers: item.Layers.slice(1) }]);
  }

  test('cut short', async () => {
    const whole = tar(good);
    for (const length of [0, 100, 512, 700, whole.length >> 1]) {
      writeFileSync(place.at('cut.tar'), whole.subarray(0, length));
      await expect(images.load(place.at('cut.tar'))).rejects.toMatchObject({ code: 'CTR_PARSE' });
    }
    expectNothing();
  });

  test('no archive, under whatever compression', async () => {
    const text = 'hello '.repeat(200);
    for (const content of [text, gzipSync(text), gzipSync(tar(good)).subarray(0, 100)]) {
      writeFileSync(place.at('a.txt'), content);
      await expect(images.load(place.at('a.txt'))).rejects.toMatchObject({ code: 'CTR_PARSE' });
    }
    expectNothing();
  });

  test('not there at all', async () => {
    await expect(images.load(place.at('none'))).rejects.toMatchObject({ code: 'CTR_NOT_FOUND', kind: 'file' });
  });

  test('a directory whose file is a link out of it', async () => {
    for (const { name, content = '' } of layoutFiles([{ layers: [base] }])) {
      mkdirSync(dirname(place.at('layout', name)), { recursive: true });
      if (name === 'oci-layout') symlinkSync('/etc/hostname', place.at('layout', name));
      else writeFileSync(place.at('layout', name), content);
    }
    await expect(images.load(place.at('layout'))).rejects.toThrow(/leads out of it/);
  });
});

test('an archive from before Docker 1.10 becomes an image', async () => {
  const [low, high] = ['a'.repeat(64), 'b'.repeat(64)];
  const common = { architecture: 'amd64', os: 'linux', docker_version: '1.9.1' };
  const files = [
    {
      name: `${low}/json`,
      content: JSON.stringify({
        id: low,
        created: '2015-01-01T00:00:00Z',
        container_config: { Cmd: ['ADD', '<x>'] },
        ...common,
      }),
    },
    { name: `${low}/layer.tar`, content: base },
    {
      name: `${high}/json`,
      content: JSON.stringify({
        id: high,
        parent: low,
        created: '2015-01-02T00:00:00Z',
        config: { Cmd: ['sh'] },
        ...common,
      }),
    },
    { name: `${high}/layer.tar`, content: top },
    { name: 'repositories', content: JSON.stringify({ old: { one: high } }) },
  ];
  const [image] = await images.load(save(files));
  const { config, readFile } = images.resolve('old:one');
  expect(config.config.Cmd).toEqual(['sh']);
  expect(config.history.map(step => step.created_by)).toEqual(['ADD <x>', undefined]);
  expect(readFile('/etc/y')?.toString()).toBe('top');
  expect(store.content.path(image?.id ?? 'sha256:')).toContain(join('blobs', 'sha256'));
});

test('an aborted load leaves nothing', async () => {
  const controller = new AbortController();
  async function* endless(): AsyncGenerator<Buffer> {
    for (;;) {
      yield Buffer.alloc(1 << 20);
      controller.abort('enough');
    }
  }
  await expect(images.load(Readable.from(endless()), { signal: controller.signal })).rejects.toBe('enough');
  expectNothing();
});
