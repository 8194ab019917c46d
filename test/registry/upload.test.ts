import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { mediaTypes, type Descriptor } from '../../lib/oci/descriptor.js';
import { sha256 } from '../../lib/oci/digest.js';
import { Registry } from '../../lib/registry/registry.js';
import { TestRegistry } from '../support/registry.js';

let server: TestRegistry;
let registry: Registry;

beforeEach(async () => {
  server = await TestRegistry.start({ auth: { type: 'bearer' } });
  registry = new Registry(server.host, { retries: 1, retryDelayMs: 1 });
});

afterEach(async () => {
  await registry.close();
  await server[Symbol.asyncDispose]();
});

const content = Buffer.alloc(300_000, 'content');
const descriptor: Descriptor = { mediaType: mediaTypes.ociLayer, digest: sha256(content), size: content.length };

describe('a blob', () => {
  test.each([
    ['bytes', () => content],
    ['a stream', () => Readable.from([content.subarray(0, 1000), content.subarray(1000)])],
  ])('is uploaded from %s, and comes back', async (_, make) => {
    await registry.putBlob('acme/new', descriptor, make());
    expect(sha256(await buffer(await registry.blob('acme/new', descriptor)))).toBe(descriptor.digest);
  });

  test('that is there already is not sent again, and its stream is closed', async () => {
    server.putBlob(content, mediaTypes.ociLayer);
    const stream = Readable.from([content]);
    await registry.putBlob('acme/new', descriptor, stream);
    expect(server.seen(/^(POST|PUT)/)).toEqual([]);
    expect(stream.destroyed).toBe(true);
  });

  test('of bytes is sent again after a failure that may pass, a stream is not', async () => {
    server.fail(/^PUT/, { type: 'status', status: 503 }, 1);
    await registry.putBlob('acme/new', descriptor, content);
    server.fail(/^HEAD/, { type: 'status', status: 404 }, 1);
    server.fail(/^PUT/, { type: 'status', status: 503 }, 1);
    await expect(registry.putBlob('acme/new', descriptor, Readable.from([content]))).rejects.toMatchObject({
      status: 503,
    });
  });

  test('that the registry finds wrong is an error', async () => {
    const wrong = { ...descriptor, digest: sha256('other') };
    await expect(registry.putBlob('acme/new', wrong, content)).rejects.toMatchObject({
      status: 400,
      errors: [{ code: 'DIGEST_INVALID' }],
    });
  });

  test('is sent to no other host', async () => {
    const headers = { location: 'http://127.0.0.1:1/upload' };
    server.fail(/^POST/, { type: 'status', status: 202, headers });
    await expect(registry.putBlob('acme/new', descriptor, content)).rejects.toThrow(/wants the upload at "http/);
  });
});

describe('a manifest', () => {
  const bytes = Buffer.from('{"schemaVersion":2}');

  test('is uploaded under its tag', async () => {
    const put = await registry.putManifest('acme/new', 'v1', mediaTypes.ociManifest, bytes);
    expect(put).toEqual({ mediaType: mediaTypes.ociManifest, digest: sha256(bytes), size: bytes.length });
    expect((await registry.manifest('acme/new', 'v1')).descriptor).toEqual(put);
  });

  test('that the registry takes for another is an error', async () => {
    server.fail(/^PUT/, { type: 'headers', headers: { 'docker-content-digest': sha256('other') } });
    await expect(registry.putManifest('acme/new', 'v1', mediaTypes.ociManifest, bytes)).rejects.toMatchObject({
      code: 'CTR_INTEGRITY',
    });
  });
});
