import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

import { expect, test } from '@jest/globals';

import { ConflictError, SyscallError } from '../../lib/errors.js';
import { explainPublish, portHolder, publishedPort } from '../../lib/network/publish.js';

test('a port in use is a conflict that names who has it', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  try {
    const failure = new SyscallError({
      call: 'x',
      stage: 'publish',
      syscall: 'bind',
      errno: 'EADDRINUSE',
      path: `127.0.0.1:${port}`,
    });
    const error = explainPublish('containers.start', failure);
    expect(error).toBeInstanceOf(ConflictError);
    expect(error).toMatchObject({
      kind: 'port',
      ref: `127.0.0.1:${port}`,
      usedBy: [expect.stringContaining(`process ${process.pid} (`)],
    });
  } finally {
    server.close();
  }
  expect(portHolder(port)).toBeUndefined();
});

test('other failures keep what they are, and get a remedy where there is one', () => {
  const failure = (errno: string, stage = 'publish'): SyscallError =>
    new SyscallError({ call: 'x', stage, syscall: 'bind', errno, path: '10.0.0.1:80' });
  const elsewhere = failure('EADDRINUSE', 'net-bridge');
  expect(explainPublish('c', elsewhere)).toBe(elsewhere);
  const unknown = failure('EIO');
  expect(explainPublish('c', unknown)).toBe(unknown);
  expect(explainPublish('c', failure('EACCES')).message).toMatch('choose a higher one');
  expect(explainPublish('c', failure('EADDRNOTAVAIL')).message).toMatch('No device of this host has that address');
});

test('a fact is a mapping', () => {
  const fact = { fact: 'listening', hostIp: '0.0.0.0', hostPort: 33000, targetPort: 80, protocol: 'tcp' };
  expect(publishedPort(fact)).toEqual({ container: 80, host: 33000, hostIp: '0.0.0.0', protocol: 'tcp' });
});
