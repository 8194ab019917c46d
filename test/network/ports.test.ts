import { expect, test } from '@jest/globals';

import { checkPorts, parsePorts, proxyOp } from '../../lib/network/ports.js';

const tcp = { hostIp: '', protocol: 'tcp' } as const;

test.each([
  ['80', [{ ...tcp, container: 80, host: [0, 0] }]],
  ['8080:80', [{ ...tcp, container: 80, host: [8080, 8080] }]],
  ['80/udp', [{ ...tcp, protocol: 'udp', container: 80, host: [0, 0] }]],
  ['80/TCP', [{ ...tcp, container: 80, host: [0, 0] }]],
  ['127.0.0.1:8080:80', [{ ...tcp, hostIp: '127.0.0.1', container: 80, host: [8080, 8080] }]],
  ['127.0.0.1::53/udp', [{ hostIp: '127.0.0.1', protocol: 'udp', container: 53, host: [0, 0] }]],
  [':80', [{ ...tcp, container: 80, host: [0, 0] }]],
  ['[::1]:8080:80', [{ ...tcp, hostIp: '::1', container: 80, host: [8080, 8080] }]],
  ['8000-8010:80', [{ ...tcp, container: 80, host: [8000, 8010] }]],
  [
    '8000-8001:80-81',
    [
      { ...tcp, container: 80, host: [8000, 8000] },
      { ...tcp, container: 81, host: [8001, 8001] },
    ],
  ],
  [
    '80-81',
    [
      { ...tcp, container: 80, host: [0, 0] },
      { ...tcp, container: 81, host: [0, 0] },
    ],
  ],
])('%s is read as Docker reads it', (text, expected) => {
  expect(parsePorts(text)).toEqual(expected);
});

test.each([
  ['', 'is no port specification'],
  ['0', '"0" is no container port'],
  ['65536', '"65536" is no container port'],
  ['http', '"http" is no container port'],
  ['80:', 'is no port specification'],
  ['x:80', '"x" is no host port'],
  ['90-80', '"90-80" is no container port'],
  ['8000-8002:80-81', 'the two ranges differ in length'],
  ['10.0.0.100:53:udp', '"udp" is no container port'],
  ['localhost:80:80', '"localhost" is no IP address'],
  ['::1:80:80', 'is no port specification'],
  ['[127.0.0.1]:80:80', 'in brackets'],
  ['80/sctp', 'SCTP ports cannot be published'],
  ['80/icmp', '"icmp" is no protocol'],
])('%j is refused: %s', (text, reason) => {
  expect(() => parsePorts(text, 'run')).toThrow(reason);
});

test('a number is a port of the container, on any free port of all addresses', () => {
  expect(checkPorts('c', [80, { container: 81, host: 8081, hostIp: '127.0.0.1' }])).toEqual([
    { ...tcp, container: 80, host: [0, 0] },
    { ...tcp, hostIp: '127.0.0.1', container: 81, host: [8081, 8081] },
  ]);
});

test.each([
  [0],
  [1.5],
  [{ container: 80, host: -1 }],
  [{ container: 80, hostIp: 'here' }],
  [{ container: 80, protocol: 'sctp' as 'tcp' }],
])('%j is misuse', port => {
  expect(() => checkPorts('containers.create', [port])).toThrow(TypeError);
  expect(() => checkPorts('containers.create', [port])).toThrow('containers.create: ports[0]');
});

test('the monitor is told all addresses, and ranges', () => {
  expect(proxyOp({ ...tcp, container: 80, host: [0, 0] }, { ip: '172.17.0.2' })).toEqual([
    ...['proxy', 'tcp', '0.0.0.0,::', 0, '172.17.0.2', 80, '', ''],
  ]);
  const target = { ip: '172.17.0.2', ip6: 'fd00::2', table: 'tscontainer-x', hostBinding: '127.0.0.1' };
  expect(proxyOp({ ...tcp, hostIp: '::1', container: 80, host: [8000, 8010] }, target)).toEqual([
    ...['proxy', 'tcp', '::1', '8000-8010', '172.17.0.2', 80, 'tscontainer-x', 'fd00::2'],
  ]);
  expect(proxyOp({ ...tcp, container: 80, host: [0, 0] }, target)[2]).toBe('127.0.0.1');
});
