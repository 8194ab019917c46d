import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { ImageCollection } from '../../lib/image/images.js';
import type { Store } from '../../lib/store/store.js';
import { Place } from '../store/place.js';
import { TestRegistry } from '../support/registry.js';
import { tar } from './fixtures.js';

const amd64 = { os: 'linux', architecture: 'amd64' };
const arm64 = { os: 'linux', architecture: 'arm64' };
const layer = (content: string): Buffer => tar([{ name: 'x', content }]);

let place: Place;
let store: Store;
let registry: TestRegistry;
let images: ImageCollection;
let ref: string;

beforeEach(async () => {
  place = new Place();
  store = await place.open();
  registry = await TestRegistry.start();
  images = new ImageCollection({ store, platform: 'linux/amd64' });
  ref = `${registry.host}/app:1`;
});

afterEach(async () => {
  await registry[Symbol.asyncDispose]();
  await place[Symbol.asyncDispose]();
});

function publish(version: string): void {
  const manifests = [amd64, arm64].map(platform => ({
    ...registry.putImage('app', version, { layers: [layer(platform.architecture + version)], platform }).manifest,
    platform,
  }));
  registry.putIndex('app', '1', manifests);
}

describe('a tag for several platforms', () => {
  test('stands for each of them, and without a platform for that of this machine', async () => {
    publish('a');
    const other = await images.pull(ref, { platform: 'linux/arm64' });
    expect(images.resolve(ref).platform).toBe('linux/arm64');
    const own = await images.pull(ref);
    expect(images.resolve(ref).id).toBe(own.id);
    await images.pull(ref, { platform: 'linux/arm64' });
    expect(images.resolve(ref).id).toBe(own.id);
    expect((await images.get(ref, { platform: 'linux/arm64' })).id).toBe(other.id);
    expect((await images.get(ref, { platform: 'linux/amd64' })).id).toBe(own.id);
    for (const image of [own, other]) expect((await image.inspect()).tags).toEqual([ref]);
    await expect(images.get(ref, { platform: 'linux/s390x' })).rejects.toThrow(/It is here for linux\/amd64/);
  });

  test('does not make the other one dangle', async () => {
    publish('a');
    await images.pull(ref);
    await images.pull(ref, { platform: 'linux/arm64' });
    expect(await images.list({ dangling: true })).toEqual([]);
    expect((await images.prune()).removed).toEqual([]);
    expect(await images.list()).toHaveLength(2);
  });

  test('is pulled anew for one of them', async () => {
    publish('a');
    const [own, other] = [await images.pull(ref), await images.pull(ref, { platform: 'linux/arm64' })];
    publish('b');
    const fresh = await images.pull(ref, { platform: 'linux/arm64' });
    expect((await images.get(ref, { platform: 'linux/arm64' })).id).toBe(fresh.id);
    expect((await other.inspect()).tags).toEqual([]);
    expect((await own.inspect()).tags).toEqual([ref]);
  });

  test('is removed with all of them, or for one', async () => {
    publish('a');
    const pullBoth = async (): Promise<string[]> => [
      (await images.pull(ref)).id,
      (await images.pull(ref, { platform: 'linux/arm64' })).id,
    ];
    const [own = '', other = ''] = await pullBoth();
    expect(await images.remove(ref, { platform: 'linux/amd64' })).toMatchObject({ untagged: [ref], deleted: [own] });
    expect(images.resolve(ref).id).toBe(other);
    await pullBoth();
    const removal = await images.remove(ref);
    expect(removal).toMatchObject({ untagged: [ref], deleted: [own, other] });
    expect(await images.list()).toEqual([]);
    expect([...store.records('images').names()]).toEqual([]);
  });

  test('belongs to the image alone that is given it by hand', async () => {
    publish('a');
    await images.pull(ref);
    const other = await images.pull(ref, { platform: 'linux/arm64' });
    await other.tag(ref);
    expect(images.resolve(ref).id).toBe(other.id);
    await expect(images.get(ref, { platform: 'linux/amd64' })).rejects.toMatchObject({ code: 'CTR_NOT_FOUND' });
  });
});

describe('a pull policy', () => {
  const call = 'containers.create';
  const asked = (): number => registry.seen(/manifests/).length;

  test('of missing asks the registry once', async () => {
    publish('a');
    const first = await images.obtain(ref, { call });
    const before = asked();
    expect((await images.obtain(ref, { call, policy: 'missing' })).id).toBe(first.id);
    expect(asked()).toBe(before);
    expect((await images.obtain(ref, { call, platform: 'linux/arm64' })).platform).toBe('linux/arm64');
    expect(asked()).toBeGreaterThan(before);
  });

  test('of never asks nobody', async () => {
    publish('a');
    expect(() => images.obtain(ref, { call, policy: 'never' })).toThrow(/No such image|no such image/);
    expect(asked()).toBe(0);
  });

  test('of always brings what the tag stands for now', async () => {
    publish('a');
    const first = await images.obtain(ref, { call });
    publish('b');
    expect((await images.obtain(ref, { call })).id).toBe(first.id);
    expect((await images.obtain(ref, { call, policy: 'always' })).id).not.toBe(first.id);
  });

  test('of newer pulls only when the registry has another one, and does without the registry', async () => {
    publish('a');
    const first = await images.obtain(ref, { call, policy: 'newer' });
    const before = registry.seen(/GET .*blobs/).length;
    expect((await images.obtain(ref, { call, policy: 'newer' })).id).toBe(first.id);
    expect(registry.seen(/GET .*blobs/)).toHaveLength(before);
    publish('b');
    const second = await images.obtain(ref, { call, policy: 'newer' });
    expect(second.id).not.toBe(first.id);
    registry.fail(/manifests/, { type: 'status', status: 404 });
    expect((await images.obtain(ref, { call, policy: 'newer' })).id).toBe(second.id);
  });
});
