import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { proxyFor } from '../../lib/registry/proxy.js';
import { Registry } from '../../lib/registry/registry.js';
import { TestRegistry } from '../support/registry.js';

describe('which proxy is used', () => {
  const environment = { HTTPS_PROXY: 'http://secure:1', http_proxy: 'plain:2' };

  test.each([
    ['https://ghcr.io/', 'http://secure:1/'],
    ['http://registry.example/', 'http://plain:2/'],
    ['http://127.0.0.1:5000/', undefined],
    ['http://localhost:5000/', undefined],
    ['http://[::1]:5000/', undefined],
  ])('for %s: %s', (url, proxy) => {
    expect(proxyFor(new URL(url), environment)?.href).toBe(proxy);
  });

  test.each<[string, string, boolean]>([
    ['example.com', 'https://example.com/', true],
    ['example.com', 'https://a.example.com/', true],
    ['example.com', 'https://badexample.com/', false],
    ['.example.com', 'https://a.example.com/', true],
    ['.example.com', 'https://example.com/', false],
    ['*.example.com', 'https://a.example.com/', true],
    ['EXAMPLE.com', 'https://example.com/', true],
    ['example.com:443', 'https://example.com/', true],
    ['example.com:5000', 'https://example.com/', false],
    ['*', 'https://example.com/', true],
    ['a, b example.com', 'https://example.com/', true],
    ['10.0.0.0/8', 'https://10.1.2.3/', true],
    ['10.0.0.0/8', 'https://11.1.2.3/', false],
    ['10.0.0.0/8', 'https://example.com/', false],
    ['10.0.0.0/99', 'https://10.1.2.3/', false],
    ['10.1.2.3', 'https://10.1.2.3/', true],
    ['10.1.2.3:5000', 'https://10.1.2.3:5000/', true],
    ['fd00::/8', 'https://[fd00::1]/', true],
    ['fd00::1', 'https://[fd00::1]/', true],
    ['[fd00::1]:5000', 'https://[fd00::1]:5001/', false],
    ['', 'https://example.com/', false],
  ])('NO_PROXY=%j keeps it away from %s: %s', (NO_PROXY, url, kept) => {
    expect(proxyFor(new URL(url), { ...environment, NO_PROXY }) === undefined).toBe(kept);
  });

  test('what is no URL is said to be none', () => {
    expect(() => proxyFor(new URL('https://x/'), { HTTPS_PROXY: 'http://' })).toThrow(/HTTPS_PROXY: expected the URL/);
  });
});

describe('through a proxy', () => {
  const environment = { ...process.env };
  let proxy: Server;
  let server: TestRegistry;
  const tunnels: { target: string | undefined; authorization: string | undefined }[] = [];

  beforeEach(async () => {
    server = await TestRegistry.start();
    server.putImage('acme/app', '1', { layers: [] });
    proxy = createServer();
    proxy.on('connect', (request, client) => {
      tunnels.push({ target: request.url, authorization: request.headers['proxy-authorization'] });
      const upstream = connect(Number(server.host.split(':')[1]), '127.0.0.1', () => {
        client.write('HTTP/1.1 200 Connected\r\n\r\n');
        upstream.pipe(client).pipe(upstream);
      });
      for (const socket of [client, upstream]) socket.on('error', () => upstream.destroy());
    });
    await once(proxy.listen(0, '127.0.0.1'), 'listening');
    process.env['HTTP_PROXY'] = `http://ada:p%40w@127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  });

  afterEach(async () => {
    process.env = { ...environment };
    await server[Symbol.asyncDispose]();
    await once(proxy.close(), 'close');
  });

  test('a registry is reached that only the proxy can reach', async () => {
    await using registry = new Registry('registry.invalid:5000', { insecure: true, retries: 0 });
    expect((await registry.manifest('acme/app', '1')).bytes.length).toBeGreaterThan(0);
    const authorization = `Basic ${Buffer.from('ada:p@w').toString('base64')}`;
    expect(tunnels).toEqual([{ target: 'registry.invalid:5000', authorization }]);
  });
});
