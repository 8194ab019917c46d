import { statSync } from 'node:fs';
import { join } from 'node:path';

import { expect } from '@jest/globals';

import { craftedImage } from '../support/crafted.js';
import { baseImage } from '../support/host.js';
import { testEngine } from '../support/engine.js';
import { needs } from '../support/needs.js';

const { test } = needs('root');
const none = { networks: ['none'] } as const;
const MiB = 1 << 20;

test('a container that uses up its memory, processes, tmpfs and log hurts only itself', async () => {
  await using engine = await testEngine();
  const image = await baseImage(engine);
  await using neighbour = await engine.launch(image, { ...none, command: ['sleep', '1000'] });
  const greedy = [
    'dd if=/dev/zero of=/tmp/full bs=1M count=64 2>/dev/null',
    'dd if=/dev/zero of=/dev/shm/full bs=1M count=64 2>/dev/null',
    'yes 0123456789012345678901234567890123456789 | head -c 20000000',
    // Killed, and with it nobody else.
    'tail -n 1 /dev/zero',
    'echo still here',
    // Ends here, when it cannot fork any more.
    'while :; do sleep 100 & done',
  ];
  await using container = await engine.containers.create({
    ...none,
    image,
    command: ['sh', '-c', greedy.join('; ')],
    mounts: [{ type: 'tmpfs', target: '/tmp', sizeBytes: MiB }],
    shmSizeBytes: MiB,
    resources: { memoryBytes: 32 * MiB, memorySwapBytes: 32 * MiB, maxProcesses: 16 },
    log: { driver: 'json-file', maxBytes: MiB, maxFiles: 2 },
  });
  await container.start();
  const status = await container.wait();
  expect([status.oomKilled, status.exitCode !== 0]).toEqual([true, true]);
  const log = join(engine.root, 'containers', container.id, `${container.id}-json.log`);
  const kept = ['', '.1'].map(suffix => statSync(log + suffix, { throwIfNoEntry: false })?.size ?? 0);
  expect(Math.max(...kept)).toBeLessThan(1.2 * MiB);
  // The neighbour, and whoever is started next, notice nothing.
  expect(await neighbour.exec(['echo', 'well'])).toMatchObject({ stdout: 'well\n', exitCode: 0 });
  expect(await engine.run(image, ['echo', 'new'], none)).toMatchObject({ stdout: 'new\n' });
}, 60_000);

test('names that mean something to JavaScript are names', async () => {
  await using engine = await testEngine();
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];
  const bag = Object.fromEntries(names.map(name => [name, 'mine']));
  const image = await craftedImage(engine, [], {
    Env: names.map(name => `${name}=image`),
    Labels: JSON.parse('{"__proto__": {"polluted": "yes"}, "constructor": "image"}') as object,
    Volumes: JSON.parse('{"/__proto__": {}}') as object,
  }).catch(() => craftedImage(engine, [], { Env: names.map(name => `${name}=image`) }));
  const { stdout } = await engine.run(image, ['sh', '-c', 'cat /proc/self/environ'], {
    ...none,
    env: bag,
    labels: bag,
    annotations: bag,
    sysctls: {},
  });
  for (const name of names) expect(stdout.split('\0')).toContain(`${name}=mine`);
  await using container = await engine.containers.create({ ...none, image, labels: bag, command: ['sh'] });
  const { labels } = await container.inspect();
  expect(Object.keys(labels)).toEqual(expect.arrayContaining(names));
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  expect(Object.prototype).not.toHaveProperty('mine');
});
