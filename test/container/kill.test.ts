import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { expect } from '@jest/globals';

import { baseImage } from '../support/host.js';
import { testEngine } from '../support/engine.js';
import { needs } from '../support/needs.js';

const { test } = needs('root');

const index = fileURLToPath(new URL('../../lib/index.js', import.meta.url));

test('a process killed anywhere while it creates, starts, execs and removes leaves a store that opens, and nothing else', async () => {
  await using engine = await testEngine();
  const image = await baseImage(engine);
  const script = `
    import { Engine } from ${JSON.stringify(index)};
    const engine = await Engine.open({ root: ${JSON.stringify(engine.root)}, runRoot: ${JSON.stringify(engine.place.runRoot)} });
    console.log('open');
    for (;;) {
      const container = await engine.launch(${JSON.stringify(image.id)}, { command: ['sleep', '100'], ports: [80], mounts: [{ type: 'volume', target: '/data' }] });
      await container.exec(['true']);
      await container.remove({ force: true });
    }`;
  for (let round = 0; round < 12; round++) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    // Somewhere in the cycle, which takes some tens of milliseconds: a different place each time.
    const until = performance.now() + round * 7;
    while (performance.now() < until) await new Promise(resolve => setImmediate(resolve));
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  const next = await engine.place.open();
  // Those that were to end with the killed processes are gone, and the next open has taken their records.
  await expect(next.containers.list()).resolves.toEqual([]);
  expect((await next.run(image, ['echo', 'still works'])).stdout).toBe('still works\n');
});
