import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { hash } from 'bcryptjs';

import { ImageCollection } from '../../lib/image/images.js';
import { hostPlatform } from '../../lib/oci/platform.js';
import { dockerCredentials } from '../../lib/registry/credentials.js';
import { login, logout } from '../../lib/registry/login.js';
import { Registry } from '../../lib/registry/registry.js';
import { Place } from '../store/place.js';
import { needs } from '../support/needs.js';
import { RealRegistry } from '../support/real-registry.js';
import { serveRegistry } from '../support/registry-server.js';
import { TestRegistry } from '../support/registry.js';
import { tar } from './fixtures.js';

/** What people do on the day on which they set up a registry of their own. */
function story(
  name: string,
  suite: typeof describe,
  start: (folder: string) => Promise<AsyncDisposable & { host: string }>,
): void {
  suite(`a private registry of one’s own: ${name}`, () => {
    let place: Place;
    let folder: string;
    beforeEach(() => {
      place = new Place();
      folder = mkdtempSync(join(tmpdir(), 'tscontainer-private-'));
    });
    afterEach(async () => {
      await place[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true });
    });

    test('wrong then right log-in, push, catalog, remove, pull back: the same digest', async () => {
      const configPath = join(folder, 'config.json');
      await using source = await TestRegistry.start();
      await using registry = await start(folder);
      const { host } = registry;
      const credentials = dockerCredentials({ configPath });
      const images = new ImageCollection({ store: await place.open(), credentials, insecureRegistries: [host] });
      source.putImage('app', '1', { layers: [tar([{ name: 'a', content: 'x' }])], platform: hostPlatform() });
      const image = await images.pull(`${source.host}/app:1`);
      await image.tag(`${host}/team/app:1.0`);

      await expect(images.push(`${host}/team/app:1.0`)).rejects.toMatchObject({
        code: 'CTR_UNAUTHORIZED',
        message: expect.stringMatching(new RegExp(`log in with docker login ${host}$`)),
      });
      const attempt = login(host, { username: 'ada', password: 'wrong', configPath });
      await expect(attempt).rejects.toMatchObject({ code: 'CTR_UNAUTHORIZED', status: 401 });
      await login(host, { username: 'ada', password: 'secret', configPath });
      const pushed = await images.push(`${host}/team/app:1.0`);
      expect(pushed.digest).toBe(image.digest);

      await using anonymous = new Registry(host);
      await expect(namesOf(anonymous.catalog())).rejects.toMatchObject({ code: 'CTR_UNAUTHORIZED' });
      await using known = new Registry(host, { credentials });
      expect(await namesOf(known.catalog())).toEqual(['team/app']);
      expect(await namesOf(known.tags('team/app'))).toEqual(['1.0']);

      await image.remove({ force: true });
      await expect(images.get(`${host}/team/app:1.0`)).rejects.toMatchObject({ code: 'CTR_NOT_FOUND' });
      const back = await images.pull(`${host}/team/app:1.0`);
      expect([back.digest, back.id]).toEqual([image.digest, image.id]);

      await logout(host, { configPath });
      await expect(images.push(`${host}/team/app:1.0`)).rejects.toMatchObject({ code: 'CTR_UNAUTHORIZED' });
    });
  });
}

async function namesOf(names: AsyncIterable<string>): Promise<string[]> {
  const found: string[] = [];
  for await (const name of names) found.push(name);
  return found;
}

story('our server', describe, async folder => {
  const htpasswd = join(folder, 'htpasswd');
  writeFileSync(htpasswd, '# who may come in\n');
  appendFileSync(htpasswd, `ada:${await hash('secret', 4)}\n`);
  return serveRegistry({ htpasswd });
});
story('docker-registry', needs('docker-registry').describe as typeof describe, () =>
  RealRegistry.start({ username: 'ada', password: 'secret' }),
);
