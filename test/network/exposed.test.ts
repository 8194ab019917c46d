import { expect, test } from '@jest/globals';

import { resolvePorts } from '../../lib/network/exposed.js';

test('the image, the user and what is published expose ports; only the last are published', () => {
  const { ports, exposed } = resolvePorts('c', { ports: ['8080:80'], expose: [90, '53/udp'] }, ['443/tcp', '80/tcp']);
  expect(exposed).toEqual(['53/udp', '80/tcp', '90/tcp', '443/tcp']);
  expect(ports).toEqual([{ container: 80, host: [8080, 8080], hostIp: '', protocol: 'tcp' }]);
});

test('with publishAll, what is exposed and not published yet gets a free port, each once', () => {
  const { ports } = resolvePorts('c', { ports: ['127.0.0.1:8080:80'], expose: ['80-81'], publishAll: true }, ['81']);
  expect(ports).toEqual([
    { container: 80, host: [8080, 8080], hostIp: '127.0.0.1', protocol: 'tcp' },
    { container: 81, host: [0, 0], hostIp: '', protocol: 'tcp' },
  ]);
});

test.each([['x'], ['80/sctp'], ['90-80']])('expose %s is refused', text => {
  expect(() => resolvePorts('c', { expose: [text] }, [])).toThrow(`c: expose: ${text}`);
});
