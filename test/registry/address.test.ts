import { describe, expect, test } from '@jest/globals';

import { isPrivateAddress, registryUrls } from '../../lib/registry/address.js';

describe('a registry is reached', () => {
  test.each([
    ['ghcr.io', undefined, ['https://ghcr.io/']],
    ['docker.io', undefined, ['https://registry-1.docker.io/']],
    ['index.docker.io', undefined, ['https://registry-1.docker.io/']],
    ['registry.example:5000', undefined, ['https://registry.example:5000/']],
    ['10.0.0.1:5000', undefined, ['https://10.0.0.1:5000/']],
    ['127.0.0.1:5000', undefined, ['https://127.0.0.1:5000/', 'http://127.0.0.1:5000/']],
    ['127.255.0.1:5000', undefined, ['https://127.255.0.1:5000/', 'http://127.255.0.1:5000/']],
    ['127.0.0.1', undefined, ['https://127.0.0.1/', 'http://127.0.0.1/']],
    ['localhost:5000', undefined, ['https://localhost:5000/', 'http://localhost:5000/']],
    ['[::1]:5000', undefined, ['https://[::1]:5000/', 'http://[::1]:5000/']],
    ['127.0.0.1.example:5000', undefined, ['https://127.0.0.1.example:5000/']],
    ['localhost.example', undefined, ['https://localhost.example/']],
    ['[::2]:5000', undefined, ['https://[::2]:5000/']],
    ['registry.example:5000', true, ['https://registry.example:5000/', 'http://registry.example:5000/']],
    ['localhost:5000', false, ['https://localhost:5000/']],
  ])('%s, insecure: %s, at %s', (host, insecure, url) => {
    expect(registryUrls(host, insecure).map(({ href }) => href)).toEqual(url);
  });

  test.each([
    '',
    'https://ghcr.io',
    'ghcr.io/acme',
    'user@ghcr.io',
    'a b',
    'ghcr.io?x',
    'ghcr.io#x',
    'a:99999',
    'a\\b',
  ])('not at %j', host => expect(() => registryUrls(host)).toThrow(TypeError));
});

describe('an address is private', () => {
  const cases: readonly (readonly [string, boolean])[] = [
    ['10.1.2.3', true],
    ['127.0.0.1', true],
    ['169.254.169.254', true],
    ['172.31.255.255', true],
    ['172.32.0.0', false],
    ['192.168.0.1', true],
    ['100.64.0.1', true],
    ['0.0.0.0', true],
    ['8.8.8.8', false],
    ['203.0.113.1', false],
    ['::1', true],
    ['fd00::1', true],
    ['fe80::1', true],
    ['::ffff:10.0.0.1', true],
    ['::ffff:8.8.8.8', false],
    ['2001:db8::1', false],
    ['registry.example', false],
  ];
  test.each(cases)('%s: %s', (address, is) => expect(isPrivateAddress(address)).toBe(is));
});
