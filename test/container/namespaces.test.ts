import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

import { expect } from '@jest/globals';

import { baseImage } from '../support/host.js';
import { Place, testEngine } from '../support/engine.js';
import { needs } from '../support/needs.js';

const { test } = needs('root');
const none = { networks: ['none'] } as const;

test('processes of another container are seen, and its memory shared, while it runs', async () => {
  await using engine = await testEngine();
  const image = await baseImage(engine);
  await using host = await engine.launch(image, {
    ...none,
    name: 'lender',
    ipcMode: 'shareable',
    command: ['sh', '-c', 'echo shared > /dev/shm/word; sleep 1000'],
  });
  const peer = { pidMode: 'container:lender', ipcMode: `container:${host.id.slice(0, 8)}` } as const;
  while ((await host.exec(['cat', '/dev/shm/word'], { reject: false })).stdout === '') await delay(10);
  await using guest = await engine.launch(image, { ...none, ...peer, command: ['sleep', '1001'] });
  const namespaces = ['/proc/self/ns/pid', '/proc/self/ns/ipc'];
  const ids = await host.exec(['readlink', ...namespaces]);
  expect((await guest.exec(['readlink', ...namespaces])).stdout).toBe(ids.stdout);
  const { stdout } = await guest.exec([
    'sh',
    '-c',
    'cat /dev/shm/word; cat /proc/1/cmdline; echo back > /dev/shm/word',
  ]);
  expect(stdout).toContain('shared\n');
  expect(stdout).toContain('sleep');
  expect((await host.exec(['cat', '/dev/shm/word'])).stdout).toBe('back\n');
  // Whose first process ends takes all with it.
  await host.kill();
  expect(await guest.wait()).toMatchObject({ signal: 'SIGKILL' });
});

test('who does not share is not joined, nor who does not run', async () => {
  await using engine = await testEngine();
  const image = await baseImage(engine);
  await using host = await engine.launch(image, { ...none, name: 'keeper', command: ['sleep', '1000'] });
  const join = (options: object): Promise<unknown> => engine.run(image, ['true'], { ...none, ...options });
  const refusal = { code: 'CTR_INVALID_STATE' };
  await expect(join({ ipcMode: 'container:keeper' })).rejects.toMatchObject(refusal);
  await host.kill();
  await host.wait();
  await expect(join({ pidMode: 'container:keeper' })).rejects.toMatchObject(refusal);
  expect((await engine.containers.list()).map(({ name }) => name)).toEqual(['keeper']);
});

test('in the host’s pid namespace, what a container leaves behind ends with it', async () => {
  await using engine = await testEngine();
  const image = await baseImage(engine);
  const command = ['sh', '-c', 'sleep 1000 > /dev/null 2>&1 & echo $!'];
  const { stdout } = await engine.run(image, command, { ...none, pidMode: 'host' });
  expect(existsSync(`/proc/${stdout.trim()}`)).toBe(false);
});

test('also when its monitor was killed: the next engine sees to it', async () => {
  await using place = new Place();
  const engine = await place.open();
  const image = await baseImage(engine);
  const container = await engine.containers.create({
    ...none,
    image,
    pidMode: 'host',
    lifetime: 'detached',
    command: ['sh', '-c', 'sleep 1000 > /dev/null 2>&1 & echo $!; wait'],
  });
  await container.start();
  let child = '';
  for await (const { text } of container.logs({ follow: true })) {
    child = text;
    break;
  }
  const { pid } = await container.inspect();
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  process.kill(Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]), 'SIGKILL');
  while (existsSync(`/proc/${pid}`)) await delay(10);
  expect(existsSync(`/proc/${child}`)).toBe(true);
  const next = await place.open();
  while (existsSync(`/proc/${child}`)) await delay(10);
  await (await next.containers.get(container.id)).remove({ force: true });
});

test('the host’s name, its memory and its processes', async () => {
  await using engine = await testEngine();
  const image = await baseImage(engine);
  const { stdout } = await engine.run(
    image,
    ['readlink', ...['pid', 'ipc', 'uts'].map(kind => `/proc/self/ns/${kind}`)],
    {
      ...none,
      pidMode: 'host',
      ipcMode: 'host',
      utsMode: 'host',
    },
  );
  expect(stdout.trim().split('\n')).toEqual(['pid', 'ipc', 'uts'].map(kind => readlinkSync(`/proc/self/ns/${kind}`)));
});
