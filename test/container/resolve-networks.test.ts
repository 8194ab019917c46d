import { expect, test } from '@jest/globals';

import { resolveNetworks } from '../../lib/container/resolve-networks.js';
import type { CreateContainerOptions } from '../../lib/container/options.js';

function resolve(options: Omit<CreateContainerOptions, 'image'>): unknown {
  return resolveNetworks('create', { image: 'i', ...options });
}

test.each<[Omit<CreateContainerOptions, 'image'>, unknown]>([
  [{}, { networkMode: 'networks', networks: [{ network: 'bridge' }] }],
  [{ networks: ['default'] }, { networkMode: 'networks', networks: [{ network: 'bridge' }] }],
  [{ networks: [] }, { networkMode: 'none', networks: [] }],
  [{ networks: ['host'] }, { networkMode: 'host', networks: [] }],
  [{ networks: ['container:web'] }, { networkMode: 'container', networkTarget: 'web', networks: [] }],
  [{ networks: ['ns:/run/netns/x'] }, { networkMode: 'ns', networkTarget: '/run/netns/x', networks: [] }],
  [{ links: ['db:d'] }, { networkMode: 'networks', networks: [{ network: 'bridge' }], links: ['db:d'] }],
])('%j is %j', (options, expected) => {
  expect(resolve(options)).toEqual(expected);
});

test.each<[Omit<CreateContainerOptions, 'image'>, string]>([
  [{ networks: ['none', 'a'] }, "'none' cannot be combined"],
  [{ networks: ['a', 'a'] }, 'a is named twice'],
  [{ networks: ['none'], ports: [80] }, "ports and networks: ['none'] exclude each other"],
  [{ networks: ['container:x'], dns: ['1.1.1.1'] }, 'dns and'],
  [{ networks: ['container:x'], hostname: 'h' }, 'hostname and'],
  [{ networks: [{ network: 'host', ip: '10.0.0.1' }] }, 'ip and'],
  [{ networks: [{ network: 'a', ip: 'x' }] }, 'networks: a: ip: expected an IPv4 address, got "x"'],
  [{ networks: [{ network: 'a', ip6: '10.0.0.1' }] }, 'ip6: expected an IPv6 address'],
  [{ networks: [{ network: 'a', mac: '01:00:00:00:00:01' }] }, 'mac: expected the address of one device'],
  [{ networks: [{ network: 'a', aliases: ['../x'] }] }, 'aliases: expected'],
  [{ networks: [{ network: 'a', gatewayPriority: 0.5 }] }, 'gatewayPriority'],
  [{ links: ['a:b:c'] }, 'links: expected'],
])('%j is misuse: %s', (options, message) => {
  expect(() => resolve(options)).toThrow(TypeError);
  expect(() => resolve(options)).toThrow(message);
});
