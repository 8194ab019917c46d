import { describe, expect, test } from '@jest/globals';

import { registryUrl } from '../../lib/registry/address.js';

describe('a registry is reached', () => {
  test.each([
    ['ghcr.io', undefined, 'https://ghcr.io/'],
    ['docker.io', undefined, 'https://registry-1.docker.io/'],
    ['index.docker.io', undefined, 'https://registry-1.docker.io/'],
    ['registry.example:5000', undefined, 'https://registry.example:5000/'],
    ['10.0.0.1:5000', undefined, 'https://10.0.0.1:5000/'],
    ['127.0.0.1:5000', undefined, 'http://127.0.0.1:5000/'],
    ['127.255.0.1:5000', undefined, 'http://127.255.0.1:5000/'],
    ['127.0.0.1', undefined, 'http://127.0.0.1/'],
    ['localhost:5000', undefined, 'http://localhost:5000/'],
    ['[::1]:5000', undefined, 'http://[::1]:5000/'],
    ['127.0.0.1.example:5000', undefined, 'https://127.0.0.1.example:5000/'],
    ['localhost.example', undefined, 'https://localhost.example/'],
    ['[::2]:5000', undefined, 'https://[::2]:5000/'],
    ['registry.example:5000', true, 'http://registry.example:5000/'],
    ['localhost:5000', false, 'https://localhost:5000/'],
  ])('%s, insecure: %s, at %s', (host, insecure, url) => {
    expect(registryUrl(host, insecure).href).toBe(url);
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
  ])('not at %j', host => expect(() => registryUrl(host)).toThrow(TypeError));
});
