import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { expect } from '@jest/globals';

import { Engine } from '../../lib/index.js';
import { baseImage } from '../support/host.js';
import { testEngine, type TestEngine } from '../support/engine.js';
import { needs } from '../support/needs.js';

const { test } = needs('root');

const index = fileURLToPath(new URL('../../lib/index.js', import.meta.url));

/** A process of its own that opens the engine's store, starts containers and tells their pids. */
function owner(engine: TestEngine, image: string, lifetime: string, count: number) {
  const script = `
    import { Engine } from ${JSON.stringify(index)};
    const engine = await Engine.open({ root: ${JSON.stringify(engine.root)}, runRoot: ${JSON.stringify(engine.place.runRoot)} });
    const containers = await Promise.all(Array.from({ length: ${count} }, () =>
      engine.launch(${JSON.stringify(image)}, { command: ['sleep', '1000'], networks: ['none'], lifetime: '${lifetime}' })));
    const infos = await Promise.all(containers.map(c => c.inspect()));
    console.log(JSON.stringify(infos.map(({ id, pid }) => ({ id, pid }))));
    setInterval(() => {}, 1000);`;
  return spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
}

async function until(holds: () => boolean, ms: number): Promise<void> {
  const deadline = Date.now() + ms;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`it did not come true within ${ms} ms`);
    await new Promise(resolve => setImmediate(resolve));
  }
}

const gone = (pid: number): boolean => !existsSync(`/proc/${pid}`);

test('twenty containers end with their owner when that is killed, and the next open takes their records', async () => {
  await using engine = await testEngine();
  const image = await baseImage(engine);
  const child = owner(engine, image.id, 'process', 20);
  const [output] = (await once(child.stdout, 'data')) as [Buffer];
  const containers = JSON.parse(output.toString()) as { id: string; pid: number }[];
  expect(containers).toHaveLength(20);
  for (const { pid } of containers) expect(gone(pid)).toBe(false);
  child.kill('SIGKILL');
  await once(child, 'exit');
  await until(() => containers.every(({ pid }) => gone(pid)), 1000);
  await until(
    () => readdirSync('/sys/fs/cgroup/memory/tscontainer').every(name => !containers.some(({ id }) => id === name)),
    1000,
  );
  expect(await engine.containers.list()).toHaveLength(20);
  await using second = await Engine.open({ root: engine.root, runRoot: engine.place.runRoot });
  expect(await second.containers.list()).toEqual([]);
  // The groups by which it held the shared ones tell whose they are, and go too.
  const holders = readdirSync('/sys/fs/cgroup/memory/tscontainer').filter(name => name.startsWith('engine-'));
  expect(holders.filter(name => name.startsWith(`engine-${child.pid}-`))).toEqual([]);
});

test('a detached container outlives its owner, and another process can use and stop it', async () => {
  await using engine = await testEngine();
  const image = await baseImage(engine);
  const child = owner(engine, image.id, 'detached', 1);
  const [output] = (await once(child.stdout, 'data')) as [Buffer];
  const [first] = JSON.parse(output.toString()) as { id: string; pid: number }[];
  child.kill('SIGKILL');
  await once(child, 'exit');
  const container = await engine.containers.get(first?.id ?? '');
  expect((await container.exec(['echo', 'alive'])).stdout).toBe('alive\n');
  expect(await container.stop({ graceMs: 50 })).toMatchObject({ signal: expect.stringMatching(/SIG(KILL|TERM)/) });
  expect((await container.inspect()).state).toBe('exited');
  await container.remove();
});

test('a container dies with its monitor', async () => {
  await using engine = await testEngine();
  await using container = await engine.launch(await baseImage(engine), {
    command: ['sleep', '1000'],
    networks: ['none'],
  });
  const { pid = 0 } = await container.inspect();
  const monitor = Number(
    /^PPid:\t(\d+)$/m.exec((await import('node:fs')).readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1],
  );
  process.kill(monitor, 'SIGKILL');
  expect(await container.wait()).toMatchObject({ signal: 'SIGKILL' });
  await until(() => gone(pid), 1000);
});
