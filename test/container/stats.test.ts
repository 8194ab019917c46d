import { expect } from '@jest/globals';

import { parseDevices } from '../../lib/container/stats.js';
import { testEngine } from '../support/engine.js';
import { baseImage } from '../support/host.js';
import { needs } from '../support/needs.js';

const { describe, test } = needs('root');
const none = { networks: ['none'] };

describe('container.stats', () => {
  test('counts processor time, of one processor', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    const command = ['sh', '-c', 'while true; do :; done'];
    await using half = await engine.launch(image, { ...none, command, resources: { cpus: 0.3 } });
    await using idle = await engine.launch(image, { ...none, command: ['sleep', '60'] });
    const busy = await half.stats({ intervalMs: 1_000 });
    expect(busy.cpu.percent).toBeGreaterThan(5);
    expect(busy.cpu.percent).toBeLessThan(60);
    expect(busy.cpu.usedMicros).toBeGreaterThan(50_000);
    expect(busy.cpu.throttling.throttledPeriods).toBeGreaterThan(0);
    expect(busy.cpu.throttling.throttledMicros).toBeGreaterThan(0);
    expect((await idle.stats({ intervalMs: 300 })).cpu.percent).toBeLessThan(5);
  });

  test('leaves the cache out of the memory that is used, and knows the limit', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    const bytes = 24 << 20;
    // Read once and not again: inactive, so the kernel can have it back.
    const command = ['sh', '-c', `dd if=/dev/zero of=/file bs=1M count=24 2>/dev/null; sync; echo ready; sleep 60`];
    await using container = await engine.launch(image, { ...none, command, resources: { memoryBytes: 64 << 20 } });
    for await (const { text } of container.logs({ follow: true })) if (text === 'ready') break;
    const { memory } = await container.stats();
    expect(memory).toMatchObject({ limitBytes: 64 << 20, availableBytes: 64 << 20 });
    expect(memory.cacheBytes).toBeGreaterThan(bytes / 2);
    expect(memory.usedBytes).toBeGreaterThan(0);
    expect(memory.usedBytes).toBeLessThan(bytes);
    expect(memory.percent).toBeCloseTo((memory.usedBytes / (64 << 20)) * 100);
  });

  test('counts bytes of interfaces but not of the loopback, disks and processes', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    const command = [
      'sh',
      '-c',
      'dd if=/dev/zero of=/file bs=1M count=4 oflag=direct 2>/dev/null; echo ready; sleep 60',
    ];
    await using container = await engine.launch(image, { command, resources: { maxProcesses: 50 } });
    for await (const { text } of container.logs({ follow: true })) if (text === 'ready') break;
    const stats = await container.stats();
    expect(Object.keys(stats.networks)).toEqual(['eth0']);
    expect(stats).toMatchObject({ processes: 2, maxProcesses: 50 });
    expect(stats.block.writtenBytes).toBeGreaterThanOrEqual(4 << 20);
    expect(stats.block.writes).toBeGreaterThan(0);
  });

  test('of one that does not run are zeros, as Docker has it', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using container = await engine.containers.create({
      ...none,
      image,
      command: ['true'],
      name: 'never-started',
    });
    expect(await container.stats()).toMatchObject({
      name: 'never-started',
      cpu: { percent: 0, usedMicros: 0 },
      memory: { usedBytes: 0, percent: 0 },
      networks: {},
      processes: 0,
    });
    expect(await container.watchStats().next()).toEqual({ done: true, value: undefined });
    await expect(container.stats({ intervalMs: -1 })).rejects.toThrow(TypeError);
    await container.remove();
    await expect(container.stats()).rejects.toMatchObject({ code: 'CTR_NOT_FOUND' });
  });

  test('over and over, until it ends', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using container = await engine.launch(image, { ...none, command: ['sleep', '60'] });
    const times: number[] = [];
    for await (const { time, id } of container.watchStats({ intervalMs: 5 })) {
      expect(id).toBe(container.id);
      times.push(time.getTime());
      if (times.length === 3) await container.kill();
    }
    expect(times.length).toBeGreaterThanOrEqual(3);
  });

  test('an abort ends the watching with its reason', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using container = await engine.launch(image, { ...none, command: ['sleep', '60'] });
    const abort = new AbortController();
    const reason = new Error('enough');
    const watching = (async (): Promise<void> => {
      for await (const { id } of container.watchStats({ intervalMs: 60_000, signal: abort.signal }))
        if (id === container.id) abort.abort(reason);
    })();
    await expect(watching).rejects.toBe(reason);
  });

  test('of all that run, and of no others', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    const command = ['sleep', '60'];
    await using one = await engine.launch(image, { ...none, command, name: 'one' });
    await using two = await engine.launch(image, { ...none, command, name: 'two' });
    await using three = await engine.containers.create({ ...none, image, command, name: 'three' });
    expect((await engine.containers.stats()).map(({ name }) => name).sort()).toEqual(['one', 'two']);
    await two.rename('second');
    await three.start();
    await one.kill();
    expect((await engine.containers.stats()).map(({ name }) => name).sort()).toEqual(['second', 'three']);
    for await (const all of engine.containers.watchStats({ intervalMs: 5 })) {
      expect(all).toHaveLength(2);
      break;
    }
  });

  test('an interface may have any name', () => {
    const line = (name: string): string => `${name}: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0`;
    const found = parseDevices(['Inter-|', ' face |', line('    lo'), line('__proto__'), line('a:b'), ''].join('\n'));
    expect(Object.keys(found)).toEqual(['__proto__', 'a:b']);
    expect(Object.getPrototypeOf(found)).toBe(Object.prototype);
    expect(found['a:b']).toEqual({
      receivedBytes: 1,
      receivedPackets: 2,
      receiveErrors: 3,
      receiveDropped: 4,
      sentBytes: 5,
      sentPackets: 6,
      sendErrors: 7,
      sendDropped: 8,
    });
  });
});
