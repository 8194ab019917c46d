import { describe, test } from '@jest/globals';

import { describeRegistry, login } from '../conformance/registry-client.js';
import { describeDistribution } from '../conformance/registry.js';
import { needs } from '../support/needs.js';
import { RealRegistry } from '../support/real-registry.js';
import { serveRegistry } from '../support/registry-server.js';
import { TestRegistry } from '../support/registry.js';

const ours = { describe, test };
const passes = (username: string, password: string): boolean =>
  username === login.username && password === login.password;

describeRegistry(ours, 'the registry of the tests, with basic log-in', () =>
  TestRegistry.start({ auth: { type: 'basic', ...login } }),
);
describeRegistry(ours, 'the registry of the tests, with tokens', () =>
  TestRegistry.start({ auth: { type: 'bearer', ...login } }),
);
describeRegistry(ours, 'our server', () => serveRegistry({ authenticate: passes }));
describeRegistry(needs('docker-registry'), 'the real docker-registry', () => RealRegistry.start(login));

describeDistribution(ours, 'our server', () => serveRegistry());
// Debian 12 has 2.8.2, which is older than version 1.1 of the specification, and goes its own way where that leaves one open.
describeDistribution(needs('docker-registry'), 'the real docker-registry', () => RealRegistry.start(), [
  'anonymousMount',
  'badRanges',
  'chunkOrder',
  'foreignLayers',
  'sha512',
  'subject',
  'tagDelete',
  'tagOrder',
  'tagParam',
]);
