import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { ImageCollection } from '../../lib/image/images.js';
import type { ImageCollectionOptions } from '../../lib/image/options.js';
import type { PushProgress } from '../../lib/image/push.js';
import { mediaTypes } from '../../lib/oci/descriptor.js';
import { hostPlatform } from '../../lib/oci/platform.js';
import { Registry } from '../../lib/registry/registry.js';
import { RegistryServer } from '../../lib/registry/server/server.js';
import type { Store } from '../../lib/store/store.js';
import type { Digest } from '../../lib/types.js';
import { Place } from '../store/place.js';
import { serveRegistry, type ServedRegistry } from '../support/registry-server.js';
import { TestRegistry, type Fault } from '../support/registry.js';
import { tar } from './fixtures.js';

const platform = hostPlatform();
const base = tar([{ name: 'etc/' }, { name: 'etc/passwd', content: 'root:x:0:0::/root:/bin/sh\n' }]);
const top = tar([{ name: 'etc/' }, { name: 'etc/motd', content: randomBytes(300_000).toString('base64') }]);

let place: Place;
let store: Store;
let source: TestRegistry;
let target: ServedRegistry;

beforeEach(async () => {
  place = new Place();
  store = await place.open();
  source = await TestRegistry.start();
  target = await serveRegistry();
});

afterEach(async () => {
  await target[Symbol.asyncDispose]();
  await source[Symbol.asyncDispose]();
  await place[Symbol.asyncDispose]();
});

function open(options: Partial<ImageCollectionOptions> = {}): ImageCollection {
  return new ImageCollection({ store, registry: { retryDelayMs: 1 }, ...options });
}

async function told(progress: AsyncIterable<PushProgress>): Promise<string[]> {
  const kinds: string[] = [];
  for await (const { kind, diffId, from } of progress)
    if (kind !== 'upload' && kind !== 'resolve')
      kinds.push(`${diffId.slice(7, 19)} ${kind}${from === undefined ? '' : ` ${from}`}`);
  return kinds.sort();
}

describe('an image that was pulled', () => {
  test.each([false, true])('has the same digests where it is pushed to, Docker’s media types: %s', async docker => {
    const put = source.putImage('app', '1', { layers: [base, top], platform, docker });
    const images = open();
    const image = await images.pull(`${source.host}/app:1`);
    const pushed = await image.push(`${target.host}/team/app:2`);
    expect(pushed).toEqual(put.manifest);
    await using registry = new Registry(target.host);
    const got = await registry.manifest('team/app', '2');
    expect(Buffer.from(got.bytes).equals(source.manifest('app', '1')?.bytes ?? Buffer.alloc(0))).toBe(true);
    for (const layer of put.layers) expect(await registry.blobSize('team/app', layer.digest)).toBe(layer.size);
    const { repoDigests } = await image.inspect();
    expect(repoDigests).toContain(`${target.host}/team/app@${put.manifest.digest}`);
    // And back, when it is here no more.
    await image.remove({ force: true });
    const back = await images.pull(`${target.host}/team/app:2`);
    expect([back.id, back.digest]).toEqual([image.id, image.digest]);
  });

  test('says of each layer how it came to be there', async () => {
    const put = source.putImage('app', '1', { layers: [base, top], platform });
    const images = open();
    const image = await images.pull(`${source.host}/app:1`);
    const ids = put.diffIds.map(id => id.slice(7, 19));
    const all = (what: string): string[] => ids.map(id => `${id} ${what}`).sort();
    expect(await told(image.push(`${target.host}/a:1`))).toEqual(all('done'));
    expect(await told(image.push(`${target.host}/a:2`))).toEqual(all('exists'));
    expect(await told(image.push(`${target.host}/b/c:1`))).toEqual(all('mounted a'));
  });

  test('is pushed in chunks where that is wanted', async () => {
    const put = source.putImage('app', '1', { layers: [{ tar: top, compression: 'none' }], platform });
    const image = await open().pull(`${source.host}/app:1`);
    await image.push(`${target.host}/a:1`, { chunkBytes: 100_000 });
    await using registry = new Registry(target.host);
    expect(await registry.blobSize('a', put.layers[0]?.digest as Digest)).toBe(top.length);
  });

  test('is pushed as one of several platforms', async () => {
    const other = { os: 'linux', architecture: platform.architecture === 'arm64' ? 'amd64' : 'arm64' };
    const first = source.putImage('app', '1', { layers: [base], platform });
    const second = source.putImage('app', '2', { layers: [top], platform: other });
    const images = open();
    const mine = await images.pull(`${source.host}/app:1`);
    const theirs = await images.pull(`${source.host}/app:2`);
    const pushed = await images.pushIndex(`${target.host}/all:1`, [mine, theirs.id]);
    expect(pushed.mediaType).toBe(mediaTypes.ociIndex);
    await using registry = new Registry(target.host);
    const name = (of: { os: string; architecture: string; variant?: string }) => `${of.os}/${of.architecture}` as const;
    expect((await registry.resolve('all', '1', { platform: name(platform) })).digest).toBe(first.manifest.digest);
    expect((await registry.resolve('all', '1', { platform: name(other) })).digest).toBe(second.manifest.digest);
    await expect(images.pushIndex(`${target.host}/all:2`, [mine, mine])).rejects.toMatchObject({ code: 'CTR_PARSE' });
  });

  test('is told when it is pushed', async () => {
    source.putImage('app', '1', { layers: [base], platform });
    const events: string[] = [];
    const images = open({ emit: (type, { id }) => void events.push(`${type} ${id}`) });
    const image = await images.pull(`${source.host}/app:1`);
    await image.push(`${target.host}/a:1`);
    expect(events.at(-1)).toBe(`image:push ${image.id}`);
  });

  test('is served from the store without a copy', async () => {
    const put = source.putImage('team/app', '1', { layers: [base, top], platform });
    const images = open();
    const image = await images.pull(`${source.host}/team/app:1`);
    await using server = new RegistryServer({ storage: await images.storage() });
    const host = await server.listen();
    await using registry = new Registry(host);
    expect((await registry.manifest('team/app', '1')).descriptor).toEqual(put.manifest);
    await image.push(`${target.host}/x:1`);
    const other = new Place();
    await using elsewhere = await other.open();
    const copied = await new ImageCollection({ store: elsewhere }).pull(`${host}/team/app:1`);
    expect(copied.digest).toBe(image.digest);
    await expect(registry.putBlob('a', put.config, Buffer.from('x'))).rejects.toMatchObject({ status: 405 });
    await elsewhere.close();
    await other[Symbol.asyncDispose]();
  });
});

describe('a push', () => {
  test('of what is not here, or to a digest, is refused', async () => {
    const images = open();
    await expect(images.push(`${target.host}/none:1`)).rejects.toMatchObject({ code: 'CTR_NOT_FOUND' });
    source.putImage('app', '1', { layers: [base], platform });
    const image = await images.pull(`${source.host}/app:1`);
    await expect(image.push(`${target.host}/a@${image.digest}`)).rejects.toMatchObject({ code: 'CTR_PARSE' });
    await expect(image.push(`${target.host}/a:1`, { concurrency: 0 })).rejects.toThrow(TypeError);
  });

  test('of a layer that the disk has lost says which, before anything is named', async () => {
    const put = source.putImage('app', '1', { layers: [base], platform });
    const image = await open().pull(`${source.host}/app:1`);
    rmSync(store.content.path(put.layers[0]?.digest as Digest));
    await expect(image.push(`${target.host}/a:1`)).rejects.toMatchObject({
      code: 'CTR_NOT_FOUND',
      kind: 'blob',
      ref: put.layers[0]?.digest,
    });
    await using registry = new Registry(target.host);
    await expect(registry.manifest('a', '1')).rejects.toMatchObject({ code: 'CTR_NOT_FOUND' });
  });

  test('that is aborted ends with the reason, and leaves the store as it was', async () => {
    source.putImage('app', '1', { layers: [base, top], platform });
    await using stalled = await TestRegistry.start();
    stalled.fail(/PUT .*uploads/, { type: 'silence' });
    const images = open();
    const image = await images.pull(`${source.host}/app:1`);
    const reason = new Error('enough');
    const controller = new AbortController();
    const pushing = image.push(`${stalled.host}/a:1`, { signal: controller.signal });
    const ended = expect(pushing).rejects.toBe(reason);
    while (stalled.seen(/PUT .*uploads/).length === 0) await new Promise(resolve => setImmediate(resolve));
    controller.abort(reason);
    await ended;
    expect(store.leases.refs()).toEqual([]);
    expect((await images.list()).map(({ id }) => id)).toEqual([image.id]);
  });

  const faults: readonly (readonly [string, RegExp, Fault, number, object | undefined])[] = [
    ['a connection that is cut once', /PUT .*uploads/, { type: 'hang-up' }, 1, undefined],
    ['an upload that is lost once', /PUT .*uploads/, { type: 'status', status: 503 }, 1, undefined],
    [
      'a web page for an upload',
      /POST .*uploads/,
      { type: 'status', status: 200, body: '<html>' },
      9,
      { code: 'CTR_REGISTRY', status: 200 },
    ],
    [
      'an upload that is somewhere else',
      /POST .*uploads/,
      { type: 'headers', headers: { location: 'http://203.0.113.1/x' } },
      9,
      { code: 'CTR_REGISTRY' },
    ],
    [
      'an upload that is nowhere',
      /POST .*uploads/,
      { type: 'headers', headers: { location: undefined } },
      9,
      { code: 'CTR_REGISTRY' },
    ],
    [
      'another digest for the manifest',
      /PUT .*manifests/,
      { type: 'headers', headers: { 'docker-content-digest': `sha256:${'0'.repeat(64)}` } },
      9,
      { code: 'CTR_INTEGRITY' },
    ],
    ['a full disk', /PUT .*uploads/, { type: 'status', status: 507 }, 99, { code: 'CTR_REGISTRY', status: 507 }],
    [
      'no right to write',
      /POST .*uploads/,
      { type: 'status', status: 403 },
      99,
      { code: 'CTR_UNAUTHORIZED', status: 403 },
    ],
    [
      'a redirect of an upload',
      /PUT .*uploads/,
      { type: 'redirect', to: '203.0.113.1' },
      99,
      { code: 'CTR_REGISTRY', status: 307 },
    ],
  ];
  test.each(faults)(
    'to a registry that answers with %s ends well, or says why',
    async (_, pattern, fault, times, error) => {
      source.putImage('app', '1', { layers: [base, top], platform });
      await using broken = await TestRegistry.start();
      broken.fail(pattern, fault, times);
      const images = open({ registry: { retries: 2, retryDelayMs: 1 } });
      const image = await images.pull(`${source.host}/app:1`);
      const pushing = image.push(`${broken.host}/a:1`);
      if (error !== undefined) {
        await expect(pushing).rejects.toMatchObject(error);
        await expect(pushing).rejects.toThrow(/^images\.push: /);
      } else {
        expect((await pushing).digest).toBe(image.digest);
      }
      expect((await image.inspect()).id).toBe(image.id);
      expect(store.leases.refs()).toEqual([]);
    },
  );
});
