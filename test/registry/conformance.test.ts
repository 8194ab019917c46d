import { describe, test } from '@jest/globals';

import { describeRegistry, login } from '../conformance/registry.js';
import { needs } from '../support/needs.js';
import { RealRegistry } from '../support/real-registry.js';
import { TestRegistry } from '../support/registry.js';

const ours = { describe, test };
describeRegistry(ours, 'the registry of the tests, with basic log-in', () =>
  TestRegistry.start({ auth: { type: 'basic', ...login } }),
);
describeRegistry(ours, 'the registry of the tests, with tokens', () =>
  TestRegistry.start({ auth: { type: 'bearer', ...login } }),
);
describeRegistry(needs('docker-registry'), 'the real docker-registry', () => RealRegistry.start(login));
