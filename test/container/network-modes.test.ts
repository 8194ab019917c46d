import { afterAll, beforeAll, expect } from '@jest/globals';

import type { Image } from '../../lib/image/image.js';
import { testEngine, type TestEngine } from '../support/engine.js';
import { needs } from '../support/needs.js';
import { baseImage } from '../support/host.js';

const { test } = needs('root', 'ip');

let engine: TestEngine;
let image: Image;

beforeAll(async () => {
  engine = await testEngine();
  image = await baseImage(engine);
});

afterAll(async () => engine[Symbol.asyncDispose]());

test('a container has the network, the hosts and the resolver of another', async () => {
  await using lender = await engine.launch(image, { command: ['sleep', '60'], networks: ['none'], hostname: 'lender' });
  const networks = [`container:${lender.name}`];
  const { stdout } = await engine.run(image, ['sh', '-c', 'readlink /proc/self/ns/net; cat /etc/hosts /etc/hostname'], {
    networks,
  });
  const own = await lender.exec(['sh', '-c', 'readlink /proc/self/ns/net; cat /etc/hosts /etc/hostname']);
  expect(stdout).toBe(own.stdout);
  await using guest = await engine.launch(image, { command: ['sleep', '60'], networks });
  expect((await guest.exec(['readlink', '/proc/self/ns/net'])).stdout).toBe(own.stdout.split('\n')[0] + '\n');
});

test('a container that does not run lends no network', async () => {
  await using lender = await engine.containers.create({ image, command: ['true'], networks: ['none'] });
  await expect(engine.run(image, ['true'], { networks: [`container:${lender.id}`] })).rejects.toMatchObject({
    code: 'CTR_INVALID_STATE',
  });
  await expect(engine.run(image, ['true'], { networks: ['container:nobody'] })).rejects.toMatchObject({
    code: 'CTR_NOT_FOUND',
  });
});

test('a container joins a network namespace by its path', async () => {
  await using lender = await engine.launch(image, { command: ['sleep', '60'], networks: ['none'] });
  const { pid } = await lender.inspect();
  const { stdout } = await engine.run(image, ['readlink', '/proc/self/ns/net'], {
    networks: [`ns:/proc/${pid}/ns/net`],
  });
  expect(stdout).toBe((await lender.exec(['readlink', '/proc/self/ns/net'])).stdout);
  await expect(engine.run(image, ['true'], { networks: ['ns:/no/such/file'] })).rejects.toMatchObject({
    code: 'CTR_NOT_FOUND',
  });
});
