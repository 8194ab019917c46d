import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { dockerCredentials } from '../../lib/registry/credentials.js';
import { login, logout } from '../../lib/registry/login.js';
import { serveRegistry, type ServedRegistry } from '../support/registry-server.js';
import { TestRegistry } from '../support/registry.js';

let folder: string;
let configPath: string;
let server: ServedRegistry;
const before = process.env['PATH'];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tscontainer-login-'));
  configPath = join(folder, 'docker', 'config.json');
  server = await serveRegistry({ authenticate: (name, password) => name === 'ada' && password === 'secret' });
});

afterEach(async () => {
  process.env['PATH'] = before;
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

function config(): Record<string, unknown> {
  return JSON.parse(readFileSync(configPath, 'utf8')) as Record<string, unknown>;
}

/** A helper that keeps what it is given in files. */
function installHelper(name: string): void {
  const script = `#!/bin/sh
dir="${folder}"
case "$1" in
  store) cat > "$dir/stored" ;;
  get) read -r server; test -e "$dir/stored" || { echo "credentials not found in native keychain"; exit 1; }; cat "$dir/stored" ;;
  erase) cat > "$dir/erased"; rm -f "$dir/stored" ;;
esac
`;
  writeFileSync(join(folder, `docker-credential-${name}`), script);
  chmodSync(join(folder, `docker-credential-${name}`), 0o755);
  process.env['PATH'] = `${folder}${delimiter}${before}`;
}

describe('a log-in', () => {
  test('that is refused changes nothing', async () => {
    await expect(login(server.host, { username: 'ada', password: 'wrong', configPath })).rejects.toMatchObject({
      code: 'CTR_UNAUTHORIZED',
      status: 401,
    });
    expect(() => statSync(configPath)).toThrow(/ENOENT/);
  });

  test('is kept as Docker keeps it, for its owner alone, and found again', async () => {
    expect(await login(server.host, { username: 'ada', password: 'secret', configPath })).toEqual({
      server: server.host,
      configPath,
      identityToken: false,
    });
    const auth = Buffer.from('ada:secret').toString('base64');
    expect(readFileSync(configPath, 'utf8')).toBe(
      `{\n\t"auths": {\n\t\t"${server.host}": {\n\t\t\t"auth": "${auth}"\n\t\t}\n\t}\n}`,
    );
    expect(statSync(configPath).mode & 0o777).toBe(0o600);
    const found = await dockerCredentials({ configPath })(server.host, {});
    expect(found).toEqual({ type: 'basic', username: 'ada', password: 'secret' });
    expect(await logout(server.host, { configPath })).toBe(true);
    expect(config()).toEqual({ auths: {} });
    expect(await logout(server.host, { configPath })).toBe(false);
  });

  test('leaves the rest of the file as it is, and a link a link', async () => {
    const real = join(folder, 'real.json');
    writeFileSync(
      real,
      JSON.stringify({ HttpHeaders: { X: 'y' }, auths: { 'ghcr.io': { auth: 'eDp5' } }, proxies: {} }),
    );
    configPath = join(folder, 'link.json');
    symlinkSync(real, configPath);
    await login(server.host, { username: 'ada', password: 'secret', configPath });
    expect(Object.keys(config())).toEqual(['HttpHeaders', 'auths', 'proxies']);
    expect(Object.keys(config()['auths'] as object).sort()).toEqual([server.host, 'ghcr.io'].sort());
    expect(JSON.parse(readFileSync(real, 'utf8'))).toEqual(config());
  });

  test.each(['credsStore', 'credHelpers'] as const)(
    'is kept by the helper that %s names, and erased by it',
    async key => {
      installHelper('mine');
      configPath = join(folder, 'config.json');
      // The one for this registry goes before the one for all, which does not exist.
      const named =
        key === 'credsStore' ? { credsStore: 'mine' } : { credHelpers: { [server.host]: 'mine' }, credsStore: 'none' };
      writeFileSync(configPath, JSON.stringify(named));
      const done = await login(server.host, { username: 'ada', password: 'secret', configPath });
      expect(done.configPath).toBeUndefined();
      expect(JSON.parse(readFileSync(join(folder, 'stored'), 'utf8'))).toEqual({
        ServerURL: server.host,
        Username: 'ada',
        Secret: 'secret',
      });
      expect(config()).toEqual({ ...named, auths: { [server.host]: {} } });
      const found = await dockerCredentials({ configPath })(server.host, {});
      expect(found).toEqual({ type: 'basic', username: 'ada', password: 'secret' });
      expect(await logout(server.host, { configPath })).toBe(true);
      expect(readFileSync(join(folder, 'erased'), 'utf8').trim()).toBe(server.host);
      expect(config()).toEqual({ ...named, auths: {} });
    },
  );

  test('keeps the identity token that the registry gives instead of the password', async () => {
    await using registry = await TestRegistry.start({ auth: { type: 'bearer', username: 'ada', password: 'secret' } });
    const body = JSON.stringify({ token: 't', refresh_token: 'identity', expires_in: 300 });
    registry.fail(/GET \/token.*offline_token=true/, { type: 'status', status: 200, body }, 1);
    registry.fail(/GET \/v2\/$/, { type: 'status', status: 200, body: '{}' }, 0);
    // The first request is challenged; with the token it is let in.
    registry.fail(
      /GET \/v2\/$/,
      {
        type: 'status',
        status: 401,
        headers: { 'www-authenticate': `Bearer realm="http://${registry.host}/token",service="x"` },
      },
      1,
    );
    registry.fail(/GET \/v2\/$/, { type: 'status', status: 200, body: '{}' });
    const done = await login(registry.host, { username: 'ada', password: 'secret', configPath });
    expect(done.identityToken).toBe(true);
    const entry = (config()['auths'] as Record<string, Record<string, string>>)[registry.host];
    expect(entry).toEqual({ auth: Buffer.from('ada:').toString('base64'), identitytoken: 'identity' });
    expect(await dockerCredentials({ configPath })(registry.host, {})).toEqual({
      type: 'token',
      identityToken: 'identity',
    });
  });

  test('of a name that cannot be one is a mistake', async () => {
    for (const username of ['', 'a:b'])
      await expect(login(server.host, { username, password: 'x', configPath })).rejects.toThrow(TypeError);
  });

  test('of Docker Hub has the name that Docker gave it, however it is called', async () => {
    configPath = join(folder, 'config.json');
    writeFileSync(
      configPath,
      JSON.stringify({ auths: { 'https://index.docker.io/v1/': { auth: 'eDp5' }, 'ghcr.io': {} } }),
    );
    expect(await logout('docker.io', { configPath })).toBe(true);
    expect(config()).toEqual({ auths: { 'ghcr.io': {} } });
  });
});

describe('what podman has kept', () => {
  test('is found as well, after Docker’s own', async () => {
    const [path, own, docker] = [
      join(folder, 'auth.json'),
      process.env['REGISTRY_AUTH_FILE'],
      process.env['DOCKER_CONFIG'],
    ];
    writeFileSync(
      path,
      JSON.stringify({ auths: { 'r.example:5000': { auth: Buffer.from('pod:man').toString('base64') } } }),
    );
    process.env['REGISTRY_AUTH_FILE'] = path;
    process.env['DOCKER_CONFIG'] = folder;
    try {
      expect(await dockerCredentials()('r.example:5000', {})).toEqual({
        type: 'basic',
        username: 'pod',
        password: 'man',
      });
      writeFileSync(
        join(folder, 'config.json'),
        JSON.stringify({ auths: { 'r.example:5000': { auth: Buffer.from('do:cker').toString('base64') } } }),
      );
      expect(await dockerCredentials()('r.example:5000', {})).toEqual({
        type: 'basic',
        username: 'do',
        password: 'cker',
      });
    } finally {
      for (const [name, value] of [
        ['REGISTRY_AUTH_FILE', own],
        ['DOCKER_CONFIG', docker],
      ] as const) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    }
  });
});
