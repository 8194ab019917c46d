import { readFileSync } from 'node:fs';

import { expect } from '@jest/globals';

import { describeCgroups, type Controller } from '../../lib/host/cgroups.js';
import type { Container } from '../../lib/index.js';
import { testEngine } from '../support/engine.js';
import { baseImage } from '../support/host.js';
import { needs } from '../support/needs.js';

const { describe, test } = needs('root');
const idle = { networks: ['none'], command: ['sleep', '600'] };
const MB = 1 << 20;
const host = describeCgroups();

/** What the kernel says of the running container. */
function limit(container: Container, controller: Controller, v1: string, v2: string): string {
  const base = host.controllers.get(controller)?.base ?? '';
  const file = host.mode === 'v2' ? v2 : v1;
  return readFileSync(`${base}/tscontainer/${container.id}/${file}`, 'utf8').trim();
}

const memoryOf = (container: Container): number =>
  Number(limit(container, 'memory', 'memory.limit_in_bytes', 'memory.max'));

describe('container.update', () => {
  test('changes the limits of a running container, up and down, and they bite', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using container = await engine.launch(image, {
      ...idle,
      resources: { memoryBytes: 64 * MB, memorySwapBytes: 64 * MB },
    });
    for (const megabytes of [128, 32]) {
      const bytes = megabytes * MB;
      await container.update({ resources: { memoryBytes: bytes, memorySwapBytes: bytes } });
      expect(memoryOf(container)).toBe(bytes);
      expect((await container.stats()).memory.limitBytes).toBe(bytes);
    }
    const hungry = await container.exec(['tail', '-n', '1', '/dev/zero'], { reject: false });
    expect(hungry).toMatchObject({ signal: 'SIGKILL' });
    await container.update({ resources: { maxProcesses: 3, cpus: 0.5, cpuShares: 512 } });
    expect((await container.stats()).maxProcesses).toBe(3);
    const forks = await container.exec(['sh', '-c', 'sleep 9 & sleep 9 & sleep 9 & wait'], { reject: false });
    expect(forks.stderr).toMatch(/fork/i);
  });

  test('is remembered: by inspect, and for the next start', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using container = await engine.containers.create({ ...idle, image });
    const heard: string[] = [];
    engine.on('container:update', ({ id }) => heard.push(id));
    await container.update({ resources: { memoryBytes: 40 * MB, memorySwapBytes: -1 }, restart: { onFailure: 2 } });
    await container.start();
    expect(memoryOf(container)).toBe(40 * MB);
    const { config } = engine.containers.record(container.id, 'test');
    expect(config).toMatchObject({
      resources: { memoryBytes: 40 * MB, memorySwapBytes: -1 },
      restart: { name: 'on-failure', maxRetries: 2 },
    });
    await container.update({ restart: 'no' });
    expect(engine.containers.record(container.id, 'test').config).not.toHaveProperty('restart');
    expect(heard).toEqual([container.id, container.id]);
  });

  test('a container without a cpuset gets one while it runs', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    const command = ['sh', '-c', 'sleep 600 & wait'];
    await using container = await engine.launch(image, { ...idle, command });
    await container.update({ resources: { cpusetCpus: '0' } });
    expect(limit(container, 'cpuset', 'cpuset.cpus', 'cpuset.cpus')).toBe('0');
    for (const [, pid] of (await container.top()).processes)
      expect(readFileSync(`/proc/${pid}/status`, 'utf8')).toMatch(/^Cpus_allowed_list:\t0$/m);
  });

  test('what the kernel refuses changes nothing', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    const command = ['sh', '-c', 'x=$(tail -c 30000000 /dev/zero | tr "\\0" x); echo ready; sleep 600'];
    await using container = await engine.launch(image, {
      ...idle,
      command,
      resources: { memoryBytes: 256 * MB, memorySwapBytes: 256 * MB, maxProcesses: 100 },
    });
    for await (const { text } of container.logs({ follow: true })) if (text === 'ready') break;
    // More than that is in use, and there is nowhere to put it.
    const update = container.update({ resources: { maxProcesses: 50, memoryBytes: 8 * MB, memorySwapBytes: 8 * MB } });
    if (host.mode === 'v2') return; // There the kernel kills instead of refusing.
    await expect(update).rejects.toMatchObject({ code: 'CTR_SYSCALL', errno: 'EBUSY' });
    expect(memoryOf(container)).toBe(256 * MB);
    expect(await container.stats()).toMatchObject({ maxProcesses: 100 });
    expect(engine.containers.record(container.id, 'test').config.resources).toEqual({
      memoryBytes: 256 * MB,
      memorySwapBytes: 256 * MB,
      maxProcesses: 100,
    });
  });

  test('refuses what Docker refuses', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    const conflict = { code: 'CTR_CONFLICT' };
    await using unlimited = await engine.containers.create({ ...idle, image });
    await expect(unlimited.update({ resources: { memoryBytes: 200 * MB } })).rejects.toMatchObject(conflict);
    await unlimited.update({ resources: { cpuQuotaMicros: 50_000 } });
    await expect(unlimited.update({ resources: { cpus: 1 } })).rejects.toMatchObject(conflict);
    await using limited = await engine.containers.create({
      ...idle,
      image,
      autoRemove: true,
      resources: { memoryBytes: 100 * MB, cpus: 1 },
    });
    await expect(limited.update({ resources: { memoryBytes: 201 * MB } })).rejects.toMatchObject(conflict);
    await limited.update({ resources: { memoryBytes: 200 * MB } });
    await expect(limited.update({ resources: { cpuQuotaMicros: 5_000 } })).rejects.toMatchObject(conflict);
    await expect(limited.update({ resources: { cpuPeriodMicros: 5_000 } })).rejects.toMatchObject(conflict);
    await expect(limited.update({ restart: 'always' })).rejects.toMatchObject(conflict);
    await expect(limited.update({ resources: { memoryBytes: 1024 } })).rejects.toMatchObject({ code: 'CTR_LIMIT' });
    await expect(limited.update({ resources: { cpusetCpus: '999' } })).rejects.toMatchObject({ code: 'CTR_LIMIT' });
    const other = { oomKillDisable: true } as object;
    await expect(limited.update({ resources: other })).rejects.toThrow(TypeError);
    expect(engine.containers.record(limited.id, 'test').config.resources).toEqual({
      memoryBytes: 200 * MB,
      memorySwapBytes: 200 * MB,
      cpus: 1,
    });
  });
});
