import { randomBytes } from 'node:crypto';
import { getEventListeners, once } from 'node:events';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import type { Descriptor } from '../../lib/oci/descriptor.js';
import { digester, sha256 } from '../../lib/oci/digest.js';
import type { BlobOptions, RegistryOptions } from '../../lib/registry/options.js';
import { Registry } from '../../lib/registry/registry.js';
import { TestRegistry, type Fault } from '../support/registry.js';

const MIB = 1024 * 1024;
const content = randomBytes(3 * MIB);

let server: TestRegistry;
let blob: Descriptor;
const opened: Registry[] = [];

beforeEach(async () => {
  server = await TestRegistry.start();
  blob = server.putBlob(content, 'application/octet-stream');
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

async function read(options: BlobOptions & RegistryOptions = {}, descriptor = blob): Promise<Buffer> {
  return buffer(await client(options).blob('acme/app', descriptor, options));
}

describe('a blob', () => {
  test('comes whole, by one request', async () => {
    expect(sha256(await read())).toBe(blob.digest);
    expect(server.requests).toHaveLength(1);
    expect(server.requests[0]?.headers.range).toBeUndefined();
  });

  test('of nothing comes, too', async () => {
    expect(await read({}, server.putBlob(Buffer.alloc(0), 'a/b'))).toHaveLength(0);
  });

  test('by sha512 is verified by sha512', async () => {
    const hash = digester('sha512');
    hash.update(content);
    const digest = hash.digest();
    server.fail(/sha512/, { type: 'redirect', to: () => `/v2/acme/app/blobs/${blob.digest}` });
    expect(sha256(await read({}, { ...blob, digest }))).toBe(blob.digest);
    await expect(read({}, { ...blob, digest: `sha512:${'0'.repeat(128)}` })).rejects.toMatchObject({ actual: digest });
  });

  test('that is not there is said to be missing', async () => {
    const digest = sha256('none');
    await expect(read({}, { ...blob, digest })).rejects.toMatchObject({
      code: 'CTR_NOT_FOUND',
      kind: 'blob',
      ref: `${server.host}/acme/app@${digest}`,
    });
  });
});

describe('a connection that fails is replaced, and the blob goes on where it was', () => {
  test.each<[string, Fault]>([
    ['cut', { type: 'cut', after: MIB }],
    ['cut before the first byte', { type: 'cut', after: 0 }],
    ['cut after the last byte', { type: 'cut', after: content.length }],
    ['stalled', { type: 'stall', after: 100_000 }],
  ])('when it is %s', async (_, fault) => {
    server.fail(/blobs/, fault, 1);
    expect(sha256(await read())).toBe(blob.digest);
    const [, second] = server.requests;
    const at = 'after' in fault ? fault.after : 0;
    expect(second?.headers.range).toBe(at === 0 || at === content.length ? undefined : `bytes=${at}-`);
  });

  test('when it is cut again and again, as long as something comes each time', async () => {
    server.fail(/blobs/, { type: 'cut', after: 200_000 }, 2);
    server.fail(/blobs/, { type: 'cut', after: MIB + 1 }, 1);
    server.fail(/blobs/, { type: 'cut', after: 200_000 }, 1);
    expect(sha256(await read())).toBe(blob.digest);
    expect(server.requests).toHaveLength(5);
  });

  test('when the registry is away for a moment', async () => {
    server.fail(/blobs/, { type: 'cut', after: MIB }, 1);
    server.fail(/blobs/, { type: 'status', status: 503 }, 1);
    server.fail(/blobs/, { type: 'hang-up' }, 1);
    expect(sha256(await read())).toBe(blob.digest);
  });

  test('when the registry knows no ranges and begins anew', async () => {
    server.fail(/blobs/, { type: 'cut', after: MIB + 7 }, 1);
    server.fail(/blobs/, { type: 'ignore-range' });
    expect(sha256(await read())).toBe(blob.digest);
  });

  test('but not for ever', async () => {
    server.fail(/blobs/, { type: 'cut', after: 1000 });
    await expect(read()).rejects.toMatchObject({
      code: 'CTR_NETWORK',
      message: expect.stringMatching(/^registry\.blob: 127.*: the connection was cut/),
    });
    expect(server.requests).toHaveLength(3);
  });

  test('and a stall is said to be one', async () => {
    server.fail(/blobs/, { type: 'stall', after: 1000 });
    await expect(read({ retries: 0 })).rejects.toThrow(/nothing came for 300 ms/);
  });

  test('while a slow reader is not taken for a stalled registry', async () => {
    const stream = await client({ stallTimeoutMs: 50, retries: 0 }).blob('acme/app', blob);
    await once(stream, 'readable');
    // Longer than the stall timeout without reading: the time that passes is the point here.
    await new Promise(resolve => setTimeout(resolve, 200));
    expect(sha256(await buffer(stream))).toBe(blob.digest);
  });
});

describe('a range', () => {
  test('brings the rest, verified with what was there', async () => {
    const hash = digester();
    hash.update(content.subarray(0, 1234));
    const rest = await read({ offset: 1234, digester: hash });
    expect(sha256(rest)).toBe(sha256(content.subarray(1234)));
    expect(server.requests[0]?.headers.range).toBe('bytes=1234-');
  });

  test('on top of something else is refused at the end', async () => {
    const hash = digester();
    hash.update(Buffer.alloc(1234));
    await expect(read({ offset: 1234, digester: hash })).rejects.toMatchObject({ code: 'CTR_INTEGRITY' });
  });

  test.each<[string, Record<string, string | undefined>, RegExp]>([
    ['begins elsewhere', { 'content-range': `bytes 1-${content.length - 1}/${content.length}` }, /"bytes 1-/],
    ['is not said', { 'content-range': undefined }, /the registry sent ""/],
    [
      'is of something larger',
      { 'content-range': 'bytes 1234-5678/9999999999' },
      /expected 3145728 bytes, got 9999999999/,
    ],
  ])('that %s is refused', async (_, headers, message) => {
    server.fail(/blobs/, { type: 'headers', headers });
    await expect(read({ offset: 1234 })).rejects.toThrow(message);
  });

  test.each([-1, 1.5, content.length + 1])('from %d is misuse', async offset => {
    await expect(read({ offset })).rejects.toThrow(TypeError);
  });
});

describe('content that is not what was promised', () => {
  const corrupt = (body: Buffer): Buffer => {
    const copy = Buffer.from(body);
    copy[copy.length - 1] = (copy[copy.length - 1] ?? 0) ^ 1;
    return copy;
  };

  test.each<[string, Fault, object]>([
    ['one bit off', { type: 'change', change: corrupt }, { expected: expect.stringMatching(/^sha256:/) }],
    ['shorter', { type: 'change', change: b => b.subarray(1) }, { actual: '3145727 bytes' }],
    ['longer', { type: 'change', change: b => Buffer.concat([b, b]) }, { actual: '6291456 bytes' }],
    [
      'endless',
      { type: 'huge', bytes: 1e9, announced: false },
      { actual: expect.stringMatching(/^at least 3\d+ bytes$/) },
    ],
  ])('is refused when it is %s', async (_, fault, fields) => {
    server.fail(/blobs/, fault);
    await expect(read()).rejects.toMatchObject({ code: 'CTR_INTEGRITY', ...fields });
    expect(server.requests).toHaveLength(1);
  });

  test('fails before the end, so that nobody takes it for whole', async () => {
    server.fail(/blobs/, { type: 'change', change: corrupt });
    const stream = await client().blob('acme/app', blob);
    const seen: string[] = [];
    stream.on('end', () => seen.push('end')).on('error', () => seen.push('error'));
    stream.resume();
    await new Promise(resolve => stream.once('close', resolve));
    expect(seen).toEqual(['error']);
  });

  test('is left to the reader to find, where he wants that', async () => {
    server.fail(/blobs/, { type: 'change', change: corrupt });
    expect(sha256(await read({ verify: false }))).toBe(sha256(corrupt(content)));
  });
});

describe('leaving', () => {
  async function begin(options: BlobOptions = {}): Promise<Readable> {
    server.fail(/blobs/, { type: 'stall', after: 1000 });
    const stream = await client({ stallTimeoutMs: 60_000 }).blob('acme/app', blob, options);
    await once(stream, 'readable');
    return stream;
  }

  test('by abort fails the stream with the reason, and leaves no listener', async () => {
    const controller = new AbortController();
    const reason = new RangeError('enough');
    const stream = await begin({ signal: controller.signal });
    const failed = once(stream, 'error');
    controller.abort(reason);
    expect(await failed).toEqual([reason]);
    expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
  });

  test('by destroying the stream closes the connection', async () => {
    const { signal } = new AbortController();
    const stream = await begin({ signal });
    expect(await server.connections()).toBe(1);
    stream.destroy();
    await once(stream, 'close');
    await server.idle();
    expect(await server.connections()).toBe(0);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  test('by closing the registry fails the stream', async () => {
    const stream = await begin();
    const failed = once(stream, 'error');
    await opened.at(-1)?.close();
    expect(await failed).toEqual([expect.objectContaining({ name: 'AbortError' })]);
  });

  test('after the end leaves no listener, and the connection for the next', async () => {
    const { signal } = new AbortController();
    const registry = client();
    for (let i = 0; i < 10; i++) await buffer(await registry.blob('acme/app', blob, { signal }));
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    // undici gives a connection a turn of the event loop to be closed, so two take turns.
    expect(await server.connections()).toBeLessThanOrEqual(2);
  });
});

test('twenty blobs at once share the connections that there may be', async () => {
  const registry = client({ connections: 3 });
  const all = await Promise.all(Array.from({ length: 20 }, async () => buffer(await registry.blob('acme/app', blob))));
  expect(all.every(bytes => bytes.equals(content))).toBe(true);
  expect(await server.connections()).toBeLessThanOrEqual(3);
});
