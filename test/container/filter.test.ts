import { afterAll, beforeAll, expect } from '@jest/globals';

import type { ContainerFilter } from '../../lib/index.js';
import { testEngine, type TestEngine } from '../support/engine.js';
import { baseImage } from '../support/host.js';
import { needs } from '../support/needs.js';

const { describe, test } = needs('root');
const idle = { networks: ['none'], command: ['sleep', '600'] };

describe('containers.list', () => {
  let engine: TestEngine;

  beforeAll(async () => {
    engine = await testEngine();
    const image = await baseImage(engine);
    await image.tag('base:1');
    await engine.containers.launch({ ...idle, image: 'base:1', name: 'alpha', labels: { tier: 'web', a: '' } });
    await engine.containers.launch({ command: idle.command, image, name: 'beta', ports: [80], expose: [90, '95/udp'] });
    const gamma = await engine.containers.launch({ ...idle, image, name: 'gamma', command: ['sh', '-c', 'exit 7'] });
    await gamma.wait();
    await engine.containers.create({
      ...idle,
      image,
      name: 'delta',
      labels: { tier: 'db' },
      mounts: [
        { type: 'bind', source: '/tmp', target: '/mnt' },
        { type: 'volume', source: 'kept', target: '/data' },
      ],
    });
  });

  afterAll(async () => {
    for (const container of await engine.containers.list()) await container.remove({ force: true });
    await (await engine.volumes.get('kept')).remove();
    await engine[Symbol.asyncDispose]();
  });

  const cases: readonly [filter: ContainerFilter, names: readonly string[]][] = [
    [{}, ['delta', 'gamma', 'beta', 'alpha']],
    [{ name: 'alpha' }, ['alpha']],
    [{ name: 'alph' }, []],
    [{ name: /^[ab]/g }, ['beta', 'alpha']],
    [{ state: 'paused' }, []],
    [{ state: 'running' }, ['beta', 'alpha']],
    [{ state: ['created', 'exited'] }, ['delta', 'gamma']],
    [{ exitCode: 7 }, ['gamma']],
    [{ exitCode: [0, 1] }, []],
    [{ labels: { tier: true } }, ['delta', 'alpha']],
    [{ labels: { tier: 'web', a: '' } }, ['alpha']],
    [{ labels: { ['constructor' as string]: true } }, []],
    [{ notLabels: { tier: 'web' } }, ['delta', 'gamma', 'beta']],
    [{ before: 'gamma' }, ['beta', 'alpha']],
    [{ since: 'beta' }, ['delta', 'gamma']],
    [{ until: new Date(0) }, []],
    [{ until: new Date(Date.now() + 60_000) }, ['delta', 'gamma', 'beta', 'alpha']],
    [{ volume: 'kept' }, ['delta']],
    [{ volume: ['/mnt', '/tmp'] }, ['delta']],
    [{ network: 'bridge' }, ['beta']],
    [{ network: 'none' }, ['delta', 'gamma', 'alpha']],
    [{ network: 'no-such-network' }, []],
    [{ ancestor: 'base:1' }, ['delta', 'gamma', 'beta', 'alpha']],
    [{ ancestor: 'nothing:1' }, []],
    [{ publish: '1-65535' }, ['beta']],
    [{ publish: '1-65535/udp' }, []],
    [{ expose: 80 }, ['beta']],
    [{ expose: ['91', '85-92/tcp'] }, ['beta']],
    [{ expose: '95/udp' }, ['beta']],
    [{ expose: '95' }, []],
    [{ health: 'none' }, ['delta', 'gamma', 'beta', 'alpha']],
    [{ health: ['healthy', 'starting'] }, []],
    [{ state: 'running', network: 'none' }, ['alpha']],
  ];
  for (const [filter, names] of cases) {
    test(
      JSON.stringify(filter, (_, value: unknown): unknown => (value instanceof RegExp ? String(value) : value)),
      async () => {
        expect((await engine.containers.list(filter)).map(({ name }) => name)).toEqual(names);
      },
    );
  }

  test('by id: a beginning of it, or a pattern', async () => {
    const { id } = await engine.containers.get('beta');
    for (const filter of [{ id }, { id: id.slice(0, 8) }, { id: new RegExp(id.slice(10, 30)) }])
      expect((await engine.containers.list(filter)).map(({ name }) => name)).toEqual(['beta']);
    expect(await engine.containers.list({ id: id.slice(1) })).toEqual([]);
  });

  test('a container that is not there, and what is no port, are mistakes', async () => {
    await expect(engine.containers.list({ since: 'omega' })).rejects.toMatchObject({ code: 'CTR_NOT_FOUND' });
    for (const publish of ['0', '70000', '9-8', '80/icmp', 'http'])
      await expect(engine.containers.list({ publish })).rejects.toThrow(TypeError);
  });

  test('what an image is made from is its ancestor', async () => {
    const other = await engine.images.fromHost({ binaries: ['/bin/true'], tag: 'other:1' });
    await using container = await engine.containers.create({ ...idle, image: other, command: ['true'] });
    expect((await engine.containers.list({ ancestor: 'other:1' })).map(({ id }) => id)).toEqual([container.id]);
    expect((await engine.containers.list({ ancestor: ['other:1', 'base:1'] })).length).toBe(5);
  });

  test('what was renamed or removed by another engine is seen', async () => {
    const other = await engine.place.open();
    await (await other.containers.get('delta')).rename('epsilon');
    expect((await engine.containers.list({ state: 'created' })).map(({ name }) => name)).toEqual(['epsilon']);
    await (await engine.containers.get('epsilon')).rename('delta');
    expect((await other.containers.list({ state: 'created' })).map(({ name }) => name)).toEqual(['delta']);
  });
});

test('prune removes those that do not run and match, and says what they had written', async () => {
  await using engine = await testEngine();
  const image = await baseImage(engine);
  const write = ['sh', '-c', 'head -c 12345 /dev/zero > /file'];
  for (const tier of ['web', 'db']) {
    const container = await engine.containers.launch({ ...idle, image, command: write, labels: { tier } });
    await container.wait();
  }
  await using running = await engine.launch(image, idle);
  expect(await engine.containers.prune({ until: new Date(0) })).toEqual({ removed: [], reclaimedBytes: 0 });
  const pruned = await engine.containers.prune({ notLabels: { tier: 'web' } });
  expect(pruned.removed).toHaveLength(1);
  expect(pruned.reclaimedBytes).toBe(12345);
  expect((await engine.containers.prune()).removed).toHaveLength(1);
  expect((await engine.containers.list()).map(({ id }) => id)).toEqual([running.id]);
});
