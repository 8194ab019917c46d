import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { ImageCollection } from '../../lib/image/images.js';
import type { ImageCollectionOptions } from '../../lib/image/options.js';
import { mediaTypes, type Descriptor } from '../../lib/oci/descriptor.js';
import { sha256 } from '../../lib/oci/digest.js';
import { hostPlatform } from '../../lib/oci/platform.js';
import type { Store } from '../../lib/store/store.js';
import type { TransferProgress } from '../../lib/types.js';
import { Place } from '../store/place.js';
import { TestRegistry } from '../support/registry.js';
import { configFor, tar } from './fixtures.js';

const platform = hostPlatform();
const base = tar([
  { name: 'etc/' },
  { name: 'etc/passwd', content: 'root:x:0:0::/root:/bin/sh\n' },
  { name: 'bin/sh', content: '#!', mode: 0o755 },
]);
const top = tar([{ name: 'etc/' }, { name: 'etc/motd', content: 'hello' }, { name: 'etc/.wh.passwd' }]);

let place: Place;
let store: Store;
let registry: TestRegistry;

beforeEach(async () => {
  place = new Place();
  store = await place.open();
  registry = await TestRegistry.start();
});

afterEach(async () => {
  await registry[Symbol.asyncDispose]();
  await place[Symbol.asyncDispose]();
});

function open(options: Partial<ImageCollectionOptions> = {}): ImageCollection {
  return new ImageCollection({ store, ...options });
}

function unpacked(images: ImageCollection, ref: string, path: string): string {
  const { chain } = images.resolve(ref);
  const dir = store.snapshots.lowers(chain).find(lower => existsSync(join(lower, path)));
  return dir === undefined ? 'none' : readFileSync(join(dir, path), 'utf8');
}

describe('a pulled image', () => {
  test('has its layers, its config and its names', async () => {
    const put = registry.putImage('app', '1', { layers: [base, top], config: { Cmd: ['/bin/sh'] }, platform });
    const images = open();
    const image = await images.pull(`${registry.host}/app:1`);
    expect(image.id).toBe(put.config.digest);
    expect(image.digest).toBe(put.manifest.digest);
    const info = await image.inspect();
    expect(info.tags).toEqual([`${registry.host}/app:1`]);
    expect(info.repoDigests).toEqual([`${registry.host}/app@${put.manifest.digest}`]);
    expect(info.layers.map(layer => layer.diffId)).toEqual(put.diffIds);
    expect(info.config).toEqual({ Cmd: ['/bin/sh'] });
    expect(unpacked(images, `${registry.host}/app:1`, 'etc/motd')).toBe('hello');
    const resolved = images.resolve(image);
    expect(resolved.config.config.Cmd).toEqual(['/bin/sh']);
    expect(resolved.readFile('/etc/motd')?.toString()).toBe('hello');
    expect(resolved.readFile('/etc/passwd')).toBeUndefined();
  });

  test('is not transferred again', async () => {
    registry.putImage('app', '1', { layers: [base, top], platform });
    registry.putImage('app', '2', { layers: [base], platform });
    const images = open();
    await images.pull(`${registry.host}/app:1`);
    const before = registry.seen(/GET .*blobs/).length;
    await images.pull(`${registry.host}/app:1`);
    expect(registry.seen(/GET .*blobs/)).toHaveLength(before);
    await images.pull(`${registry.host}/app:2`);
    // Its config alone is new.
    expect(registry.seen(/GET .*blobs/)).toHaveLength(before + 1);
  });

  test('says what is going on', async () => {
    const put = registry.putImage('app', '1', { layers: [base], platform });
    const images = open();
    const seen: TransferProgress[] = [];
    const pulling = images.pull(`${registry.host}/app:1`);
    for await (const progress of pulling) seen.push(progress);
    await pulling;
    const layer = put.layers[0];
    const kinds = new Set(seen.filter(({ digest }) => digest === layer?.digest).map(({ kind }) => kind));
    expect(kinds).toEqual(new Set(['download', 'unpack', 'done']));
    const last = seen.filter(({ kind }) => kind === 'download').at(-1);
    expect(last).toMatchObject({ bytes: layer?.size, totalBytes: layer?.size });
    const again: string[] = [];
    for await (const { kind } of images.pull(`${registry.host}/app:1`)) again.push(kind);
    expect(again).toEqual(['resolve', 'exists']);
  });

  test('comes from an index for the platform asked for', async () => {
    const other = registry.putImage('app', 'arm', { layers: [top], platform: { os: 'linux', architecture: 's390x' } });
    const mine = registry.putImage('app', 'mine', { layers: [base], platform });
    const index = registry.putManifest('app', 'multi', mediaTypes.ociIndex, {
      schemaVersion: 2,
      mediaType: mediaTypes.ociIndex,
      manifests: [
        { ...other.manifest, platform: { os: 'linux', architecture: 's390x' } },
        { ...mine.manifest, platform },
      ],
    });
    const images = open();
    const ref = `${registry.host}/app:multi`;
    const image = await images.pull(ref);
    expect(image.id).toBe(mine.config.digest);
    expect((await image.inspect()).repoDigests).toEqual([`${registry.host}/app@${index.digest}`]);
    expect((await images.pull(ref, { platform: 'linux/s390x' })).id).toBe(other.config.digest);
    await expect(images.pull(ref, { platform: 'linux/riscv64' })).rejects.toMatchObject({ code: 'CTR_NOT_FOUND' });
    await expect(images.pull(`${registry.host}/app:arm`, { platform: 'linux/amd64' })).rejects.toMatchObject({
      code: 'CTR_NOT_FOUND',
    });
  });

  test('by digest has no tag', async () => {
    const put = registry.putImage('app', '1', { layers: [base], platform });
    const images = open();
    const ref = `${registry.host}/app@${put.manifest.digest}`;
    const image = await images.pull(ref);
    expect((await image.inspect()).tags).toEqual([]);
    expect((await images.get(ref)).id).toBe(image.id);
  });

  test('in plain snapshots is unpacked in order, into whole trees', async () => {
    store = await place.open({ root: place.at('plain'), driver: 'plain' });
    registry.putImage('app', '1', { layers: [base, top], platform });
    const images = open();
    const image = await images.pull(`${registry.host}/app:1`);
    const [tree = ''] = store.snapshots.lowers(images.resolve(image).chain);
    expect(existsSync(join(tree, 'bin/sh'))).toBe(true);
    expect(existsSync(join(tree, 'etc/motd'))).toBe(true);
    expect(existsSync(join(tree, 'etc/passwd'))).toBe(false);
  });
});

describe('pulls at the same time', () => {
  test('of the same image are one', async () => {
    registry.putImage('app', '1', { layers: [base, top], platform });
    const [a, b] = [open(), open()];
    const pulled = await Promise.all([a, b, a, b].map(images => images.pull(`${registry.host}/app:1`)));
    expect(new Set(pulled.map(image => image.id)).size).toBe(1);
    expect(registry.seen(/GET .*manifests/)).toHaveLength(1);
    expect(registry.seen(/GET .*blobs/)).toHaveLength(3);
  });

  test('of different images bring a layer that both have once', async () => {
    registry.putImage('app', '1', { layers: [base, top], platform });
    registry.putImage('app', '2', { layers: [base], platform });
    const images = open();
    await Promise.all(['1', '2'].map(tag => images.pull(`${registry.host}/app:${tag}`)));
    expect(registry.seen(/GET .*blobs/)).toHaveLength(4);
  });
});

/** Nothing of the image: neither a record nor a snapshot, whole or begun. What is leased for a retry does not show. */
function expectNothing(images: ImageCollection): void {
  expect(images.tryResolve(`${registry.host}/app:1`)).toBeUndefined();
  expect(store.records('images').list()).toEqual([]);
  expect(readdirSync(place.at('root', 'snapshots')).filter(name => name !== 'empty')).toEqual([]);
}

const once = { registry: { retries: 0 } };

describe('a registry that lies', () => {
  test('about the bytes of a layer is caught, and none of them is kept', async () => {
    const put = registry.putImage('app', '1', { layers: [base], platform });
    const digest = put.layers[0]?.digest ?? 'sha256:';
    const change = (body: Buffer): Buffer =>
      Buffer.from(body.map((byte, i) => (i === body.length >> 1 ? byte ^ 1 : byte)));
    registry.fail(new RegExp(`GET .*blobs/${digest}`), { type: 'change', change }, 1);
    const images = open();
    const pulling = images.pull(`${registry.host}/app:1`);
    await expect(pulling).rejects.toMatchObject({ code: 'CTR_INTEGRITY', expected: digest });
    await expect(pulling).rejects.toThrow(/^images\.pull: /);
    expectNothing(images);
    expect(store.content.stat(digest)).toBeUndefined();
    await images.pull(`${registry.host}/app:1`);
  });

  test('about what is in a layer is caught', async () => {
    const layer = registry.putBlob(gzipSync(base), mediaTypes.ociLayerGzip);
    const config = registry.putBlob(configFor([sha256('something else')], platform), mediaTypes.ociConfig);
    registry.putManifest('app', '1', mediaTypes.ociManifest, manifest(config, [layer]));
    const images = open();
    await expect(images.pull(`${registry.host}/app:1`)).rejects.toMatchObject({
      code: 'CTR_INTEGRITY',
      expected: sha256('something else'),
      actual: sha256(base),
    });
    expectNothing(images);
  });

  test('about the size of a layer is caught', async () => {
    const layer = registry.putBlob(gzipSync(base), mediaTypes.ociLayerGzip);
    const config = registry.putBlob(configFor([sha256(base)], platform), mediaTypes.ociConfig);
    for (const size of [layer.size + 1, layer.size - 1]) {
      registry.putManifest('app', '1', mediaTypes.ociManifest, manifest(config, [{ ...layer, size }]));
      const images = open();
      await expect(images.pull(`${registry.host}/app:1`)).rejects.toMatchObject({ code: 'CTR_INTEGRITY' });
      expectNothing(images);
    }
  });

  test('about the number of layers is caught', async () => {
    const layer = registry.putBlob(gzipSync(base), mediaTypes.ociLayerGzip);
    const config = registry.putBlob(configFor([sha256(base), sha256(top)], platform), mediaTypes.ociConfig);
    registry.putManifest('app', '1', mediaTypes.ociManifest, manifest(config, [layer]));
    await expect(open().pull(`${registry.host}/app:1`)).rejects.toMatchObject({ code: 'CTR_PARSE' });
  });
});

describe('what is no image that can be unpacked here', () => {
  const layer = { mediaType: mediaTypes.ociLayer, digest: sha256(base), size: base.length };
  const config = { mediaType: mediaTypes.ociConfig, digest: sha256('{}'), size: 2 };
  test.each([
    ['an artifact', manifest({ ...config, mediaType: 'application/vnd.cncf.helm.config.v1+json' }, []), 'not an image'],
    ['an unknown layer', manifest(config, [{ ...layer, mediaType: 'application/vnd.in-toto+json' }]), 'in-toto'],
    ['schema 1', { schemaVersion: 1, fsLayers: [] }, 'schema 1'],
    ['not JSON', Buffer.from('<html>'), 'is not JSON'],
  ])('%s is refused with words', async (_, document, words) => {
    registry.putManifest('app', '1', mediaTypes.ociManifest, document);
    const images = open();
    await expect(images.pull(`${registry.host}/app:1`)).rejects.toThrow(words);
    expectNothing(images);
  });

  test.each([
    ['a path that leaves the root', [{ name: '../../escape', content: 'x' }]],
    ['a hard link that leaves the root', [{ name: 'x', type: '1', link: '../../../etc/passwd' }]],
  ])('%s leaves nothing', async (_, files) => {
    registry.putImage('app', '1', { layers: [tar(files)], platform });
    const images = open();
    await expect(images.pull(`${registry.host}/app:1`)).rejects.toMatchObject({ code: expect.stringMatching(/^CTR_/) });
    expectNothing(images);
    expect(existsSync(place.at('root', 'escape'))).toBe(false);
    expect(existsSync(place.at('escape'))).toBe(false);
  });

  test('a layer that unpacks to more than is allowed is refused', async () => {
    registry.putImage('app', '1', { layers: [tar([{ name: 'big', content: Buffer.alloc(4 << 20) }])], platform });
    const images = open({ maxLayerBytes: 1 << 20 });
    await expect(images.pull(`${registry.host}/app:1`)).rejects.toMatchObject({ code: 'CTR_LIMIT' });
    expectNothing(images);
  });

  test('an image that is not there, and a malformed name', async () => {
    registry.putImage('app', '1', { layers: [base], platform });
    await expect(open().pull(`${registry.host}/app:2`)).rejects.toMatchObject({ code: 'CTR_NOT_FOUND', kind: 'image' });
    await expect(open().pull('Not A Name')).rejects.toMatchObject({ code: 'CTR_PARSE' });
  });
});

describe('a download that breaks', () => {
  const noise = tar([{ name: 'noise', content: randomBytes(3 << 20) }]);

  test('goes on where it was within the pull', async () => {
    const put = registry.putImage('app', '1', { layers: [noise], platform });
    registry.fail(new RegExp(`GET .*blobs/${put.layers[0]?.digest}`), { type: 'cut', after: 1 << 20 }, 1);
    await open().pull(`${registry.host}/app:1`);
  });

  test('goes on where it was in the next pull', async () => {
    const put = registry.putImage('app', '1', { layers: [noise], platform });
    const blob = new RegExp(`GET .*blobs/${put.layers[0]?.digest}`);
    registry.fail(blob, { type: 'cut', after: 1 << 20 }, 1);
    const images = open(once);
    await expect(images.pull(`${registry.host}/app:1`)).rejects.toMatchObject({ code: 'CTR_NETWORK' });
    expectNothing(images);
    const before = registry.seen(blob).length;
    await images.pull(`${registry.host}/app:1`);
    const [request] = registry.seen(blob).slice(before);
    expect(request?.headers.range).toMatch(/^bytes=\d{6,}-$/);
    const { chain } = images.resolve(`${registry.host}/app:1`);
    const [dir = ''] = store.snapshots.lowers(chain);
    expect(statSync(join(dir, 'noise')).size).toBe(3 << 20);
  });

  test('by an abort rejects with its reason, and leaves nothing running', async () => {
    const put = registry.putImage('app', '1', { layers: [noise], platform });
    registry.fail(new RegExp(`GET .*blobs/${put.layers[0]?.digest}`), { type: 'stall', after: 1 << 20 }, 1);
    const images = open();
    const controller = new AbortController();
    const pulling = images.pull(`${registry.host}/app:1`, { signal: controller.signal });
    for await (const { kind, bytes } of pulling) {
      if (kind !== 'download' || bytes === 0) continue;
      controller.abort('enough');
      break;
    }
    await expect(pulling).rejects.toBe('enough');
    expectNothing(images);
    await registry.idle();
    await images.pull(`${registry.host}/app:1`);
  });
});

test('an image of many layers of all compressions is whole', async () => {
  const files = Array.from({ length: 12 }, (_, i) => tar([{ name: `d${i % 3}/f${i}`, content: `${i}` }]));
  const layers = files.map((layer, i) => {
    if (i % 3 === 0) return { tar: layer, compression: 'none' as const };
    return { tar: layer, compression: 'gzip' as const };
  });
  registry.putImage('app', '1', { layers, platform, docker: true });
  const images = open();
  await images.pull(`${registry.host}/app:1`);
  const { readFile } = images.resolve(`${registry.host}/app:1`);
  expect(files.map((_, i) => readFile(`/d${i % 3}/f${i}`)?.toString())).toEqual(files.map((_, i) => `${i}`));
});

test('the same layer twice in an image is transferred once', async () => {
  registry.putImage('app', '1', { layers: [base, top, base], platform });
  const images = open();
  await images.pull(`${registry.host}/app:1`);
  expect(registry.seen(/GET .*blobs/)).toHaveLength(3);
  expect(images.resolve(`${registry.host}/app:1`).readFile('/etc/passwd')?.toString()).toContain('root');
});

function manifest(config: Descriptor, layers: readonly Descriptor[]): object {
  return { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers };
}
