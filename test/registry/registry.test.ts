import { getEventListeners } from 'node:events';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { NotFoundError, RegistryError } from '../../lib/errors.js';
import { mediaTypes } from '../../lib/oci/descriptor.js';
import { sha256 } from '../../lib/oci/digest.js';
import type { RegistryOptions } from '../../lib/registry/options.js';
import { Registry } from '../../lib/registry/registry.js';
import { TestRegistry, type Fault, type TestImage } from '../support/registry.js';

let server: TestRegistry;
let image: TestImage;
const opened: Registry[] = [];

beforeEach(async () => {
  server = await TestRegistry.start();
  image = server.putImage('acme/app', '1', { layers: [Buffer.from('layer')] });
});

afterEach(async () => {
  for (const registry of opened.splice(0)) await registry.close();
  await server[Symbol.asyncDispose]();
});

function client(options: RegistryOptions = {}): Registry {
  const registry = new Registry(server.host, { retries: 2, retryDelayMs: 1, stallTimeoutMs: 300, ...options });
  opened.push(registry);
  return registry;
}

describe('a manifest', () => {
  test('comes by tag and by digest, to the byte', async () => {
    const { digest } = image.manifest;
    for (const ref of ['1', digest]) {
      const { descriptor, bytes } = await client().manifest('acme/app', ref);
      expect(descriptor).toEqual(image.manifest);
      expect(sha256(bytes)).toBe(digest);
    }
  });

  test('is asked for in every form that we understand', async () => {
    await client().manifest('acme/app', '1');
    expect(server.requests[0]?.headers.accept).toContain(mediaTypes.dockerIndex);
    expect(server.requests[0]?.headers['user-agent']).toBe('tscontainer');
  });

  test('that the registry calls JSON says itself what it is', async () => {
    server.fail(/manifests/, { type: 'headers', headers: { 'content-type': 'application/json; charset=utf-8' } });
    expect((await client().manifest('acme/app', '1')).descriptor.mediaType).toBe(mediaTypes.ociManifest);
  });

  test('by digest must have that digest, whatever the registry says', async () => {
    const change = (body: Buffer): Buffer => Buffer.concat([body, Buffer.from(' ')]);
    server.fail(/manifests/, { type: 'change', change });
    await expect(client().manifest('acme/app', image.manifest.digest)).rejects.toMatchObject({
      code: 'CTR_INTEGRITY',
      expected: image.manifest.digest,
    });
  });

  test('by tag must have the digest that the registry states', async () => {
    server.fail(/manifests/, { type: 'headers', headers: { 'docker-content-digest': sha256('other') } });
    await expect(client().manifest('acme/app', '1')).rejects.toMatchObject({
      code: 'CTR_INTEGRITY',
      expected: sha256('other'),
      actual: image.manifest.digest,
    });
  });

  test('of 100 MB is refused, and hardly read', async () => {
    for (const announced of [true, false]) {
      const fault: Fault & { type: 'huge' } = { type: 'huge', bytes: 100_000_000, announced };
      server.fail(/manifests/, fault, 1);
      await expect(client().manifest('acme/app', '1')).rejects.toMatchObject({ code: 'CTR_LIMIT', limit: 4_194_304 });
      expect(fault.sent).toBeLessThan(20_000_000);
    }
  });

  test('that is a web page is told from one', async () => {
    const headers = { 'content-type': 'text/html; charset=utf-8' };
    server.fail(/manifests/, { type: 'status', status: 200, headers, body: '<html>Please log in</html>' });
    await expect(client().manifest('acme/app', '1')).rejects.toMatchObject({
      code: 'CTR_PARSE',
      message: expect.stringMatching(/a web page, not a manifest\. Is 127\.0\.0\.1:\d+ a registry/),
    });
  });

  test('that is no JSON is told from one', async () => {
    server.fail(/manifests/, { type: 'status', status: 200, headers: {}, body: 'hello' });
    await expect(client().manifest('acme/app', '1')).rejects.toMatchObject({
      code: 'CTR_PARSE',
      message: expect.stringMatching(/acme\/app:1: is not JSON \(it starts with "hello"\)/),
    });
  });
});

describe('a registry that refuses', () => {
  const errors = (code: string, message: string): string => JSON.stringify({ errors: [{ code, message, detail: 7 }] });

  test.each([
    [400, 'CTR_REGISTRY', /the registry refused \(400 TAG_INVALID: no\)$/, 1],
    [
      401,
      'CTR_UNAUTHORIZED',
      /refused anonymous access \(401 .*\)\. Pass credentials, or log in with docker login 127/,
      1,
    ],
    [
      403,
      'CTR_UNAUTHORIZED',
      /refused anonymous access \(403 .*\)\. Pass credentials, or log in with docker login 127/,
      1,
    ],
    [404, 'CTR_NOT_FOUND', /no such image: 127\.0\.0\.1:\d+\/acme\/app:1\. 127.* answered 404 TAG_INVALID: no$/, 1],
    [
      429,
      'CTR_RATE_LIMIT',
      /asks us to slow down \(429 .*\)\. Try again later; docker login 127.* may raise the limit$/,
      3,
    ],
    [500, 'CTR_REGISTRY', /the registry failed \(500 .*\)\. Try again later$/, 3],
    [503, 'CTR_REGISTRY', /the registry failed \(503 .*\)\. Try again later$/, 3],
  ])('with %i is answered by %s and a way out', async (status, code, message, tries) => {
    server.fail(/manifests/, { type: 'status', status, headers: {}, body: errors('TAG_INVALID', 'no') });
    const failed = client().manifest('acme/app', '1', { call: 'images.pull' });
    await expect(failed).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    await expect(failed).rejects.toThrow(/^images\.pull: /);
    expect(server.requests).toHaveLength(tries);
  });

  test('has its error list kept, and its text made fit for a terminal', async () => {
    const body = errors('DENIED', 'no \u001b[31maccess\u202e\r\n');
    server.fail(/manifests/, { type: 'status', status: 403, headers: {}, body });
    const error = await client()
      .manifest('acme/app', '1')
      .catch((e: unknown) => e);
    expect(error).toBeInstanceOf(RegistryError);
    expect(error).toMatchObject({
      status: 403,
      method: 'GET',
      errors: [{ code: 'DENIED', message: 'no  [31maccess ' }],
    });
    expect((error as RegistryError).errors[0]?.detail).toBe(7);
  });

  test.each([['<html>'], ['{"errors":7}'], ['{"errors":[{"code":{}}]}'], ['x'.repeat(1_000_000)], ['']])(
    'with a body like %.20j is told by its status',
    async body => {
      server.fail(/manifests/, { type: 'status', status: 403, headers: {}, body });
      await expect(client().manifest('acme/app', '1')).rejects.toMatchObject({ status: 403, errors: [] });
    },
  );

  test('for a moment is asked again', async () => {
    server.fail(/manifests/, { type: 'status', status: 503 }, 1);
    server.fail(/manifests/, { type: 'hang-up' }, 1);
    expect((await client().manifest('acme/app', '1')).descriptor).toEqual(image.manifest);
    expect(server.requests).toHaveLength(3);
  });

  test('and says when, is asked again then', async () => {
    server.fail(/manifests/, { type: 'status', status: 429, headers: { 'retry-after': '1' } }, 1);
    const before = performance.now();
    await client().manifest('acme/app', '1');
    expect(performance.now() - before).toBeGreaterThan(990);
  });

  test('for an hour is not waited for', async () => {
    server.fail(/manifests/, { type: 'status', status: 429, headers: { 'retry-after': '3600' } });
    await expect(client().manifest('acme/app', '1')).rejects.toThrow(/Try again in 3600 s/);
    expect(server.requests).toHaveLength(1);
  });

  test('to answer at all is given up after the stall timeout', async () => {
    server.fail(/manifests/, { type: 'silence' });
    await expect(client({ retries: 0 }).manifest('acme/app', '1')).rejects.toMatchObject({
      code: 'CTR_NETWORK',
      address: server.host,
      message: expect.stringMatching(/no answer came in time/),
    });
  });

  test('by hanging up is asked again, and then reported', async () => {
    server.fail(/manifests/, { type: 'hang-up' });
    await expect(client().manifest('acme/app', '1')).rejects.toMatchObject({ code: 'CTR_NETWORK' });
    expect(server.requests).toHaveLength(3);
  });
});

describe('nobody there', () => {
  test('is said at once', async () => {
    const { host } = server;
    await server[Symbol.asyncDispose]();
    await using registry = new Registry(host);
    await expect(registry.manifest('a', '1')).rejects.toMatchObject({
      code: 'CTR_NETWORK',
      message: `registry.manifest: ${host}: the connection was refused. Is a registry listening there?`,
    });
    server = await TestRegistry.start();
  });

  test('who speaks TLS is said, with the way out', async () => {
    await expect(client({ insecure: false }).manifest('a', '1')).rejects.toThrow(
      /does not speak TLS\. If plain HTTP is meant, list the host as insecure/,
    );
  });
});

describe('resolve', () => {
  test('takes a HEAD where that says enough', async () => {
    expect(await client().resolve('acme/app', '1')).toEqual(image.manifest);
    expect(server.requests.map(r => r.method)).toEqual(['HEAD']);
  });

  test.each<[string, Fault]>([
    ['knows no HEAD', { type: 'status', status: 405 }],
    ['says no digest', { type: 'headers', headers: { 'docker-content-digest': undefined } }],
    ['says no length', { type: 'headers', headers: { 'content-length': undefined } }],
    ['says no type', { type: 'headers', headers: { 'content-type': 'application/octet-stream' } }],
  ])('takes a GET where a registry %s', async (_, fault) => {
    server.fail(/^HEAD/, fault);
    expect(await client().resolve('acme/app', '1')).toEqual(image.manifest);
  });

  test('chooses from an index', async () => {
    const arm = server.putImage('acme/app', 'arm', { layers: [], platform: { os: 'linux', architecture: 'arm64' } });
    server.putIndex('acme/app', 'all', [
      { ...image.manifest, platform: { os: 'linux', architecture: 'amd64' } },
      { ...arm.manifest, platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } },
    ]);
    const found = await client().resolve('acme/app', 'all', { platform: 'linux/arm64' });
    expect(found.digest).toBe(arm.manifest.digest);
    expect(await client().resolve('acme/app', '1', { platform: 'linux/arm64' })).toEqual(image.manifest);
    await expect(client().resolve('acme/app', 'all', { platform: 'linux/s390x' })).rejects.toThrow(
      /no such image: .*\/acme\/app:all for linux\/s390x\. It is there for linux\/amd64, linux\/arm64/,
    );
  });

  test('says that there is no such tag', async () => {
    const error = await client()
      .resolve('acme/app', '2')
      .catch((e: unknown) => e);
    expect(error).toBeInstanceOf(NotFoundError);
    expect(error).toMatchObject({ kind: 'image', ref: `${server.host}/acme/app:2` });
  });
});

describe('the tags of a repository', () => {
  async function tags(registry: Registry, repository = 'acme/app'): Promise<string[]> {
    const all: string[] = [];
    for await (const tag of registry.tags(repository)) all.push(tag);
    return all;
  }

  test('are listed page by page, each when it is needed', async () => {
    for (let i = 0; i < 2500; i++) server.putManifest('acme/many', `t${i}`, mediaTypes.ociManifest, { i });
    expect(await tags(client(), 'acme/many')).toHaveLength(2500);
    expect(server.seen(/tags\/list/)).toHaveLength(3);
    for await (const tag of client().tags('acme/many')) if (tag) break;
    expect(server.seen(/tags\/list/)).toHaveLength(4);
  });

  test('of nothing are none', async () => {
    server.fail(/tags/, { type: 'status', status: 200, headers: {}, body: '{"name":"acme/app","tags":null}' });
    expect(await tags(client())).toEqual([]);
  });

  test('of an unknown repository are an error', async () => {
    await expect(tags(client(), 'acme/none')).rejects.toMatchObject({ code: 'CTR_NOT_FOUND' });
  });

  test('do not lead in a circle, nor to another host', async () => {
    const answer = (link: string): Fault => ({
      type: 'status',
      status: 200,
      headers: { link: `<${link}>; rel="next"` },
      body: '{"tags":["a"]}',
    });
    server.fail(/tags/, answer('/v2/acme/app/tags/list?n=1000'), 1);
    await expect(tags(client())).rejects.toMatchObject({ code: 'CTR_PARSE' });
    server.fail(/tags/, answer('http://127.0.0.1:1/v2/acme/app/tags/list?last=0'), 1);
    expect(await tags(client())).toEqual(['a', '1']);
  });
});

describe('misuse', () => {
  test.each(['', '../x', 'A', 'a?b', 'a#b', 'a%2e', '/a', 'a//b', 'a'.repeat(256)])(
    'a repository %.20j is refused',
    async repository => {
      await expect(client().manifest(repository, '1')).rejects.toMatchObject({ code: 'CTR_PARSE' });
      expect(server.requests).toEqual([]);
    },
  );

  test.each(['', '..', '../../x', 'a/b', 'a?b', 'a b', 't'.repeat(129), 'sha256:abc'])(
    'a ref %.20j is refused',
    async ref => {
      await expect(client().manifest('acme/app', ref)).rejects.toMatchObject({ code: 'CTR_PARSE' });
      expect(server.requests).toEqual([]);
    },
  );
});

describe('an abort', () => {
  test.each<[string, Fault]>([
    ['the answer', { type: 'silence' }],
    ['the next try', { type: 'status', status: 429, headers: { 'retry-after': '30' } }],
    ['the rest of the body', { type: 'stall', after: 1 }],
  ])('while waiting for %s rejects with its reason and leaves no listener', async (_, fault) => {
    server.fail(/manifests/, fault);
    const controller = new AbortController();
    const reason = new RangeError('enough');
    const call = client({ stallTimeoutMs: 60_000 }).manifest('acme/app', '1', { signal: controller.signal });
    await waitUntil(() => server.requests.length > 0);
    controller.abort(reason);
    expect(await call.catch((e: unknown) => e)).toBe(reason);
    expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
  });

  test('before the call asks nothing', async () => {
    const reason = new RangeError('enough');
    const signal = AbortSignal.abort(reason);
    const registry = client();
    for (const call of [registry.resolve('a', '1', { signal }), registry.manifest('a', '1', { signal })]) {
      expect(await call.catch((e: unknown) => e)).toBe(reason);
    }
    expect(server.requests).toEqual([]);
  });

  test('that does not come leaves no listener either', async () => {
    const { signal } = new AbortController();
    await client().manifest('acme/app', '1', { signal });
    await client()
      .manifest('acme/app', 'none', { signal })
      .catch(() => {});
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

describe('closing', () => {
  test('ends what is under way, and what comes after is misuse', async () => {
    server.fail(/manifests/, { type: 'silence' });
    const registry = client();
    const call = registry.manifest('acme/app', '1');
    await waitUntil(() => server.requests.length > 0);
    await Promise.all([registry.close(), expect(call).rejects.toMatchObject({ name: 'AbortError' })]);
    await expect(registry.manifest('acme/app', '1')).rejects.toThrow(TypeError);
    await registry.close();
  });
});

/** Turns of the event loop until something holds. */
async function waitUntil(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise(resolve => setImmediate(resolve));
}
