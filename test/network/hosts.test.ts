import { expect, test } from '@jest/globals';

import { buildHostname, buildHosts } from '../../lib/network/hosts.js';

const common = `127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
`;

test('hosts has what every machine has, then extra hosts, then the container itself', () => {
  const text = buildHosts({
    hostname: 'web.example.org',
    addresses: ['172.17.0.2', '10.0.0.2'],
    extraHosts: { db: '10.0.0.9', six: '[fd00::1]', 'host.docker.internal': 'host-gateway' },
    hostGateway: '172.17.0.1',
  });
  expect(text).toBe(
    `${common}10.0.0.9\tdb\nfd00::1\tsix\n172.17.0.1\thost.docker.internal\n172.17.0.2\tweb.example.org web\n10.0.0.2\tweb.example.org web\n`,
  );
  expect(buildHosts({ hostname: 'c1', addresses: [] })).toBe(common);
  expect(buildHostname('c1')).toBe('c1\n');
});

test.each([[{ 'a b': '10.0.0.1' }], [{ '': '10.0.0.1' }], [{ db: 'here' }], [{ db: 'host-gateway' }]])(
  '%j is misuse',
  extraHosts => {
    expect(() => buildHosts({ hostname: 'c1', addresses: [], extraHosts })).toThrow(TypeError);
  },
);
