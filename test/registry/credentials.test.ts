import { getEventListeners } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { dockerCredentials } from '../../lib/registry/credentials.js';

let folder: string;
let configPath: string;
const environment = { ...process.env };

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tscontainer-test-'));
  configPath = join(folder, 'config.json');
  process.env['PATH'] = `${folder}:${environment['PATH']}`;
  delete process.env['DOCKER_AUTH_CONFIG'];
});

afterEach(() => {
  process.env = { ...environment };
  rmSync(folder, { recursive: true });
});

function configure(config: unknown): void {
  writeFileSync(configPath, typeof config === 'string' ? config : JSON.stringify(config));
}

/** A program as Docker would call it; `script` is shell, and `$server` what it was asked for. */
function helper(name: string, script: string): void {
  const path = join(folder, `docker-credential-${name}`);
  writeFileSync(path, `#!/bin/sh\n[ "$1" = get ] || exit 9\nread -r server\n${script}\n`);
  chmodSync(path, 0o755);
}

const find = async (host: string): Promise<unknown> => dockerCredentials({ configPath })(host, {});
const auth = (text: string): { auth: string } => ({ auth: Buffer.from(text).toString('base64') });
const basic = (username: string, password: string): object => ({ type: 'basic', username, password });

describe('what docker login left in its file is found', () => {
  test.each<[string, string, object, object | undefined]>([
    ['by host', 'ghcr.io', { 'ghcr.io': auth('ada:pw') }, basic('ada', 'pw')],
    ['with the port', 'r.example:5000', { 'r.example:5000': auth('ada:pw') }, basic('ada', 'pw')],
    ['but not for another port', 'r.example', { 'r.example:5000': auth('ada:pw') }, undefined],
    ['by URL', 'r.example', { 'https://r.example/v2/': auth('ada:pw') }, basic('ada', 'pw')],
    ['the exact key first', 'a', { 'https://a': auth('x:y'), a: auth('ada:pw') }, basic('ada', 'pw')],
    ['for Docker Hub', 'registry-1.docker.io', { 'https://index.docker.io/v1/': auth('ada:pw') }, basic('ada', 'pw')],
    ['for docker.io', 'docker.io', { 'https://index.docker.io/v1/': auth('ada:pw') }, basic('ada', 'pw')],
    ['with a colon in the password', 'a', { a: auth('ada:p:w') }, basic('ada', 'p:w')],
    ['with the NULs that Docker pads with', 'a', { a: auth('ada:pw\0\0') }, basic('ada', 'pw')],
    ['in two fields', 'a', { a: { username: 'ada', password: 'pw' } }, basic('ada', 'pw')],
    ['an identity token', 'a', { a: { ...auth('ada:'), identitytoken: 'it' } }, { type: 'token', identityToken: 'it' }],
    ['an entry without content', 'a', { a: {} }, undefined],
    ['for somebody else only', 'a', { b: auth('ada:pw') }, undefined],
    ['nothing of the prototype', 'constructor', {}, undefined],
  ])('%s', async (_, host, auths, expected) => {
    configure({ auths });
    expect(await find(host)).toEqual(expected);
  });

  test('or nothing, where nobody ever logged in', async () => {
    expect(await find('ghcr.io')).toBeUndefined();
    configure('{}');
    expect(await find('ghcr.io')).toBeUndefined();
  });

  test.each([
    ['{', /is not JSON/],
    ['{"auths":7}', /auths is 7, expected an object/],
    ['{"auths":{"a":{"auth":"!!!"}}}', /auths\["a"\]\.auth: is not the base64 of user:password/],
  ])('unless the file is %s', async (text, message) => {
    configure(text);
    await expect(find('a')).rejects.toMatchObject({ code: 'CTR_PARSE', message: expect.stringMatching(message) });
  });

  test('where DOCKER_CONFIG says, and before that in DOCKER_AUTH_CONFIG', async () => {
    configure({ auths: { a: auth('file:1'), b: auth('file:2') } });
    process.env['DOCKER_CONFIG'] = folder;
    process.env['DOCKER_AUTH_CONFIG'] = JSON.stringify({ auths: { a: auth('env:1') } });
    expect(await dockerCredentials()('a', {})).toEqual(basic('env', '1'));
    expect(await dockerCredentials()('b', {})).toEqual(basic('file', '2'));
  });
});

describe('a credential helper', () => {
  const answer = (username: string, secret: string): string =>
    `echo "{\\"ServerURL\\":\\"$server\\",\\"Username\\":\\"${username}\\",\\"Secret\\":\\"${secret}\\"}"`;

  test('is asked for its registry, before the one for all, before the file', async () => {
    helper('one', answer('one', '$server'));
    helper('all', answer('all', '$server'));
    configure({ credHelpers: { 'ghcr.io': 'one' }, credsStore: 'all', auths: { 'ghcr.io': auth('file:pw') } });
    expect(await find('ghcr.io')).toEqual(basic('one', 'ghcr.io'));
    expect(await find('docker.io')).toEqual(basic('all', 'https://index.docker.io/v1/'));
  });

  test('may give an identity token', async () => {
    helper('one', answer('<token>', 'it'));
    configure({ credsStore: 'one' });
    expect(await find('a')).toEqual({ type: 'token', identityToken: 'it' });
  });

  test('that knows nothing leaves it to the file', async () => {
    helper('one', 'echo "credentials not found in native keychain"; exit 1');
    configure({ credsStore: 'one', auths: { a: auth('file:pw') } });
    expect(await find('a')).toEqual(basic('file', 'pw'));
    expect(await find('b')).toBeUndefined();
  });

  test.each([
    ['fails', 'echo secret; exit 3', /docker-credential-one: exited with 3 when asked for a$/],
    ['talks nonsense', 'echo hello', /docker-credential-one: is not JSON/],
    ['talks without end', 'yes', /docker-credential-one: writes more than 1048576 bytes/],
  ])('that %s is an error, without what it said', async (_, script, message) => {
    helper('one', script);
    configure({ credsStore: 'one' });
    await expect(find('a')).rejects.toThrow(message);
    await expect(find('a')).rejects.not.toThrow(/secret/);
  });

  test('that is not installed is named', async () => {
    configure({ credsStore: 'none-such' });
    await expect(find('a')).rejects.toMatchObject({
      code: 'CTR_NOT_FOUND',
      ref: 'docker-credential-none-such',
      message: expect.stringMatching(/install it, or take credsStore or credHelpers out of there/),
    });
  });

  test.each(['../../bin/sh', 'a b', '-x', 'a/b'])('with the name %j is not run', async name => {
    configure({ credsStore: name });
    await expect(find('a')).rejects.toThrow(/is not the name of a credential helper/);
  });

  test('is killed when the caller leaves, who is told his own reason', async () => {
    helper('one', `echo $$ > "${folder}/pid"; exec sleep 600`);
    configure({ credsStore: 'one' });
    const controller = new AbortController();
    const reason = new RangeError('enough');
    const asked = Promise.resolve(dockerCredentials({ configPath })('a', { signal: controller.signal }));
    setImmediate(() => controller.abort(reason));
    expect(await asked.catch((e: unknown) => e)).toBe(reason);
    expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
  });
});
