import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from '@jest/globals';

import { buildResolv, hostResolv } from '../../lib/network/resolv.js';

const host = `# made by hand
domain old.example.org
search example.org corp.example.org
nameserver 127.0.0.1
nameserver 192.0.2.53
nameserver ::1
options ndots:2 edns0
`;

test("the host's servers are kept, but for those on loopback", () => {
  expect(buildResolv(host)).toBe('nameserver 192.0.2.53\nsearch example.org corp.example.org\noptions ndots:2 edns0\n');
});

test('where none is left there are public ones', () => {
  expect(buildResolv('nameserver 127.0.0.53\n')).toBe('nameserver 8.8.8.8\nnameserver 8.8.4.4\n');
  expect(buildResolv('')).toBe('nameserver 8.8.8.8\nnameserver 8.8.4.4\n');
});

test('what is asked for wins, each by itself', () => {
  expect(buildResolv(host, { dns: ['9.9.9.9'] })).toBe(
    'nameserver 9.9.9.9\nsearch example.org corp.example.org\noptions ndots:2 edns0\n',
  );
  expect(buildResolv(host, { dnsSearch: ['.'], dnsOptions: ['rotate'] })).toBe(
    'nameserver 192.0.2.53\noptions rotate\n',
  );
  expect(() => buildResolv(host, { dns: ['resolver'] })).toThrow('dns: "resolver" is no IP address');
});

test('a host without the file has nothing to copy', () => {
  const directory = mkdtempSync(join(tmpdir(), 'resolv-'));
  try {
    expect(hostResolv(join(directory, 'none'))).toBe('');
    writeFileSync(join(directory, 'some'), host);
    expect(hostResolv(join(directory, 'some'))).toBe(host);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
