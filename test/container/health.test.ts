import { readFileSync, readdirSync } from 'node:fs';

import { expect } from '@jest/globals';

import { ready, type Container } from '../../lib/index.js';
import { testEngine } from '../support/engine.js';
import { baseImage } from '../support/host.js';
import { needs } from '../support/needs.js';
import { until } from '../support/until.js';

const { describe, test } = needs('root');
const idle = { command: ['sleep', '600'], networks: ['none'] };
const fast = { intervalMs: 50, retries: 2 };

async function healthOf(container: Container): Promise<string> {
  return (await container.inspect()).health;
}

describe('a health check', () => {
  test('tells starting, healthy and unhealthy, and keeps the last five results', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    const told: string[] = [];
    engine.on('container:health', ({ health }) => void told.push(health));
    await using container = await engine.launch(image, {
      ...idle,
      healthcheck: { ...fast, command: 'echo checked; test -e /well' },
    });
    expect(await healthOf(container)).toBe('starting');
    await container.exec(['touch', '/well']);
    await container.waitFor(ready.healthy(), { signal: AbortSignal.timeout(20_000) });
    await container.exec(['rm', '/well']);
    await until('unhealthy', async () => (await healthOf(container)) === 'unhealthy');
    await until('five results', async () => (await container.inspect()).healthLog.length === 5);
    const { healthLog, failingStreak } = await container.inspect();
    expect(failingStreak).toBeGreaterThanOrEqual(2);
    expect(healthLog.at(-1)).toMatchObject({ exitCode: 1, output: 'checked\n' });
    for (const { start, end } of healthLog) expect(end.getTime()).toBeGreaterThanOrEqual(start.getTime());
    expect(told.slice(-2)).toEqual(['healthy', 'unhealthy']);
    await expect(container.waitFor(ready.healthy())).rejects.toMatchObject({ state: 'unhealthy' });
    await container.stop({ graceMs: 0 });
    // As Docker: what does not run is not well.
    expect(await healthOf(container)).toBe('unhealthy');
  });

  test('runs as the container does: user, environment, directory, capabilities, namespaces', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using container = await engine.launch(image, {
      ...idle,
      user: '1234:2345',
      env: { WHERE: 'inside' },
      cwd: '/tmp',
      healthcheck: {
        ...fast,
        command: 'id -u; id -g; echo $WHERE; pwd; grep CapEff /proc/self/status; readlink /proc/self/ns/pid',
      },
    });
    await container.waitFor(ready.healthy(), { signal: AbortSignal.timeout(20_000) });
    const { healthLog, pid } = await container.inspect();
    const namespace = (await import('node:fs')).readlinkSync(`/proc/${pid}/ns/pid`);
    expect(healthLog[0]?.output.split('\n')).toEqual([
      '1234',
      '2345',
      'inside',
      '/tmp',
      'CapEff:\t0000000000000000',
      namespace,
      '',
    ]);
  });

  test('that hangs is killed with all that it has started', async () => {
    await using engine = await testEngine();
    const image = await engine.images.fromHost({ binaries: ['sh', 'sleep', 'setsid', 'cat', 'tr'] });
    await using container = await engine.launch(image, {
      ...idle,
      // One that leaves its session and its parent.
      healthcheck: {
        intervalMs: 20,
        retries: 1,
        timeoutMs: 300,
        command: 'echo begun; (setsid sleep 777 &) ; sleep 778',
      },
    });
    await until('three results', async () => (await container.inspect()).healthLog.length === 3);
    const { healthLog } = await container.inspect();
    expect(healthLog[0]).toMatchObject({ exitCode: -1, output: 'Health check exceeded timeout (300ms): begun\n' });
    // That of the check which is under way, at most; those of the others may still be on their way out.
    await until('one is left at most', async () => {
      const { stdout } = await container.exec(['sh', '-c', 'cat /proc/[0-9]*/cmdline | tr "\\0" " "']);
      return stdout.split('sleep 777 ').length <= 2;
    });
  });

  test('that cannot be executed says why; long output is cut', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using missing = await engine.launch(image, { ...idle, healthcheck: { ...fast, command: ['nosuch'] } });
    await using long = await engine.launch(image, {
      ...idle,
      healthcheck: { ...fast, command: 'head -c 10000 /dev/zero | tr "\\0" x' },
    });
    await until('unhealthy', async () => (await healthOf(missing)) === 'unhealthy');
    expect((await missing.inspect()).healthLog[0]).toMatchObject({
      exitCode: -1,
      output: expect.stringContaining('executable file not found in $PATH'),
    });
    await long.waitFor(ready.healthy(), { signal: AbortSignal.timeout(20_000) });
    expect((await long.inspect()).healthLog[0]?.output).toBe(`${'x'.repeat(4096)}...`);
  });

  test('failures in the start period do not count', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using container = await engine.launch(image, {
      ...idle,
      healthcheck: { command: 'exit 1', intervalMs: 50, retries: 1, startPeriodMs: 60_000, startIntervalMs: 20 },
    });
    await until('five results', async () => (await container.inspect()).healthLog.length === 5);
    expect(await container.inspect()).toMatchObject({ health: 'starting', failingStreak: 0 });
  });

  test.each([
    ['kill', 'no', { state: 'exited', exit: { signal: 'SIGKILL' } }],
    ['stop', 'always', { state: 'exited', restartCount: 0 }],
    ['restart', 'no', { restartCount: 1 }],
  ] as const)('on failure %s, with policy %s', async (onFailure, restart, expected) => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using container = await engine.launch(image, {
      ...idle,
      restart,
      stopGraceMs: 100,
      healthcheck: { intervalMs: 200, retries: 1, command: 'exit 1', onFailure },
    });
    await until('it has come to that', async () => {
      const { state, restartCount } = await container.inspect();
      return state === 'exited' || restartCount === 1;
    });
    expect(await container.inspect()).toMatchObject(expected);
  });

  test('stands still with the container, and takes its groups along', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using container = await engine.launch(image, { ...idle, healthcheck: { ...fast, command: 'true' } });
    await container.waitFor(ready.healthy(), { signal: AbortSignal.timeout(20_000) });
    await container.pause();
    const [last] = (await container.inspect()).healthLog.slice(-1);
    await new Promise(resolve => setTimeout(resolve, 300));
    const after = (await container.inspect()).healthLog.at(-1);
    // One may have been under way.
    expect(Number(after?.start) - Number(last?.start)).toBeLessThan(300);
    await container.unpause();
    await until(
      'the next',
      async () => Number((await container.inspect()).healthLog.at(-1)?.start) > Number(after?.start),
    );
    expect(await healthOf(container)).toBe('healthy');
  });

  test('comes from the image, field by field, and can be left out', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await expect(engine.containers.create({ image, ...idle, healthcheck: { intervalMs: 5 } })).rejects.toThrow(
      TypeError,
    );
    await expect(
      engine.containers.create({ image, ...idle, healthcheck: { command: 'true', intervalMs: 0.5 } }),
    ).rejects.toThrow('1 ms');
    await using container = await engine.launch(image, { ...idle, healthcheck: false });
    expect(await healthOf(container)).toBe('none');
    await expect(container.waitFor(ready.healthy())).rejects.toMatchObject({ state: 'without a health check' });
  });

  test('a monitor with a check stays small, and leaves no descriptor open', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using container = await engine.launch(image, { ...idle, healthcheck: { ...fast, command: 'true' } });
    await container.waitFor(ready.healthy(), { signal: AbortSignal.timeout(20_000) });
    const { pid } = await container.inspect();
    const monitor = /^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '';
    const count = (): number => readdirSync(`/proc/${monitor}/fd`).length;
    const before = count();
    const seen = (await container.inspect()).healthLog.at(-1)?.start.getTime() ?? 0;
    await until('ten more', async () => Number((await container.inspect()).healthLog.at(-1)?.start) > seen + 600);
    await until('between two checks', () => count() <= before);
    expect(Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${monitor}/status`, 'utf8'))?.[1])).toBeLessThan(
      1024,
    );
  });
});
