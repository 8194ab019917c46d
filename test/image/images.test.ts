import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { ImageCollection } from '../../lib/image/images.js';
import type { ImageUser } from '../../lib/image/removal.js';
import type { Image } from '../../lib/image/image.js';
import type { Store } from '../../lib/store/store.js';
import { Place } from '../store/place.js';
import { dockerFiles, tar } from './fixtures.js';
import { writeFileSync } from 'node:fs';

let place: Place;
let store: Store;
let images: ImageCollection;
let users: Record<string, ImageUser[]>;
let events: string[];

beforeEach(async () => {
  place = new Place();
  store = await place.open();
  store.registerRoots('containers', () => []);
  [users, events] = [{}, []];
  images = new ImageCollection({
    store,
    usedBy: id => users[id] ?? [],
    emit: (type, event) => events.push([type, 'ref' in event ? event.ref : event.id].join(' ')),
  });
});

afterEach(() => place[Symbol.asyncDispose]());

/** An image whose only layer has a file of that content. */
async function load(content: string, tags: string[] = [], labels: Record<string, string> = {}): Promise<Image> {
  const config = { Cmd: [content], Labels: labels };
  const files = dockerFiles([{ tags, layers: [tar([{ name: 'x', content }])], config }]);
  writeFileSync(place.at('load.tar'), tar(files));
  const [image] = await images.load(place.at('load.tar'));
  if (image === undefined) throw new TypeError('nothing was loaded');
  return image;
}

async function tagsOf(image: Image): Promise<readonly string[]> {
  return (await image.inspect()).tags;
}

describe('an image is found', () => {
  test('by tag, short and in full, by id, by the beginning of one, by digest', async () => {
    const image = await load('a', ['app:1', 'latest-only']);
    const hex = image.id.slice(7);
    const refs = [
      'app:1',
      'docker.io/library/app:1',
      'latest-only',
      image.id,
      hex,
      hex.slice(0, 12),
      `sha256:${hex.slice(0, 7)}`,
      image.digest,
    ];
    for (const ref of refs) expect((await images.get(ref)).id).toBe(image.id);
  });

  test('and not by what it is not called', async () => {
    await load('a', ['app:1']);
    for (const ref of ['app', 'app:2', 'other/app:1', 'f'.repeat(64), `sha256:${'0'.repeat(64)}`, 'zzzz']) {
      await expect(images.get(ref)).rejects.toMatchObject({ code: 'CTR_NOT_FOUND', kind: 'image', ref });
    }
    await expect(images.get('app:1')).resolves.toBeDefined();
    await expect(images.get('Not A Name')).rejects.toMatchObject({ code: 'CTR_PARSE' });
    await expect(images.get('nothing')).rejects.toThrow(/images\.pull\("nothing"\)/);
  });

  test('only if the beginning of its id is its own', async () => {
    const ids: string[] = [];
    // Among 17 ids two begin with the same digit.
    for (let i = 0; i < 17; i++) ids.push((await load(`${i}`)).id.slice(7, 8));
    const twice = ids.find((digit, i) => ids.indexOf(digit) < i) ?? '';
    await expect(images.get(`sha256:${twice}`)).rejects.toMatchObject({ code: 'CTR_CONFLICT' });
  });
});

describe('a tag', () => {
  test('moves to the image that gets it, and leaves the other without', async () => {
    const [a, b] = [await load('a', ['app:1']), await load('b')];
    await b.tag('app:1');
    expect(await tagsOf(a)).toEqual([]);
    expect(await tagsOf(b)).toEqual(['app:1']);
    expect(images.resolve('app:1').id).toBe(b.id);
    expect(events.at(-1)).toBe('image:tag app:1');
  });

  test('is `latest` where none is given, and is no digest', async () => {
    const image = await load('a');
    await image.tag('registry.example:5000/team/app');
    expect(await tagsOf(image)).toEqual(['registry.example:5000/team/app:latest']);
    await expect(image.tag(`app@${image.digest}`)).rejects.toMatchObject({ code: 'CTR_PARSE' });
    await expect(image.tag('UPPER')).rejects.toMatchObject({ code: 'CTR_PARSE' });
  });

  test('can be taken away, if it is there', async () => {
    const image = await load('a', ['app:1', 'app:2']);
    await image.untag('app:1');
    expect(await tagsOf(image)).toEqual(['app:2']);
    await expect(image.untag('app:1')).rejects.toThrow('The image has app:2');
    await image.untag('app:2');
    expect(await tagsOf(image)).toEqual([]);
    expect((await images.get(image.id)).id).toBe(image.id);
  });
});

describe('a removal', () => {
  test('by one of several names takes the name only, by the last one the image', async () => {
    const image = await load('a', ['app:1', 'app:2']);
    expect(await images.remove('app:1')).toEqual({ untagged: ['app:1'], deleted: [], layers: [] });
    const layers = (await image.inspect()).layers.map(layer => layer.diffId);
    expect(await images.remove('app:2')).toEqual({ untagged: ['app:2'], deleted: [image.id], layers });
    await expect(images.get(image.id)).rejects.toMatchObject({ code: 'CTR_NOT_FOUND' });
    expect(store.snapshots.list()).toEqual([]);
    expect([...store.content.list()]).toEqual([]);
    expect(events.slice(-2)).toEqual(['image:untag app:2', `image:remove ${image.id}`]);
    expect(await store.content.readIndex()).toEqual([]);
  });

  test('leaves what another image needs', async () => {
    const layer = tar([{ name: 'x', content: 'shared' }]);
    const files = dockerFiles([
      { tags: ['a:1'], layers: [layer] },
      { tags: ['b:1'], layers: [layer, tar([{ name: 'y' }])] },
    ]);
    writeFileSync(place.at('two.tar'), tar(files));
    await images.load(place.at('two.tar'));
    await images.remove('b:1');
    expect(store.snapshots.list()).toHaveLength(1);
    expect(images.resolve('a:1').readFile('/x')?.toString()).toBe('shared');
  });

  test('by id takes the name with it, but several names by force only', async () => {
    const one = await load('a', ['app:1']);
    await one.remove();
    expect(await images.list()).toEqual([]);
    const two = await load('b', ['app:1', 'app:2']);
    await expect(two.remove()).rejects.toMatchObject({ code: 'CTR_CONFLICT', usedBy: ['app:1', 'app:2'] });
    await two.remove({ force: true });
    expect(await images.list()).toEqual([]);
  });

  test('spares what containers use: stopped ones give way to force, running ones only with the name', async () => {
    const image = await load('a', ['app:1', 'app:2']);
    users[image.id] = [{ id: 'c'.repeat(64), running: false }];
    await images.remove('app:2');
    await expect(images.remove('app:1')).rejects.toMatchObject({ code: 'CTR_CONFLICT', usedBy: ['c'.repeat(64)] });
    expect(await tagsOf(image)).toEqual(['app:1']);
    users[image.id] = [{ id: 'd'.repeat(64), running: true }];
    await expect(images.remove(image.id, { force: true })).rejects.toThrow(/running container d{12}/);
    expect(await images.remove('app:1', { force: true })).toEqual({ untagged: ['app:1'], deleted: [], layers: [] });
    expect(await tagsOf(image)).toEqual([]);
    await image.tag('app:1');
    users[image.id] = [{ id: 'c'.repeat(64), running: false }];
    await images.remove('app:1', { force: true });
    expect(await images.list()).toEqual([]);
  });

  test('can leave on the disk what the image was made of', async () => {
    const image = await load('a', ['app:1']);
    expect((await images.remove('app:1', { noPrune: true })).layers).toEqual([]);
    expect([...store.content.list()].length).toBeGreaterThan(0);
    await images.prune();
    expect([...store.content.list()]).toEqual([]);
    await expect(images.get(image.id)).rejects.toMatchObject({ code: 'CTR_NOT_FOUND' });
  });

  test('of an image that is not there says so', async () => {
    await expect(images.remove('app:1')).rejects.toMatchObject({ code: 'CTR_NOT_FOUND' });
  });
});

describe('a list', () => {
  test('can be narrowed by name, label and the lack of a name', async () => {
    const a = await load('a', ['app:1'], { tier: 'web', x: '1' });
    const b = await load('b', ['team/db:2'], { tier: 'db' });
    const c = await load('c');
    const ids = async (...args: Parameters<ImageCollection['list']>): Promise<string[]> =>
      (await images.list(...args)).map(image => image.id).sort();
    expect(await ids()).toEqual([a.id, b.id, c.id].sort());
    expect(await ids({ name: 'app:1' })).toEqual([a.id]);
    expect(await ids({ name: /^team\// })).toEqual([b.id]);
    expect(await ids({ labels: { tier: true } })).toEqual([a.id, b.id].sort());
    expect(await ids({ labels: { tier: 'web', x: '1' } })).toEqual([a.id]);
    expect(await ids({ dangling: true })).toEqual([c.id]);
    expect(await ids({ dangling: false })).toEqual([a.id, b.id].sort());
  });
});

describe('a list', () => {
  test('can be narrowed by patterns, by missing labels and by when images were made', async () => {
    const at = async (name: string, created: string, labels: Record<string, string> = {}): Promise<Image> => {
      const config = { Labels: labels };
      const layers = [tar([{ name: 'x', content: name }])];
      writeFileSync(place.at('at.tar'), tar(dockerFiles([{ tags: [name], layers, config, created }])));
      const [image] = await images.load(place.at('at.tar'));
      if (image === undefined) throw new TypeError('nothing was loaded');
      return image;
    };
    const a = await at('app:1', '2026-01-01T00:00:00Z', { keep: '1' });
    const b = await at('registry.example/team/app:2', '2026-01-02T00:00:00Z');
    const c = await at('db:1-alpine', '2026-01-03T00:00:00Z');
    const ids = async (...args: Parameters<ImageCollection['list']>): Promise<string[]> =>
      (await images.list(...args)).map(image => image.id);
    expect(await ids({ reference: 'app' })).toEqual([a.id]);
    expect(await ids({ reference: '*:1*' })).toEqual([c.id, a.id]);
    expect(await ids({ reference: ['app:[2-9]', '*/*/app'] })).toEqual([b.id]);
    expect(await ids({ before: 'db:1-alpine' })).toEqual([b.id, a.id]);
    expect(await ids({ since: a.id })).toEqual([c.id, b.id]);
    expect(await ids({ until: new Date('2026-01-02T12:00:00Z') })).toEqual([b.id, a.id]);
    expect(await ids({ notLabels: { keep: true } })).toEqual([c.id, b.id]);
    await expect(images.list({ since: 'none' })).rejects.toMatchObject({ code: 'CTR_NOT_FOUND' });
    const { removed } = await images.prune({
      dangling: false,
      until: new Date('2026-01-02T12:00:00Z'),
      notLabels: { keep: '1' },
    });
    expect(removed).toEqual([b.id]);
  });
});

describe('a prune', () => {
  test('takes what has no name and no container; with dangling: false also what has a name', async () => {
    const [used, unused, named] = [await load('a'), await load('b'), await load('c', ['app:1'])];
    users[used.id] = [{ id: 'x', running: false }];
    const first = await images.prune();
    expect(first.removed).toEqual([unused.id]);
    expect(first.reclaimedBytes).toBeGreaterThan(0);
    const second = await images.prune({ dangling: false });
    expect(second.removed).toEqual([named.id]);
    expect((await images.list()).map(image => image.id)).toEqual([used.id]);
  });
});

test('an inspection is a frozen copy, in our words and in those of Docker', async () => {
  const image = await load('hi', ['app:1'], { a: 'b' });
  const info = await image.inspect();
  expect(Object.isFrozen(info) && Object.isFrozen(info.config) && Object.isFrozen(info.layers[0])).toBe(true);
  expect(info).toMatchObject({
    id: image.id,
    digest: image.digest,
    tags: ['app:1'],
    platform: 'linux/amd64',
    sizeBytes: 2,
  });
  expect(info.createdAt).toEqual(new Date('2026-01-02T03:04:05Z'));
  const docker = await image.inspectDocker();
  expect(docker).toMatchObject({
    Id: image.id,
    RepoTags: ['app:1'],
    Architecture: 'amd64',
    Os: 'linux',
    Created: '2026-01-02T03:04:05Z',
    RootFS: { Type: 'layers', Layers: info.layers.map(layer => layer.diffId) },
  });
  expect(docker.Config).toMatchObject({ Cmd: ['hi'], Labels: { a: 'b' }, Env: null, Entrypoint: null });
});
