import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { afterAll, beforeAll, expect } from '@jest/globals';
import { hash } from 'bcryptjs';

import { hostPlatform } from '../../lib/oci/platform.js';
import { tar } from '../image/fixtures.js';
import { Place } from '../support/engine.js';
import { needs } from '../support/needs.js';
import { serveRegistry, type ServedRegistry } from '../support/registry-server.js';
import { TestRegistry } from '../support/registry.js';
import { Cli } from './cli.js';

const { describe, test } = needs('root');

let place: Place;
let cli: Cli;
let source: TestRegistry;
let own: ServedRegistry;
const configBefore = process.env['DOCKER_CONFIG'];

describe('registries on the command line', () => {
  beforeAll(async () => {
    place = new Place();
    source = await TestRegistry.start();
    process.env['DOCKER_CONFIG'] = join(place.directory, 'docker');
    cli = new Cli(place);
    const htpasswd = join(place.directory, 'htpasswd');
    writeFileSync(htpasswd, `ada:${await hash('secret', 4)}\n`);
    own = await serveRegistry({ htpasswd });
    const layers = [tar([{ name: 'etc/' }, { name: 'etc/motd', content: 'hello' }])];
    source.putImage('team/app', '1', { layers, platform: hostPlatform() });
    await cli.run('pull', '-q', `${source.host}/team/app:1`);
  });

  afterAll(async () => {
    if (configBefore === undefined) delete process.env['DOCKER_CONFIG'];
    else process.env['DOCKER_CONFIG'] = configBefore;
    await own[Symbol.asyncDispose]();
    await source[Symbol.asyncDispose]();
    await place[Symbol.asyncDispose]();
  });

  test('login tells wrong from right, and keeps what is right', async () => {
    const config = join(place.directory, 'docker/config.json');
    const wrong = await cli.feed('wrong\n', 'login', own.host, '-u', 'ada', '--password-stdin');
    expect(wrong).toMatchObject({
      exitCode: 1,
      stdout: '',
      stderr: expect.stringMatching(/refused these credentials \(401/),
    });
    expect(existsSync(config)).toBe(false);
    const right = await cli.feed('secret\n', 'login', own.host, '-u', 'ada', '--password-stdin');
    expect(right).toMatchObject({ exitCode: 0, stdout: 'Login Succeeded\n' });
    expect(right.stderr).toContain(`WARNING! Your credentials are stored unencrypted in '${config}'.`);
    const auth = Buffer.from('ada:secret').toString('base64');
    expect(JSON.parse(readFileSync(config, 'utf8'))).toEqual({ auths: { [own.host]: { auth } } });
    const again = await cli.feed('', 'login', own.host);
    expect(again.stderr).toContain('Authenticating with existing credentials... [Username: ada]');
    expect(again.stdout).toBe('Login Succeeded\n');
  });

  test.each([
    [['--password-stdin'], 'the --password-stdin option requires --username to be set'],
    [['-p', 'x', '--password-stdin'], 'conflicting options: cannot specify both --password and --password-stdin'],
    [['-u', 'x'], 'Error: Cannot perform an interactive login from a non TTY device'],
  ])('login %j is refused in Docker’s words', async (flags, message) => {
    const said = await cli.feed('', 'login', '127.0.0.1:1', ...flags);
    expect(said.exitCode).toBe(1);
    expect(said.stderr).toContain(message);
  });

  test('push tells of each layer, and of the digest at last', async () => {
    const size = source.manifest('team/app', '1')?.bytes.length;
    for (const tag of ['1', '2']) await cli.run('tag', `${source.host}/team/app:1`, `${own.host}/app:${tag}`);
    const first = await cli.run('push', `${own.host}/app:1`);
    expect(first.stdout.split('\n')).toEqual([
      `The push refers to repository [${own.host}/app]`,
      expect.stringMatching(/^[0-9a-f]{12}: Preparing$/),
      expect.stringMatching(/^[0-9a-f]{12}: Pushed$/),
      expect.stringMatching(new RegExp(`^1: digest: sha256:[0-9a-f]{64} size: ${size}$`)),
      '',
    ]);
    const all = await cli.run('push', '--all-tags', `${own.host}/app`);
    expect(all.stdout).toMatch(/Layer already exists\n1: digest: .*\n.*Preparing\n.*Layer already exists\n2: digest: /);
    expect((await cli.run('push', '-q', `${own.host}/app:1`)).stdout).toBe(`${own.host}/app:1\n`);
    await cli.run('tag', `${source.host}/team/app:1`, `${own.host}/other:1`);
    expect((await cli.run('push', `${own.host}/other:1`)).stdout).toMatch(/: Mounted from app\n/);
    expect(await cli.run('push', '-a', `${own.host}/app:1`)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining("tag can't be used with --all-tags/-a"),
    });
  });

  test('catalog, tags and search look into it', async () => {
    expect((await cli.run('registry', 'catalog', own.host)).stdout).toBe('app\nother\n');
    expect((await cli.run('registry', 'tags', `${own.host}/app`)).stdout).toBe('1\n2\n');
    expect((await cli.run('search', `${own.host}/oth`)).stdout).toMatch(
      /^NAME +DESCRIPTION +STARS +OFFICIAL\nother +0 *\n$/,
    );
    expect((await cli.run('search', '--format', '{{.Name}}', `${own.host}/app`)).stdout).toBe('app\n');
  });

  test('serve serves the store’s own images until it is interrupted', async () => {
    const server = cli.start('registry', 'serve', '--address', '127.0.0.1:0');
    const [line] = (await once(createInterface({ input: server.stdout }), 'line')) as [string];
    const host = line.replace('Listening on ', '');
    const got = await fetch(`http://${host}/v2/team/app/manifests/1`);
    expect(Buffer.from(await got.arrayBuffer())).toEqual(source.manifest('team/app', '1')?.bytes);
    server.kill('SIGINT');
    expect(await once(server, 'exit')).toEqual([0, null]);
  });

  test('logout forgets', async () => {
    expect((await cli.run('logout', own.host)).stdout).toBe(`Removing login credentials for ${own.host}\n`);
    const after = await cli.run('registry', 'catalog', own.host);
    expect(after).toMatchObject({ exitCode: 1, stderr: expect.stringMatching(/refused anonymous access/) });
  });
});
