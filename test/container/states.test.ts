import { readFileSync } from 'node:fs';

import { expect } from '@jest/globals';

import { Containers } from '../../lib/container/containers.js';
import { answerTo, states, type Operation } from '../../lib/container/operations.js';
import { ready, type Container, type ContainerState } from '../../lib/index.js';
import { testEngine, type TestEngine } from '../support/engine.js';
import { baseImage } from '../support/host.js';
import { needs } from '../support/needs.js';
import { until } from '../support/until.js';

const { describe, test } = needs('root');

/** How each operation is asked for, so that it does no more than is needed to see its answer. */
const operations: Readonly<Record<Operation, (container: Container) => Promise<unknown>>> = {
  start: async container => container.start(),
  stop: async container => container.stop({ graceMs: 0 }),
  restart: async container => container.restart({ graceMs: 0 }),
  kill: async container => container.kill('SIGURG'),
  pause: async container => container.pause(),
  unpause: async container => container.unpause(),
  wait: async container => container.wait({ signal: AbortSignal.timeout(1) }).catch(passTimeout),
  remove: async container => container.remove(),
  removeForced: async container => container.remove({ force: true }),
  exec: async container => container.exec(['true']),
  attach: async container => (await container.attach())[Symbol.asyncDispose](),
  logs: async container => container.logs().next(),
  rename: async container => container.rename(`renamed-${container.id.slice(0, 8)}`),
  update: async container => container.update({ resources: { cpuShares: 512 } }),
  top: async container => container.top(),
  stats: async container => container.stats(),
  copy: async container => container.copyOut('/etc/hostname', '/dev/null').catch(passOthers),
  changes: async container => container.changes().catch(passOthers),
  export: async container => container.fs.readFile('/etc/hostname').catch(passOthers),
  commit: async container => container.inspect(),
  inspect: async container => container.inspect(),
};

/** These are other files' to test; here they only must not be refused for the state. */
const elsewhere: readonly Operation[] = ['copy', 'changes', 'export', 'commit'];

function passTimeout(error: unknown): void {
  if ((error as Error).name !== 'TimeoutError') throw error;
}

function passOthers(error: unknown): void {
  if ((error as { code?: string }).code === 'CTR_INVALID_STATE') throw error;
}

/** A container in that state; what undoes what keeps it there. */
async function inState(
  engine: TestEngine,
  image: string,
  state: ContainerState,
): Promise<{ container: Container; release: () => void }> {
  const command = state === 'exited' ? ['true'] : state === 'restarting' ? ['sh', '-c', 'exit 1'] : ['sleep', '600'];
  const container = await engine.containers.create({
    image,
    command,
    networks: ['none'],
    ...(state === 'restarting' ? { restart: 'always' as const } : {}),
  });
  let release = (): void => {};
  if (state === 'created') return { container, release };
  await container.start();
  if (state === 'exited') await container.wait();
  if (state === 'paused') await container.pause();
  if (state === 'restarting')
    await until(
      'a long wait',
      async () => (await container.inspect()).restartCount >= 5 && (await stateOf(container)) === state,
    );
  if (state === 'removing' || state === 'dead') {
    const { pid } = await container.inspect();
    const monitor = Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
    // A monitor that stands still cannot tell of the end, so the removal takes its time.
    process.kill(monitor, 'SIGSTOP');
    const removal = container.remove({ force: true }).catch(() => {});
    await until('its removal', async () => (await stateOf(container)) === 'removing');
    release = () => {
      process.kill(monitor, 'SIGCONT');
      void removal;
    };
  }
  return { container, release };
}

async function stateOf(container: Container): Promise<ContainerState> {
  return (await container.inspect()).state;
}

describe.each(states.filter(state => state !== 'dead'))('a container that is %s', state => {
  test('answers every operation as the table says', async () => {
    await using engine = await testEngine();
    const { id: image } = await baseImage(engine);
    for (const operation of (Object.keys(operations) as Operation[]).filter(name => !elsewhere.includes(name))) {
      const { container, release } = await inState(engine, image, state);
      expect({ operation, state: await stateOf(container) }).toEqual({ operation, state });
      const answer = operations[operation](container);
      if (answerTo(operation, state) === 'refuse') {
        await expect(answer).rejects.toMatchObject({ code: 'CTR_INVALID_STATE', state });
      } else {
        await answer;
      }
      release();
      await until('it is gone', async () => {
        const found = await engine.containers.list();
        await Promise.all(found.map(async each => each.remove({ force: true }).catch(() => {})));
        return found.length === 0;
      });
    }
  }, 120_000);
});

describe('pause', () => {
  test('stops processes where they are, and unpause lets them go on', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using container = await engine.launch(image, {
      command: ['sh', '-c', 'while :; do echo x; sleep 0.01; done'],
      networks: ['none'],
    });
    const count = async (): Promise<number> => {
      let lines = 0;
      for await (const _ of container.logs()) lines += _.text === 'x' ? 1 : 0;
      return lines;
    };
    await until('it writes', async () => (await count()) > 2);
    await container.pause();
    const before = await count();
    await new Promise(resolve => setTimeout(resolve, 100));
    expect(await count()).toBeLessThanOrEqual(before + 1);
    await container.unpause();
    await until('it writes again', async () => (await count()) > before + 2);
  });

  test('stop, kill and forced removal thaw', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    const command = ['sh', '-c', 'trap "exit 5" TERM; echo trapped; while :; do sleep 0.02; done'];
    const make = async () => {
      const container = await engine.launch(image, { command, networks: ['none'] });
      await container.waitFor(ready.log('trapped'));
      await container.pause();
      return container;
    };
    const [stopped, killed, removed] = [await make(), await make(), await make()];
    expect(await stopped.stop()).toMatchObject({ exitCode: 5 });
    await killed.kill();
    expect(await killed.wait()).toMatchObject({ signal: 'SIGKILL' });
    await removed.remove({ force: true });
    for (const each of [stopped, killed]) await each.remove();
  });
});

describe('wait', () => {
  test('next-exit of one that has not started yet is its end; removed is told what it ended with', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    const container = await engine.containers.create({ image, command: ['sh', '-c', 'exit 9'], networks: ['none'] });
    await expect(container.wait()).rejects.toMatchObject({ code: 'CTR_INVALID_STATE', state: 'created' });
    const next = container.wait({ condition: 'next-exit' });
    const removed = container.wait({ condition: 'removed' });
    await container.start();
    expect(await next).toMatchObject({ exitCode: 9 });
    await container.remove({ force: true });
    expect(await removed).toMatchObject({ exitCode: 9 });
  });

  test('an abort ends it, and leaves the container alone', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using container = await engine.launch(image, { command: ['sleep', '600'], networks: ['none'] });
    for (const condition of ['not-running', 'next-exit', 'removed'] as const)
      await expect(container.wait({ condition, signal: AbortSignal.timeout(20) })).rejects.toMatchObject({
        name: 'TimeoutError',
      });
    expect(await stateOf(container)).toBe('running');
  });
});

test('every operation has an answer in every state', () => {
  for (const operation of Object.keys(operations) as Operation[])
    for (const state of states) expect(['do', 'nothing', 'refuse']).toContain(answerTo(operation, state));
  expect(Containers).toBeDefined();
});
