import { afterEach, describe, expect, jest, test } from '@jest/globals';

import { Authorizer } from '../../lib/registry/auth.js';
import type { Credential, CredentialProvider } from '../../lib/registry/credentials.js';
import { Endpoint } from '../../lib/registry/endpoint.js';
import type { RegistryOptions } from '../../lib/registry/options.js';
import { Registry } from '../../lib/registry/registry.js';
import type { Request, Response } from '../../lib/registry/transport.js';
import { TestRegistry, type AuthOptions } from '../support/registry.js';

const ada: Credential = { type: 'basic', username: 'ada', password: 'pa:ss wörd' };
const open: AsyncDisposable[] = [];

afterEach(async () => {
  for (const resource of open.splice(0).reverse()) await resource[Symbol.asyncDispose]();
});

/** Closed when the test ends. */
function use<T extends AsyncDisposable>(resource: T): T {
  open.push(resource);
  return resource;
}

async function serve(auth: AuthOptions): Promise<TestRegistry> {
  const server = use(await TestRegistry.start({ auth }));
  server.putImage('acme/app', '1', { layers: [Buffer.from('layer')] });
  server.putImage('acme/other', '1', { layers: [] });
  return server;
}

function client(server: TestRegistry, options: RegistryOptions = {}): Registry {
  return use(new Registry(server.host, { retries: 1, retryDelayMs: 1, ...options }));
}

describe('basic authentication', () => {
  test('is answered when it is asked for, and from then on at once', async () => {
    const server = await serve({ ...ada, type: 'basic' });
    const credentials = jest.fn<CredentialProvider>(() => ada);
    const registry = client(server, { credentials });
    await registry.manifest('acme/app', '1');
    await registry.manifest('acme/other', '1');
    const sent = server.requests.map(r => r.headers.authorization !== undefined);
    expect(sent).toEqual([false, true, true]);
    expect(credentials).toHaveBeenCalledTimes(1);
    expect(credentials.mock.calls[0]?.[0]).toBe(server.host);
  });

  test('without credentials says how to get some', async () => {
    const server = await serve({ ...ada, type: 'basic' });
    await expect(client(server).manifest('acme/app', '1')).rejects.toMatchObject({
      code: 'CTR_UNAUTHORIZED',
      errors: [{ code: 'UNAUTHORIZED' }],
      message: expect.stringMatching(/refused anonymous access .* log in with docker login 127\.0\.0\.1:\d+$/),
    });
  });

  test('with wrong credentials says that they are wrong, and not what they are', async () => {
    const server = await serve({ ...ada, type: 'basic' });
    const credentials: CredentialProvider = () => ({ ...ada, password: 'wrong' }) as Credential;
    const error: unknown = await client(server, { credentials })
      .manifest('acme/app', '1')
      .catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'CTR_UNAUTHORIZED' });
    expect((error as { message: string }).message).toMatch(/refused these credentials .* log in again/);
    expect(JSON.stringify(error) + String((error as { stack: string }).stack)).not.toContain('wrong');
    expect(server.requests).toHaveLength(2);
  });
});

describe('token authentication', () => {
  test('works for anybody where anybody may', async () => {
    const server = await serve({ type: 'bearer' });
    const registry = client(server);
    for (let i = 0; i < 3; i++) await registry.manifest('acme/app', '1');
    expect(server.seen(/\/token/).map(r => r.path)).toEqual([
      '/token?service=test+registry&scope=repository%3Aacme%2Fapp%3Apull',
    ]);
    expect(server.requests).toHaveLength(5);
  });

  test('shows credentials to the token server, and only there', async () => {
    const server = await serve({ ...ada, type: 'bearer' });
    await client(server, { credentials: () => ada }).manifest('acme/app', '1');
    const basic = server.requests.filter(r => r.headers.authorization?.startsWith('Basic'));
    expect(basic.map(r => r.path)).toEqual([expect.stringMatching(/^\/token\?.*&account=ada$/)]);
  });

  test('exchanges an identity token by POST', async () => {
    const server = await serve({ type: 'bearer', username: 'x', password: 'y', identityToken: 'secret' });
    const credentials: CredentialProvider = () => ({ type: 'token', identityToken: 'secret' });
    await client(server, { credentials }).manifest('acme/app', '1');
    const [exchange] = server.seen(/^POST \/token$/);
    expect(new URLSearchParams(exchange?.body.toString()).get('grant_type')).toBe('refresh_token');
  });

  test('gets a token for each repository', async () => {
    const server = await serve({ type: 'bearer' });
    const registry = client(server);
    await registry.manifest('acme/app', '1');
    await registry.manifest('acme/other', '1');
    expect(server.seen(/\/token/)).toHaveLength(2);
  });

  test('gets one token for many requests at once', async () => {
    const server = await serve({ type: 'bearer' });
    const registry = client(server);
    await Promise.all(Array.from({ length: 10 }, () => registry.manifest('acme/app', '1')));
    expect(server.seen(/\/token/)).toHaveLength(1);
  });

  test('gets another token when the one it has is refused, or is about to expire', async () => {
    const server = await serve({ type: 'bearer', expiresInSeconds: 300 });
    const registry = client(server);
    await registry.manifest('acme/app', '1');
    server.revokeTokens();
    await registry.manifest('acme/app', '1');
    expect(server.seen(/\/token/)).toHaveLength(2);

    const shortLived = await serve({ type: 'bearer', expiresInSeconds: 4 });
    const other = client(shortLived);
    await other.manifest('acme/app', '1');
    await other.manifest('acme/app', '1');
    expect(shortLived.seen(/\/token/)).toHaveLength(2);
  });

  test('gives up when the fresh token is refused, too', async () => {
    const server = await serve({ type: 'bearer' });
    server.fail(/\/v2\/acme/, {
      type: 'status',
      status: 401,
      headers: { 'www-authenticate': `Bearer realm="http://${server.host}/token"` },
    });
    await expect(client(server).manifest('acme/app', '1')).rejects.toMatchObject({ status: 401 });
    expect(server.requests).toHaveLength(3);
  });

  test('with wrong credentials says so', async () => {
    const server = await serve({ ...ada, type: 'bearer', password: 'other' });
    await expect(client(server, { credentials: () => ada }).manifest('acme/app', '1')).rejects.toMatchObject({
      code: 'CTR_UNAUTHORIZED',
      message: expect.stringMatching(/GET http:.*\/token: the registry refused these credentials/),
    });
  });

  test.each([
    ['no token', '{}', /the answer has no token/],
    ['a token that would break the header', '{"token":"a\\r\\nX-Evil: b"}', /the answer has no token/],
    ['no JSON', '<html>', /is not JSON/],
  ])('with %s from the token server fails', async (_, body, message) => {
    const server = await serve({ type: 'bearer' });
    server.fail(/\/token/, { type: 'status', status: 200, headers: {}, body });
    await expect(client(server).manifest('acme/app', '1')).rejects.toThrow(message);
  });

  test('tries again when the token server is away for a moment', async () => {
    const server = await serve({ type: 'bearer' });
    server.fail(/\/token/, { type: 'status', status: 502 }, 1);
    await client(server).manifest('acme/app', '1');
    expect(server.seen(/\/token/)).toHaveLength(2);
  });

  test('does not follow a token server elsewhere', async () => {
    const [server, elsewhere] = [await serve({ ...ada, type: 'bearer' }), await serve({ type: 'bearer' })];
    server.fail(/\/token/, { type: 'redirect', to: elsewhere.host });
    await expect(client(server, { credentials: () => ada }).manifest('acme/app', '1')).rejects.toThrow(
      /redirects where it must not/,
    );
    expect(elsewhere.requests).toEqual([]);
  });

  test('goes on for others when the one who asked first leaves', async () => {
    const server = await serve({ type: 'bearer' });
    let answer: (credential: undefined) => void = () => {};
    let asked = (): void => {};
    const wasAsked = new Promise<void>(resolve => (asked = resolve));
    const credentials: CredentialProvider = () => {
      asked();
      return new Promise(resolve => (answer = resolve));
    };
    const registry = client(server, { credentials });
    const controller = new AbortController();
    const first = registry.manifest('acme/app', '1', { signal: controller.signal });
    await wasAsked;
    const second = registry.manifest('acme/app', '1');
    controller.abort(new RangeError('left'));
    await expect(first).rejects.toThrow('left');
    answer(undefined);
    expect((await second).bytes.length).toBeGreaterThan(0);
  });

  test('fails with what the credential provider fails with, and asks it again', async () => {
    const server = await serve({ type: 'bearer' });
    const credentials = jest.fn<CredentialProvider>(() => ada).mockRejectedValueOnce(new RangeError('locked'));
    const registry = client(server, { credentials });
    await expect(registry.manifest('acme/app', '1')).rejects.toThrow('locked');
    await registry.manifest('acme/app', '1');
    expect(credentials).toHaveBeenCalledTimes(2);
  });
});

describe('credentials are sent to no token server', () => {
  const cases: [registry: string, realm: string, why: RegExp][] = [
    ['https://registry.example/', 'http://registry.example/token', /unencrypted/],
    ['https://registry.example/', 'http://127.0.0.1/token', /unencrypted/],
    ['http://registry.example:5000/', 'http://evil.example/token', /another host, and unencrypted/],
    ['http://127.0.0.1:5000/', 'http://evil.example/token', /another host, and unencrypted/],
    ['https://registry.example/', 'https://user:pw@registry.example/token', /has credentials in it/],
    ['https://registry.example/', 'file:///etc/passwd', /is not HTTP/],
    ['https://registry.example/', '/token', /is not a URL/],
    ['https://registry.example/', '', /is not a URL/],
  ];
  test.each(cases)('of %s at %j', async (registry, realm, why) => {
    const { answer, sent } = authorizer(registry, realm);
    await expect(answer()).rejects.toMatchObject({ code: 'CTR_UNAUTHORIZED', message: expect.stringMatching(why) });
    expect(sent).toEqual([]);
  });

  test.each([
    ['https://registry.example/', 'https://auth.example/token'],
    ['http://registry.example:5000/', 'http://registry.example:5001/token'],
    ['http://registry.example:5000/', 'https://auth.example/token'],
    ['http://127.0.0.1:5000/', 'http://localhost:5001/token'],
  ])('but of %s at %s', async (registry, realm) => {
    const { answer, sent } = authorizer(registry, realm);
    expect(await answer()).toBe('Bearer t');
    expect(sent.map(request => request.url.origin + request.url.pathname)).toEqual([realm]);
  });

  function authorizer(registry: string, realm: string): { answer: () => Promise<string | undefined>; sent: Request[] } {
    const sent: Request[] = [];
    const { signal } = new AbortController();
    const base = new URL(registry);
    const subject = new Authorizer({
      host: base.host,
      endpoint: new Endpoint([base], () => Promise.reject(new TypeError('not asked')), signal),
      credentials: () => ada,
      closing: signal,
      offline: false,
      send: async request => {
        sent.push(request);
        return reply(request.url, 200, Buffer.from('{"token":"t"}'));
      },
    });
    const challenge = reply(base, 401, Buffer.alloc(0), [`Bearer realm="${realm}",service="x"`]);
    return { answer: () => subject.answer(challenge, 'repository:a:pull', undefined, { call: 'c', signal }), sent };
  }

  function reply(url: URL, status: number, body: Buffer, challenges: string[] = []): Response {
    return {
      status,
      url,
      method: 'GET',
      header: () => undefined,
      headers: name => (name === 'www-authenticate' ? challenges : []),
      chunks: async function* () {
        yield body;
      },
      bytes: async () => body,
      drain: async () => {},
      discard: () => {},
    };
  }
});

describe('a redirect', () => {
  test('is followed to another host, without the log-in', async () => {
    const server = await serve({ ...ada, type: 'basic' });
    const storage = use(await TestRegistry.start({ contentOf: server }));
    server.fail(/^GET \/v2\/acme\/app\/manifests/, { type: 'redirect', to: storage.host });
    const { descriptor } = await client(server, { credentials: () => ada }).manifest('acme/app', '1');
    expect(descriptor.size).toBeGreaterThan(0);
    expect(storage.requests.map(r => r.headers.authorization)).toEqual([undefined]);
  });

  test('within the host keeps the log-in', async () => {
    const server = await serve({ ...ada, type: 'basic' });
    server.fail(/app\/manifests/, { type: 'redirect', to: path => path.replace('app', 'other'), status: 302 }, 2);
    await client(server, { credentials: () => ada }).manifest('acme/app', '1');
    expect(server.requests.map(r => r.headers.authorization !== undefined)).toEqual([false, false, true, true]);
  });

  test('to a host that wants a log-in itself gets none', async () => {
    const server = await serve({ ...ada, type: 'basic' });
    const thief = await serve({ ...ada, type: 'basic' });
    server.fail(/^GET/, { type: 'redirect', to: thief.host });
    await expect(client(server, { credentials: () => ada }).manifest('acme/app', '1')).rejects.toMatchObject({
      status: 401,
      url: expect.objectContaining({ host: thief.host }),
    });
    expect(thief.requests.map(r => r.headers.authorization)).toEqual([undefined]);
  });

  test.each<[string, (path: string) => string, RegExp]>([
    ['in a circle', path => path, /redirected more than 10 times/],
    ['to a file', () => 'file:///etc/passwd', /redirected to file:, which is not HTTP/],
    ['to nonsense', () => 'http://[', /redirected to what is not a URL/],
  ])('%s is refused', async (_, to, message) => {
    const server = await serve({ type: 'bearer' });
    server.fail(/^GET \/v2\/acme/, { type: 'redirect', to });
    await expect(client(server).manifest('acme/app', '1')).rejects.toThrow(message);
  });

  test('shows no signature in an error', async () => {
    const server = await serve({ type: 'bearer' });
    server.fail(/manifests/, { type: 'redirect', to: () => `http://u:p@${server.host}/v2/gone?X-Signature=secret` });
    const error = await client(server)
      .manifest('acme/app', '1')
      .catch((e: unknown) => e);
    expect((error as { message: string }).message).not.toMatch(/secret|u:p/);
  });
});
