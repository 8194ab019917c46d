import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { sha256 } from '../../../lib/oci/digest.js';
import { Registry } from '../../../lib/registry/registry.js';
import { RawHttp } from '../../support/raw-http.js';
import { serveRegistry, type ServedRegistry } from '../../support/registry-server.js';
import { TestRegistry, type TestImage } from '../../support/registry.js';

const layer = randomBytes(3_000_000);
let upstream: TestRegistry;
let cache: ServedRegistry;
let client: Registry;
let image: TestImage;

beforeEach(async () => {
  upstream = await TestRegistry.start();
  image = upstream.putImage('team/app', '1', { layers: [{ tar: layer, compression: 'none' }] });
  cache = await serveRegistry({ upstream: { host: upstream.host, retries: 0 } });
  client = new Registry(cache.host);
});

afterEach(async () => {
  await client.close();
  await cache[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
});

function layerOf({ layers: [first] }: TestImage): NonNullable<(typeof image)['layers'][number]> {
  if (first === undefined) throw new TypeError('an image without layers');
  return first;
}

describe('a cache of another registry', () => {
  test('fetches what many ask for at once a single time', async () => {
    const all = await Promise.all(
      Array.from({ length: 12 }, async () => {
        const { descriptor } = await client.manifest('team/app', '1');
        const bytes = await buffer(await client.blob('team/app', layerOf(image)));
        return [descriptor.digest, sha256(bytes)];
      }),
    );
    expect(new Set(all.map(String))).toEqual(new Set([String([image.manifest.digest, sha256(layer)])]));
    expect(upstream.seen(/GET .*\/blobs\//)).toHaveLength(1);
    expect(upstream.seen(/GET .*\/manifests\//)).toHaveLength(1);
  });

  test('serves what it has when the other one is away', async () => {
    await client.manifest('team/app', '1');
    await buffer(await client.blob('team/app', layerOf(image)));
    upstream.fail(/./, { type: 'hang-up' });
    expect((await client.manifest('team/app', '1')).descriptor.digest).toBe(image.manifest.digest);
    expect(sha256(await buffer(await client.blob('team/app', layerOf(image))))).toBe(sha256(layer));
    const tags: string[] = [];
    for await (const tag of client.tags('team/app')) tags.push(tag);
    expect(tags).toEqual(['1']);
  });

  test('notices that a tag was moved', async () => {
    await client.manifest('team/app', '1');
    const moved = upstream.putImage('team/app', '1', { layers: [randomBytes(10)] });
    expect((await client.manifest('team/app', '1')).descriptor.digest).toBe(moved.manifest.digest);
  });

  test('keeps nothing of a blob that was cut, or is another one', async () => {
    const http = new RawHttp(cache.host);
    for (const fault of [
      { type: 'cut', after: 1000 },
      { type: 'change', change: (body: Buffer) => Buffer.alloc(body.length) },
    ] as const) {
      const bytes = randomBytes(100_000);
      const path = `/v2/team/app/blobs/${upstream.putBlob(bytes, 'a/b').digest}`;
      upstream.fail(/GET .*\/blobs\//, fault, 1);
      const got = await http.ask('GET', path).catch(() => undefined);
      // Before the last byte nobody can know; whoever reads verifies.
      if (got?.status === 200) expect(got.body.equals(bytes)).toBe(false);
      expect((await http.ask('GET', path)).body.equals(bytes)).toBe(true);
    }
  });

  test('says what the other one says', async () => {
    await expect(client.manifest('team/app', 'none')).rejects.toMatchObject({ code: 'CTR_NOT_FOUND' });
    upstream.fail(/manifests/, { type: 'status', status: 401 }, 2);
    await expect(client.manifest('team/app', '1')).rejects.toMatchObject({ status: 403 });
    upstream.fail(/manifests/, { type: 'status', status: 429, headers: { 'retry-after': '3600' } });
    await using patient = new Registry(cache.host, { retries: 0 });
    await expect(patient.manifest('team/app', '1')).rejects.toMatchObject({ code: 'CTR_RATE_LIMIT' });
  });

  test('is not pushed to', async () => {
    const bytes = Buffer.from('x');
    const descriptor = { mediaType: 'a/b', digest: sha256(bytes), size: 1 };
    await expect(client.putBlob('team/app', descriptor, bytes)).rejects.toMatchObject({ status: 405 });
  });

  test('sends parts of what is still coming', async () => {
    const got = await new RawHttp(cache.host).ask('GET', `/v2/team/app/blobs/${layerOf(image).digest}`, {
      headers: { range: 'bytes=2000000-2000009' },
    });
    expect(got.status).toBe(206);
    expect(got.body.equals(layer.subarray(2_000_000, 2_000_010))).toBe(true);
  });
});
