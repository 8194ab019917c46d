import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { ImageCollection } from '../../lib/image/images.js';
import { hostPlatform } from '../../lib/oci/platform.js';
import { dockerDaemonConfig, isInsecure, pullEndpoints } from '../../lib/registry/mirrors.js';
import { tar } from '../image/fixtures.js';
import { Place } from '../store/place.js';
import { TestRegistry } from '../support/registry.js';

describe('where images are asked for', () => {
  const hub = 'registry-1.docker.io';

  test('a list of mirrors is for Docker Hub, the registry itself comes last', async () => {
    const settings = { registryMirrors: ['https://mirror.example', 'http://10.0.0.1:5000'] };
    expect(await pullEndpoints(hub, settings)).toEqual([
      { host: 'mirror.example', insecure: false, mirror: true },
      { host: '10.0.0.1:5000', insecure: true, mirror: true },
      { host: hub, insecure: false, mirror: false },
    ]);
    expect(await pullEndpoints('ghcr.io', settings)).toEqual([{ host: 'ghcr.io', insecure: false, mirror: false }]);
  });

  test('lists by registry are for these', async () => {
    const settings = { registryMirrors: { 'ghcr.io': ['https://a.example'], 'docker.io': ['https://b.example'] } };
    expect((await pullEndpoints('ghcr.io', settings)).map(({ host }) => host)).toEqual(['a.example', 'ghcr.io']);
    expect((await pullEndpoints(hub, settings)).map(({ host }) => host)).toEqual(['b.example', hub]);
  });

  test.each(['mirror.example', 'ftp://a', 'https://a/path', 'https://user:secret@a', 'https://a?x'])(
    'a mirror is not %s',
    async mirror => {
      await expect(pullEndpoints(hub, { registryMirrors: [mirror] })).rejects.toThrow(TypeError);
    },
  );

  test.each([
    ['r.example:5000', ['r.example:5000'], true],
    ['r.example', ['r.example:5000'], false],
    ['10.1.2.3:5000', ['10.0.0.0/8'], true],
    ['11.1.2.3:5000', ['10.0.0.0/8'], false],
    ['[fd00::1]:5000', ['fd00::/8'], true],
    ['localhost:5000', ['127.0.0.0/8', '::1/128'], true],
  ])('%s is insecure by %j: %s', async (host, insecureRegistries, is) => {
    expect(await isInsecure(host, { insecureRegistries })).toBe(is);
  });

  test('a network that is none is a mistake', async () => {
    await expect(isInsecure('a', { insecureRegistries: ['10.0.0.0/99'] })).rejects.toThrow(
      /expected a host or a network/,
    );
  });
});

describe('Docker’s daemon.json', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tscontainer-daemon-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test('says the same in its own words', async () => {
    const path = join(folder, 'daemon.json');
    writeFileSync(path, '{"registry-mirrors":["https://m.example"],"insecure-registries":["10.0.0.0/8"],"debug":true}');
    expect(await dockerDaemonConfig(path)).toEqual({
      registryMirrors: ['https://m.example'],
      insecureRegistries: ['10.0.0.0/8'],
    });
    expect(await dockerDaemonConfig(join(folder, 'none.json'))).toEqual({});
    writeFileSync(path, '{');
    await expect(dockerDaemonConfig(path)).rejects.toMatchObject({ code: 'CTR_PARSE' });
  });
});

describe('a pull through mirrors', () => {
  let place: Place;
  let [first, second, origin]: TestRegistry[] = [];
  beforeEach(async () => {
    place = new Place();
    [first, second, origin] = await Promise.all([1, 2, 3].map(() => TestRegistry.start()));
  });
  afterEach(async () => {
    for (const each of [first, second, origin]) await each?.[Symbol.asyncDispose]();
    await place[Symbol.asyncDispose]();
  });

  test('goes on with the next as long as they fail, and ends at the registry itself', async () => {
    if (first === undefined || second === undefined || origin === undefined) throw new TypeError('not started');
    const layers = [tar([{ name: 'a', content: 'x' }])];
    const put = origin.putImage('app', '1', { layers, platform: hostPlatform() });
    second.putImage('app', '1', { layers, platform: hostPlatform() });
    second.fail(/blobs/, { type: 'change', change: body => Buffer.alloc(body.length) });
    const failed: string[] = [];
    const asked: string[] = [];
    const images = new ImageCollection({
      store: await place.open(),
      registryMirrors: { [origin.host]: [`http://${first.host}`, `http://${second.host}`] },
      registry: { retries: 0 },
      onMirrorFailure: (host, error) => void failed.push(`${host} ${(error as { code: string }).code}`),
      credentials: host => void asked.push(host),
    });
    const image = await images.pull(`${origin.host}/app:1`);
    expect(image.digest).toBe(put.manifest.digest);
    // The one does not have it, the other lies.
    expect(failed).toEqual([`${first.host} CTR_NOT_FOUND`, `${second.host} CTR_INTEGRITY`]);
    expect((await image.inspect()).repoDigests).toEqual([`${origin.host}/app@${put.manifest.digest}`]);
    expect(asked).toEqual([]);
  });

  test('does not ask the registry itself when a mirror has all', async () => {
    if (first === undefined || origin === undefined) throw new TypeError('not started');
    const put = first.putImage('app', '1', { layers: [tar([{ name: 'a', content: 'x' }])], platform: hostPlatform() });
    const images = new ImageCollection({
      store: await place.open(),
      registryMirrors: { [origin.host]: [`http://${first.host}`] },
    });
    expect((await images.pull(`${origin.host}/app:1`)).digest).toBe(put.manifest.digest);
    expect(origin.requests).toEqual([]);
  });
});
