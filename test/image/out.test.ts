import { createWriteStream, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { readTar } from '../../lib/archive/reader.js';
import type { ImageLocation } from '../../lib/image/copy.js';
import type { Image } from '../../lib/image/image.js';
import { ImageCollection } from '../../lib/image/images.js';
import { sha256 } from '../../lib/oci/digest.js';
import type { Store } from '../../lib/store/store.js';
import { Place } from '../store/place.js';
import { TestRegistry } from '../support/registry.js';
import { dockerFiles, layoutFiles, tar } from './fixtures.js';

const base = tar([{ name: 'etc/' }, { name: 'etc/x', content: 'base' }]);
const top = tar([{ name: 'etc/y', content: 'top' }]);

let place: Place;
let store: Store;
let images: ImageCollection;
let events: string[];

beforeEach(async () => {
  place = new Place();
  store = await place.open();
  events = [];
  images = new ImageCollection({ store, platform: 'linux/amd64', emit: type => events.push(type) });
});

afterEach(() => place[Symbol.asyncDispose]());

async function loadTwo(): Promise<[Image, Image]> {
  const files = layoutFiles([
    { layers: [base], names: ['docker.io/library/app:1'] },
    { layers: [base, top], names: ['docker.io/library/app:2', 'registry.example/team/app:x'] },
  ]);
  writeFileSync(place.at('in.tar'), tar(files));
  return (await images.load(place.at('in.tar'))) as [Image, Image];
}

async function another(name = 'other'): Promise<ImageCollection> {
  return new ImageCollection({ store: await place.open({ root: place.at(name) }), platform: 'linux/amd64' });
}

async function listing(archive: Buffer): Promise<string[]> {
  const names: string[] = [];
  for await (const { header } of readTar(Readable.from([archive]))) names.push(header.name);
  return names;
}

describe('a saved archive', () => {
  test('of images and tags is loaded with the same manifests, ids and names', async () => {
    const [one, two] = await loadTwo();
    const archive = await buffer(images.save(['app:2', 'registry.example/team/app:x', 'app:1']));
    const other = await another();
    const loaded = await other.load(Readable.from([archive]));
    expect(loaded.map(({ id, digest }) => [id, digest])).toEqual([two, one].map(({ id, digest }) => [id, digest]));
    expect((await loaded[0]?.inspect())?.tags).toEqual(['app:2', 'registry.example/team/app:x']);
    expect((await loaded[1]?.inspect())?.tags).toEqual(['app:1']);
    expect(events.filter(type => type === 'image:save')).toHaveLength(2);
  });

  test('is the same whenever it is made, and has each layer once', async () => {
    await loadTwo();
    const archive = await buffer(images.save(['app:1', 'app:2']));
    expect(sha256(await buffer(images.save(['app:1', 'app:2'])))).toBe(sha256(archive));
    const names = await listing(archive);
    expect(new Set(names).size).toBe(names.length);
    expect(names.filter(name => /^blobs\/sha256\/./.test(name))).toHaveLength(6);
    expect(names.filter(name => !name.startsWith('blobs/'))).toEqual([
      'index.json',
      'manifest.json',
      'oci-layout',
      'repositories',
    ]);
    expect(await listing(await buffer(images.save('app:1', { format: 'oci' })))).not.toContain('manifest.json');
  });

  test('of a repository has all its tags, of an id none', async () => {
    const [one] = await loadTwo();
    const other = await another();
    await other.load(Readable.from([await buffer(images.save('app'))]));
    expect((await other.list({ reference: 'app' })).length).toBe(2);
    const third = await another('third');
    const [loaded] = await third.load(Readable.from([await buffer(one.save())]));
    expect((await loaded?.inspect())?.tags).toEqual([]);
  });

  test('is readable by what reads manifest.json only', async () => {
    const [, two] = await loadTwo();
    const archive = await buffer(images.save('app:2'));
    const kept: Buffer[] = [];
    for await (const { header, body } of readTar(Readable.from([archive]))) {
      if (header.type !== 'file' || ['index.json', 'oci-layout'].includes(header.name)) continue;
      kept.push(tar([{ name: header.name, content: await buffer(body) }]).subarray(0, -1024));
    }
    const other = await another();
    const [loaded] = await other.load(Readable.from([Buffer.concat([...kept, Buffer.alloc(1024)])]));
    expect(loaded?.id).toBe(two.id);
    expect((await loaded?.inspect())?.tags).toEqual(['app:2']);
  });

  test('fails when the disk has changed a blob, and when there is no such image', async () => {
    const [one] = await loadTwo();
    const [layer] = (await one.inspect()).layers;
    const path = store.content.path(layer?.digest ?? 'sha256:');
    const bytes = readFileSync(path);
    bytes[20] = (bytes[20] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    await expect(buffer(images.save('app:1'))).rejects.toMatchObject({ code: 'CTR_INTEGRITY' });
    truncateSync(path, 10);
    await expect(buffer(images.save('app:1'))).rejects.toMatchObject({ code: 'CTR_INTEGRITY' });
    await expect(buffer(images.save('nothing'))).rejects.toMatchObject({ code: 'CTR_NOT_FOUND' });
  });
});

describe('a copy', () => {
  const tagged = (path: string): ImageLocation[] => [
    { type: 'docker-archive', path: `${path}.docker.tar`, ref: 'copied:1' },
    { type: 'oci-archive', path: `${path}.oci.tar`, ref: 'copied:1' },
    { type: 'oci', path: `${path}.layout`, ref: 'docker.io/library/copied:1' },
  ];

  test('goes from anywhere to anywhere with the same manifest', async () => {
    const [, two] = await loadTwo();
    await using registry = await TestRegistry.start();
    const other = await another();
    mkdirSync(place.at('out'));
    const first = tagged(place.at('out/a'));
    for (const to of first) expect(await images.copy({ type: 'store', ref: 'app:2' }, to)).toBe(two.digest);
    for (const [i, from] of first.entries()) {
      const at: ImageLocation = { type: 'registry', ref: `${registry.host}/copied:${i}` };
      const digest = await other.copy(from, at);
      // A docker-archive has no manifest of its own: it is made from what its layers are.
      if (from.type !== 'docker-archive') expect(digest).toBe(two.digest);
      expect(await other.copy(at, { type: 'store', ref: `copied:${i}` })).toBe(digest);
      expect((await other.get(`copied:${i}`)).id).toBe(two.id);
      for (const to of tagged(place.at(`out/b${i}`))) expect(await other.copy(at, to)).toBe(digest);
    }
    expect([...(await other.list())].length).toBe(1);
    expect(readdirSync(place.at('out')).filter(name => name.includes('.tmp-'))).toEqual([]);
  });

  test('of an index is of one platform, or of all as they are', async () => {
    await using registry = await TestRegistry.start();
    const manifests = ['amd64', 'arm64'].map(architecture => {
      const platform = { os: 'linux', architecture };
      const layers = [tar([{ name: 'arch', content: architecture }])];
      return { ...registry.putImage('multi', architecture, { layers, platform }).manifest, platform };
    });
    const index = registry.putIndex('multi', '1', manifests);
    const from: ImageLocation = { type: 'registry', ref: `${registry.host}/multi:1` };
    const to: ImageLocation = { type: 'oci', path: place.at('multi'), ref: 'multi' };
    expect(await images.copy(from, to)).toBe(manifests[0]?.digest);
    expect(await images.copy(from, to, { platform: 'linux/arm64' })).toBe(manifests[1]?.digest);
    await expect(images.copy(from, to, { platform: 'linux/s390x' })).rejects.toThrow(/linux\/amd64, linux\/arm64/);
    expect(await images.copy(from, to, { platform: 'all' })).toBe(index.digest);
    const listed = JSON.parse(readFileSync(place.at('multi', 'index.json'), 'utf8')) as { manifests: object[] };
    expect(listed.manifests).toHaveLength(1);
    expect(await images.copy(to, { type: 'registry', ref: `${registry.host}/again:1` }, { platform: 'all' })).toBe(
      index.digest,
    );
    expect(registry.manifest('again', '1')?.bytes).toEqual(registry.manifest('multi', '1')?.bytes);
    await images.copy(to, { type: 'store', ref: 'multi:1' }, { platform: 'all' });
    expect((await images.get('multi:1', { platform: 'linux/arm64' })).digest).toBe(manifests[1]?.digest);
    expect((await images.get('multi:1', { platform: 'linux/amd64' })).digest).toBe(manifests[0]?.digest);
    const both = await buffer(images.save('multi:1', { platform: 'all' }));
    const other = await another();
    const [arm] = await other.load(Readable.from([both]), { platform: 'linux/arm64' });
    expect(arm?.digest).toBe(manifests[1]?.digest);
  });

  test('leaves nothing half when content is not what it should be', async () => {
    await using registry = await TestRegistry.start();
    const put = registry.putImage('app', '1', { layers: [base] });
    registry.fail(new RegExp(`blobs/${put.layers[0]?.digest}`), {
      type: 'change',
      change: body => Buffer.from(body.map((byte, i) => (i === 12 ? byte ^ 1 : byte))),
    });
    const from: ImageLocation = { type: 'registry', ref: `${registry.host}/app:1` };
    mkdirSync(place.at('bad'));
    for (const to of tagged(place.at('bad/x')))
      await expect(images.copy(from, to)).rejects.toMatchObject({ code: 'CTR_INTEGRITY' });
    expect(
      readdirSync(place.at('bad'), { recursive: true }).filter(name => /tar|tmp-|index/.test(String(name))),
    ).toEqual([]);
    await expect(
      images.copy(from, { type: 'registry', ref: `${registry.host}/b@${put.manifest.digest}` }),
    ).rejects.toThrow(/digest cannot be given/);
  });

  test('wants to know which of several', async () => {
    await loadTwo();
    const path = place.at('several.tar');
    await pipeline(images.save(['app:1', 'app:2']), createWriteStream(path));
    const to: ImageLocation = { type: 'oci-archive', path: place.at('one.tar') };
    await expect(images.copy({ type: 'docker-archive', path }, to)).rejects.toMatchObject({ code: 'CTR_CONFLICT' });
    await expect(images.copy({ type: 'docker-archive', path, ref: 'app:3' }, to)).rejects.toThrow(
      /docker.io\/library\/app:1/,
    );
    await images.copy({ type: 'oci-archive', path, ref: 'app:2' }, to);
    await expect(images.copy({ type: 'oci', path: place.at('none') }, to)).rejects.toMatchObject({
      code: 'CTR_NOT_FOUND',
    });
  });
});

describe('an imported file system', () => {
  test('is an image of one layer, that starts as the changes say', async () => {
    const image = await images.import(Readable.from([gzipSync(base)]), {
      ref: 'mine:1',
      changes: ['CMD ["cat","/etc/x"]', 'LABEL a=b'],
      message: 'by hand',
      platform: 'linux/arm64',
    });
    const docker = await image.inspectDocker();
    expect(docker).toMatchObject({ Comment: 'by hand', Architecture: 'arm64', Size: 4, RepoTags: ['mine:1'] });
    expect(docker.Config).toMatchObject({ Cmd: ['cat', '/etc/x'], Labels: { a: 'b' } });
    expect(docker.RootFS.Layers).toEqual([sha256(base)]);
    expect(images.resolve('mine:1').readFile('/etc/x')?.toString()).toBe('base');
    expect(await image.history()).toMatchObject([{ id: image.id, comment: 'by hand', sizeBytes: 4, tags: ['mine:1'] }]);
    expect(events).toContain('image:import');
    expect(readdirSync(place.at('root', 'tmp'))).toEqual([]);
  });

  test('must be an archive, and be there', async () => {
    await expect(images.import(Readable.from([Buffer.alloc(2000, 7)]))).rejects.toMatchObject({ code: 'CTR_PARSE' });
    await expect(images.import(place.at('none'))).rejects.toMatchObject({ code: 'CTR_NOT_FOUND', kind: 'file' });
    await expect(images.import(Readable.from([base]), { changes: ['RUN x'] })).rejects.toMatchObject({
      code: 'CTR_PARSE',
    });
    await expect(images.import(Readable.from([base]), { ref: 'UPPER' })).rejects.toMatchObject({ code: 'CTR_PARSE' });
    expect(await images.list()).toEqual([]);
  });
});

test('a history tells of steps without a layer, and lays sizes at those that have one', async () => {
  const [, two] = await loadTwo();
  expect((await two.history()).map(step => [step.createdBy, step.sizeBytes, step.id])).toEqual([
    ['layer 1', 3, two.id],
    ['layer 0', 4, undefined],
  ]);
  const files = dockerFiles([{ tags: ['plain:1'], layers: [base] }]);
  writeFileSync(place.at('p.tar'), tar(files));
  const [image] = await images.load(place.at('p.tar'));
  expect(await image?.history()).toMatchObject([
    { emptyLayer: false, diffId: sha256(base), tags: ['app:1', 'plain:1'] },
  ]);
});
