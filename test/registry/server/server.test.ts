import { randomBytes } from 'node:crypto';
import { appendFileSync, existsSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { hash } from 'bcryptjs';

import { mediaTypes, type Descriptor } from '../../../lib/oci/descriptor.js';
import { sha256 } from '../../../lib/oci/digest.js';
import { Registry } from '../../../lib/registry/registry.js';
import { RegistryServer } from '../../../lib/registry/server/server.js';
import { RawHttp, withParameter } from '../../support/raw-http.js';
import { serveRegistry, type ServedRegistry } from '../../support/registry-server.js';

const octets = { 'content-type': 'application/octet-stream' };

let served: ServedRegistry;
let http: RawHttp;
let client: Registry;

beforeEach(async () => {
  served = await serveRegistry();
  http = new RawHttp(served.host);
  client = new Registry(served.host);
});

afterEach(async () => {
  await client.close();
  await served[Symbol.asyncDispose]();
});

function described(bytes: Buffer, mediaType = 'application/octet-stream'): Descriptor {
  return { mediaType, digest: sha256(bytes), size: bytes.length };
}

/** An image of one layer; returns its manifest. */
async function push(to: Registry, repository: string, tag: string, layer = randomBytes(1000)): Promise<Descriptor> {
  const config = Buffer.from('{}');
  await to.putBlob(repository, described(layer), layer);
  await to.putBlob(repository, described(config), config);
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: described(config, mediaTypes.ociConfig),
    layers: [described(layer, mediaTypes.ociLayer)],
  };
  return to.putManifest(repository, tag, mediaTypes.ociManifest, Buffer.from(JSON.stringify(manifest)));
}

describe('an upload', () => {
  test('that was cut at any byte goes on where it was', async () => {
    const bytes = randomBytes(3000);
    for (const cut of [0, 2, 999, 1500, 2998, 2999]) {
      const begun = await http.ask('POST', '/v2/a/b/blobs/uploads/');
      const { pathname } = new URL(begun.location);
      await sendAndHangUp(
        `PATCH ${pathname} HTTP/1.1\r\nhost: x\r\ncontent-length: 3000\r\n\r\n`,
        bytes.subarray(0, cut),
      );
      // Waits for its turn behind what was cut, and is told what is here.
      const wrong = { headers: { ...octets, 'content-range': '5000-5000' }, body: Buffer.alloc(1) };
      const told = await http.ask('PATCH', begun.location, wrong);
      expect(told.status).toBe(416);
      const last = Number(told.headers.range?.slice(2));
      // Of nothing and of one byte it says the same, and here it is never one.
      const from = last === 0 ? 0 : last + 1;
      expect(from).toBeLessThanOrEqual(cut);
      const status = await http.ask('GET', begun.location);
      expect(status.headers.range).toBe(told.headers.range);
      const headers = { ...octets, 'content-range': `${from}-2999` };
      const rest = await http.ask('PATCH', status.location, { headers, body: bytes.subarray(from) });
      expect(rest.status).toBe(202);
      const done = await http.ask('PUT', withParameter(rest.location, 'digest', sha256(bytes)));
      expect(done.status).toBe(201);
      expect((await http.ask('GET', done.location)).body.equals(bytes)).toBe(true);
      await http.ask('DELETE', done.location);
    }
  });

  test('goes on after the process was replaced by another', async () => {
    const bytes = randomBytes(3000);
    const begun = await http.ask('POST', '/v2/a/b/blobs/uploads/');
    const headers = { ...octets, 'content-range': '0-999' };
    const { pathname } = new URL(
      (await http.ask('PATCH', begun.location, { headers, body: bytes.subarray(0, 1000) })).location,
    );
    await using other = new RegistryServer({ root: served.root });
    const there = new RawHttp(await other.listen());
    expect((await there.ask('GET', pathname)).headers.range).toBe('0-999');
    const more = { headers: { ...octets, 'content-range': '1000-2999' }, body: bytes.subarray(1000) };
    const done = await there.ask('PUT', `${pathname}?digest=${sha256(bytes)}`, more);
    expect(done.status).toBe(201);
    expect((await there.ask('GET', done.location)).body.equals(bytes)).toBe(true);
  });

  test('that is done leaves nothing but the blob', async () => {
    const bytes = randomBytes(3000);
    await client.putBlob('a/b', described(bytes), bytes);
    expect(readdirSync(join(served.root, 'uploads'))).toEqual([]);
    expect(readdirSync(join(served.root, 'tmp'))).toEqual([]);
    expect(existsSync(join(served.root, 'blobs/sha256', sha256(bytes).slice(7)))).toBe(true);
  });

  test.each([['x'], ['00000000-0000-0000-0000-000000000000'], ['%2e%2e%2f%2e%2e']])(
    'called %s is unknown',
    async id => {
      const answer = await http.ask('GET', `/v2/a/b/blobs/uploads/${id}`);
      expect(answer.status).toBe(404);
    },
  );

  async function sendAndHangUp(head: string, body: Buffer): Promise<void> {
    const [host = '', port = ''] = served.host.split(':');
    const socket = connect(Number(port), host);
    await once(socket, 'connect');
    await new Promise<void>(resolve => socket.write(Buffer.concat([Buffer.from(head), body]), () => resolve()));
    socket.destroy();
    await once(socket, 'close');
  }
});

describe('a path', () => {
  test.each([
    ['/v2/../../etc/passwd', 404],
    ['/v2/a/b/blobs/sha256:../../../../etc/passwd', 404],
    ['/v2/a/b/manifests/..%2f..%2fx', 404],
    ['/v2/_blobs/manifests/x', 400],
    ['/v2/a/_tags/manifests/x', 400],
    ['/v2/a/b/blobs/%zz', 400],
    [`/v2/${'a/'.repeat(200)}b/manifests/x`, 400],
    ['/v2/a/b/blobs/sha256:abc', 400],
    ['/nothing', 404],
  ])('%s is answered by %i', async (path, status) => {
    expect((await http.ask('GET', path)).status).toBe(status);
  });

  test.each([
    ['POST', '/v2/'],
    ['DELETE', '/v2/_catalog'],
    ['POST', '/v2/a/manifests/x'],
    ['PUT', '/v2/a/tags/list'],
  ])('%s %s is not allowed', async (method, path) => {
    const answer = await http.ask(method, path);
    expect(answer.status).toBe(405);
    expect(answer.headers.allow).toMatch(/GET/);
  });
});

describe('a manifest', () => {
  test('of more than 4 MiB is refused before it is read to its end', async () => {
    const headers = { 'content-type': mediaTypes.ociManifest };
    const body = Buffer.alloc(5 * 1024 * 1024, ' ');
    const answer = await http.ask('PUT', '/v2/a/b/manifests/x', { headers, body }).catch((error: unknown) => error);
    // The connection may be closed while the rest is being sent.
    expect(answer).toMatchObject(
      'status' in (answer as object) ? { status: 413 } : { code: expect.stringMatching(/EPIPE|ECONNRESET/) },
    );
  });

  test('of schema 1 is refused in so many words', async () => {
    const headers = { 'content-type': 'application/vnd.docker.distribution.manifest.v1+prettyjws' };
    const answer = await http.ask('PUT', '/v2/a/b/manifests/x', { headers, body: Buffer.from('{"schemaVersion":1}') });
    expect(answer.status).toBe(400);
    expect(answer.body.toString()).toMatch(/MANIFEST_INVALID.*schema 1, which Docker itself gave up/);
  });

  test('that is known need not be sent again', async () => {
    const { digest } = await push(client, 'a/b', '1');
    const headers = { 'if-none-match': `"${digest}"` };
    expect((await http.ask('GET', '/v2/a/b/manifests/1', { headers })).status).toBe(304);
  });

  test('and its tag are there for the next process', async () => {
    const { digest } = await push(client, 'a/b', '1');
    await using other = new RegistryServer({ root: served.root });
    await using there = new Registry(await other.listen());
    expect((await there.manifest('a/b', '1')).descriptor.digest).toBe(digest);
  });
});

describe('who may come in', () => {
  let folder: string;
  let path: string;
  const as = (username: string, password: string) => ({ type: 'basic', username, password }) as const;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tscontainer-htpasswd-'));
    path = join(folder, 'htpasswd');
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  test('is whom the file names, also from the moment on that it does', async () => {
    writeFileSync(path, `# people\n\nada:${await hash('secret', 4)}\n`);
    await using own = await serveRegistry({ htpasswd: path });
    await using anonymous = new Registry(own.host);
    await using wrong = new Registry(own.host, { credentials: () => as('ada', 'wrong') });
    await using unknown = new Registry(own.host, { credentials: () => as('bob', 'secret') });
    await using ada = new Registry(own.host, { credentials: () => as('ada', 'secret') });
    for (const each of [anonymous, wrong, unknown]) {
      await expect(each.check()).rejects.toMatchObject({ code: 'CTR_UNAUTHORIZED', status: 401 });
      await expect(push(each, 'a/b', '1')).rejects.toMatchObject({ code: 'CTR_UNAUTHORIZED' });
    }
    await ada.check();
    await push(ada, 'a/b', '1');
    appendFileSync(path, `bob:${await hash('secret', 4)}\n`);
    await using bob = new Registry(own.host, { credentials: () => as('bob', 'secret') });
    expect((await bob.manifest('a/b', '1')).descriptor.mediaType).toBe(mediaTypes.ociManifest);
    // And whoever is no longer in it is not let in by what was remembered.
    writeFileSync(path, `bob:${await hash('secret', 4)}\n`);
    await expect(ada.manifest('a/b', '1')).rejects.toMatchObject({ code: 'CTR_UNAUTHORIZED' });
  });

  test('may be anybody who only pulls', async () => {
    const authenticate = (username: string): boolean => username === 'ada';
    await using own = await serveRegistry({ authenticate, anonymousPull: true });
    await using ada = new Registry(own.host, { credentials: () => as('ada', 'x') });
    await using anonymous = new Registry(own.host);
    await push(ada, 'a/b', '1');
    await anonymous.manifest('a/b', '1');
    await expect(push(anonymous, 'a/b', '2')).rejects.toMatchObject({ code: 'CTR_UNAUTHORIZED' });
    await expect(all(anonymous.catalog())).rejects.toMatchObject({ code: 'CTR_UNAUTHORIZED' });
    expect(await all(ada.catalog())).toEqual(['a/b']);
  });

  test('is not said by a file of another kind', () => {
    writeFileSync(join(folder, 'md5'), 'ada:$apr1$abc$def\n');
    const open = (): unknown => new RegistryServer({ root: join(folder, 'r'), htpasswd: join(folder, 'md5') });
    expect(open).toThrow(/md5:1: is not NAME:HASH with a bcrypt hash\. Make it with htpasswd -B/);
  });
});

describe('a read-only registry', () => {
  test('is pulled from, and refuses the rest', async () => {
    const { digest } = await push(client, 'a/b', '1');
    await using reader = new RegistryServer({ root: served.root, readOnly: true });
    await using there = new Registry(await reader.listen());
    expect((await there.resolve('a/b', '1')).digest).toBe(digest);
    for (const attempt of [() => push(there, 'a/b', '2'), () => there.deleteManifest('a/b', digest)]) {
      await expect(attempt()).rejects.toMatchObject({ status: 405, errors: [{ code: 'UNSUPPORTED' }] });
    }
  });
});

describe('a collection', () => {
  test('takes what no manifest needs, and nothing else', async () => {
    const kept = await push(client, 'a/b', 'kept');
    const gone = await push(client, 'a/b', 'gone');
    const shared = await push(client, 'c', 'also');
    const loose = randomBytes(5000);
    await client.putBlob('a/b', described(loose), loose);
    await client.deleteManifest('a/b', gone.digest);
    expect(await served.server.collect()).toEqual({ removed: [], reclaimedBytes: 0 });
    const { removed, reclaimedBytes } = await served.server.collect({ graceMs: -1000 });
    // The layer and the manifest of the one, and the blob; not the config, which all share.
    expect(removed).toHaveLength(3);
    expect(removed).toEqual(expect.arrayContaining([gone.digest, sha256(loose)]));
    expect(reclaimedBytes).toBe(5000 + 1000 + gone.size);
    for (const [repository, tag, { digest }] of [
      ['a/b', 'kept', kept],
      ['c', 'also', shared],
    ] as const) {
      const { bytes } = await client.manifest(repository, tag);
      expect(sha256(bytes)).toBe(digest);
      const { layers } = JSON.parse(Buffer.from(bytes).toString()) as { layers: Descriptor[] };
      for (const layer of layers) expect(await client.blobSize(repository, layer.digest)).toBe(layer.size);
    }
  });

  test('takes manifests without a tag when asked to, but not what an index has, or what refers to what stays', async () => {
    const inside = await push(client, 'a', 'inside');
    const untagged = await push(client, 'a', 'untagged');
    const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [inside] };
    await client.putManifest('a', 'index', mediaTypes.ociIndex, Buffer.from(JSON.stringify(index)));
    const config = described(Buffer.from('{}'), mediaTypes.ociEmpty);
    const signature = {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config,
      layers: [],
      subject: inside,
      artifactType: 'x/y',
    };
    const bytes = Buffer.from(JSON.stringify(signature));
    await client.putManifest('a', sha256(bytes), mediaTypes.ociManifest, bytes);
    for (const tag of ['inside', 'untagged']) await client.deleteManifest('a', tag);
    await served.server.collect({ graceMs: -1000, untagged: true });
    await client.manifest('a', inside.digest);
    await client.manifest('a', sha256(bytes));
    await expect(client.manifest('a', untagged.digest)).rejects.toMatchObject({ code: 'CTR_NOT_FOUND' });
    expect((await client.referrers('a', inside.digest)).map(({ digest }) => digest)).toEqual([sha256(bytes)]);
  });

  test('takes uploads that nobody went on with', async () => {
    const { location } = await http.ask('POST', '/v2/a/b/blobs/uploads/');
    await served.server.collect();
    expect((await http.ask('GET', location)).status).toBe(204);
    const [id = ''] = readdirSync(join(served.root, 'uploads'));
    const then = new Date(Date.now() - 8 * 24 * 60 * 60 * 1000);
    utimesSync(join(served.root, 'uploads', id), then, then);
    await served.server.collect();
    expect((await http.ask('GET', location)).status).toBe(404);
  });

  test('of a storage that is somebody else’s is refused', async () => {
    const storage = {
      blob: () => undefined,
      manifest: () => undefined,
      tags: () => undefined,
      repositories: () => [],
      referrers: () => [],
    };
    await using own = new RegistryServer({ storage });
    await expect(own.collect()).rejects.toThrow(TypeError);
  });
});

async function all(names: AsyncIterable<string>): Promise<string[]> {
  const found: string[] = [];
  for await (const name of names) found.push(name);
  return found;
}
