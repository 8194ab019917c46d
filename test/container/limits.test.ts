import { expect } from '@jest/globals';

import type { Resources } from '../../lib/index.js';
import { baseImage } from '../support/host.js';
import { testEngine } from '../support/engine.js';
import { needs } from '../support/needs.js';

const { test } = needs('root');

test('a process over its memory limit is killed, and that is told', async () => {
  await using engine = await testEngine();
  const image = await baseImage(engine);
  // `tail` must keep the last line, and this one has no end.
  const result = await engine.run(image, ['tail', '-n', '1', '/dev/zero'], {
    networks: ['none'],
    resources: { memoryBytes: 16 << 20, memorySwapBytes: 16 << 20 },
    reject: false,
  });
  expect(result).toMatchObject({ oomKilled: true, signal: 'SIGKILL' });
});

test('no more processes than allowed can be made', async () => {
  await using engine = await testEngine();
  const image = await baseImage(engine);
  const { stderr, exitCode } = await engine.run(
    image,
    ['sh', '-c', 'for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; echo all'],
    {
      networks: ['none'],
      resources: { maxProcesses: 4 },
      reject: false,
    },
  );
  expect(exitCode).not.toBe(0);
  expect(stderr).toMatch(/fork/i);
});

test('half a processor takes twice the time', async () => {
  await using engine = await testEngine();
  const image = await baseImage(engine);
  const spin =
    'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; cat /sys/fs/cgroup/cpu/cpu.stat /sys/fs/cgroup/cpu.stat 2>/dev/null | grep -i throttled; true';
  const { stdout } = await engine.run(image, ['sh', '-c', spin], { networks: ['none'], resources: { cpus: 0.2 } });
  expect(Number(/nr_throttled (\d+)/.exec(stdout)?.[1])).toBeGreaterThan(0);
});

const refused: readonly [resources: Resources, code: string | undefined][] = [
  [{ memoryBytes: 1024 }, 'CTR_LIMIT'],
  [{ maxProcesses: 1.5 }, undefined],
  [{ cpus: 10_000 }, 'CTR_LIMIT'],
];
for (const [resources, code] of refused) {
  test(`${JSON.stringify(resources)} is refused before anything is made`, async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    const run = engine.run(image, ['true'], { networks: ['none'], resources });
    await expect(run).rejects.toMatchObject(code === undefined ? { name: 'TypeError' } : { code });
    expect(await engine.containers.list()).toEqual([]);
  });
}
