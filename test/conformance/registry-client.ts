import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';

import { afterAll, beforeAll, expect } from '@jest/globals';

import { mediaTypes, type Descriptor } from '../../lib/oci/descriptor.js';
import { digester, sha256 } from '../../lib/oci/digest.js';
import { Registry } from '../../lib/registry/registry.js';
import type { Suite } from '../support/needs.js';

/** A registry to talk to, and whom it lets in. */
export interface RegistryServer extends AsyncDisposable {
  readonly host: string;
}

export const login = { username: 'ada', password: 'pa:ss' } as const;

/**
 * Our client against a registry, case by section of distribution-spec v1.1.1. What holds for the real one and for the one
 * inside the tests holds for what is tested with the latter alone.
 *
 * @param start - Starts one that wants `login`.
 */
export function describeRegistry({ describe, test }: Suite, name: string, start: () => Promise<RegistryServer>): void {
  describe(`the client against ${name}`, () => {
    const layer = gzipSync(randomBytes(300_000));
    const config = Buffer.from('{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}');
    const described = (mediaType: string, bytes: Buffer): Descriptor => ({
      mediaType,
      digest: sha256(bytes),
      size: bytes.length,
    });
    const layerAt = described(mediaTypes.ociLayerGzip, layer);
    const configAt = described(mediaTypes.ociConfig, config);
    const manifest = Buffer.from(
      JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: configAt, layers: [layerAt] }),
    );
    const manifestAt = described(mediaTypes.ociManifest, manifest);

    let server: RegistryServer;
    let registry: Registry;
    const credentials = () => ({ type: 'basic', ...login }) as const;

    beforeAll(async () => {
      server = await start();
      registry = new Registry(server.host, { credentials });
      await registry.putBlob('acme/app', layerAt, Readable.from([layer]));
      await registry.putBlob('acme/app', configAt, config);
      expect(await registry.putManifest('acme/app', 'v1', mediaTypes.ociManifest, manifest)).toEqual(manifestAt);
    });

    afterAll(async () => {
      await registry?.close();
      await server?.[Symbol.asyncDispose]();
    });

    test('pulling manifests: by tag and by digest, the bytes that were pushed', async () => {
      for (const ref of ['v1', manifestAt.digest]) {
        expect(await registry.resolve('acme/app', ref)).toEqual(manifestAt);
        const fetched = await registry.manifest('acme/app', ref);
        expect(fetched.descriptor).toEqual(manifestAt);
        expect(sha256(fetched.bytes)).toBe(manifestAt.digest);
      }
    });

    test('pulling manifests: Docker’s types come back as what they are', async () => {
      const of = {
        schemaVersion: 2,
        mediaType: mediaTypes.dockerManifest,
        config: { ...configAt, mediaType: mediaTypes.dockerConfig },
        layers: [],
      };
      const bytes = Buffer.from(JSON.stringify(of));
      await registry.putManifest('acme/app', 'docker', mediaTypes.dockerManifest, bytes);
      expect(await registry.resolve('acme/app', 'docker')).toEqual(described(mediaTypes.dockerManifest, bytes));
    });

    test('pulling manifests: the platform is chosen from an index', async () => {
      const platform = { os: 'linux', architecture: 'amd64' };
      const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [{ ...manifestAt, platform }] };
      await registry.putManifest('acme/app', 'all', mediaTypes.ociIndex, Buffer.from(JSON.stringify(index)));
      const chosen = await registry.resolve('acme/app', 'all', { platform: 'linux/amd64' });
      expect(chosen).toEqual({ ...manifestAt, platform });
    });

    test('pulling blobs: whole, and verified', async () => {
      expect(sha256(await buffer(await registry.blob('acme/app', layerAt)))).toBe(layerAt.digest);
    });

    test('pulling blobs: the rest of one', async () => {
      const hash = digester();
      hash.update(layer.subarray(0, 1234));
      const rest = await buffer(await registry.blob('acme/app', layerAt, { offset: 1234, digester: hash }));
      expect(rest).toHaveLength(layer.length - 1234);
    });

    test('pulling: what is not there', async () => {
      const none = sha256('none');
      const missing = { code: 'CTR_NOT_FOUND', message: expect.stringMatching(/answered 404 [A-Z_]+_UNKNOWN/) };
      await expect(registry.manifest('acme/app', 'none')).rejects.toMatchObject(missing);
      await expect(registry.resolve('acme/app', none)).rejects.toMatchObject(missing);
      await expect(registry.blob('acme/app', { ...layerAt, digest: none })).rejects.toMatchObject(missing);
    });

    test('pushing: a blob that is not what it is called', async () => {
      const wrong = { ...layerAt, digest: sha256('other') };
      await expect(registry.putBlob('acme/app', wrong, layer)).rejects.toMatchObject({
        status: 400,
        errors: [{ code: 'DIGEST_INVALID' }],
      });
    });

    test('listing tags', async () => {
      const tags: string[] = [];
      for await (const tag of registry.tags('acme/app')) tags.push(tag);
      expect(tags).toEqual(expect.arrayContaining(['v1']));
    });

    test('nobody comes in without credentials, or with wrong ones', async () => {
      await using anonymous = new Registry(server.host);
      await expect(anonymous.manifest('acme/app', 'v1')).rejects.toMatchObject({
        code: 'CTR_UNAUTHORIZED',
        errors: [{ code: 'UNAUTHORIZED' }],
      });
      const wrong = () => ({ type: 'basic', username: 'ada', password: 'wrong' }) as const;
      await using mallory = new Registry(server.host, { credentials: wrong });
      await expect(mallory.manifest('acme/app', 'v1')).rejects.toMatchObject({ code: 'CTR_UNAUTHORIZED', status: 401 });
    });
  });
}
