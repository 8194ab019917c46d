import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { expect } from '@jest/globals';

import type { Container, EngineEvents } from '../../lib/index.js';
import { testEngine, type TestEngine } from '../support/engine.js';
import { baseImage } from '../support/host.js';
import { needs } from '../support/needs.js';
import { until } from '../support/until.js';

const { describe, test } = needs('root');
const index = fileURLToPath(new URL('../../lib/index.js', import.meta.url));
const failing = { command: ['sh', '-c', 'echo run; exit 7'], networks: ['none'] };

type Exit = EngineEvents['container:exit'][0];

function exitsOf(engine: TestEngine): Exit[] {
  const exits: Exit[] = [];
  engine.on('container:exit', exit => void exits.push(exit));
  return exits;
}

async function stateOf(container: Container): Promise<string> {
  return (await container.inspect()).state;
}

async function linesOf(container: Container): Promise<string[]> {
  const lines: string[] = [];
  for await (const { text } of container.logs()) lines.push(text);
  return lines;
}

/** A process that starts a detached container in the engine's store, and ends by SIGKILL. */
async function startedByOneThatIsKilled(engine: TestEngine, options: object): Promise<Container> {
  const script = `
    import { Engine } from ${JSON.stringify(index)};
    const engine = await Engine.open({ root: ${JSON.stringify(engine.root)}, runRoot: ${JSON.stringify(engine.place.runRoot)} });
    const { id } = await engine.containers.launch(${JSON.stringify({ lifetime: 'detached', networks: ['none'], ...options })});
    console.log(id);
    process.kill(process.pid, 'SIGKILL');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const [output] = (await once(child.stdout, 'data')) as [Buffer];
  await exited;
  return engine.containers.get(output.toString().trim());
}

async function killMonitor(container: Container): Promise<void> {
  const { readFileSync } = await import('node:fs');
  const { pid = 0 } = await container.inspect();
  const parent = /^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  process.kill(Number(parent), 'SIGKILL');
}

describe('a restart policy', () => {
  test('on-failure:3 starts it three times again, after 100, 200 and 400 ms, into the same log', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    const exits = exitsOf(engine);
    await using container = await engine.launch(image, { ...failing, restart: { onFailure: 3 } });
    await until('the last end', () => exits.length === 4);
    expect(exits.map(({ restartInMs }) => restartInMs)).toEqual([100, 200, 400, undefined]);
    const pauses = exits
      .slice(1)
      .map(({ time, status }, i) => time.getTime() - status.durationMs - (exits[i]?.time.getTime() ?? 0));
    for (const [i, wanted] of [100, 200, 400].entries()) expect(pauses[i]).toBeGreaterThanOrEqual(wanted - 5);
    expect(await container.inspect()).toMatchObject({ state: 'exited', restartCount: 3, exit: { exitCode: 7 } });
    expect(await linesOf(container)).toEqual(['run', 'run', 'run', 'run']);
  });

  test('on-failure leaves alone what ended well, always does not', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    const well = { command: ['true'], networks: ['none'] };
    await using once = await engine.launch(image, { ...well, restart: 'on-failure' });
    await using ever = await engine.launch(image, { ...well, restart: 'always' });
    await until('two restarts', async () => (await ever.inspect()).restartCount >= 2);
    expect(await once.inspect()).toMatchObject({ state: 'exited', restartCount: 0 });
    await ever.stop();
    expect(await stateOf(ever)).toBe('exited');
  });

  test('a bridge network, its address and a published port are there again', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using container = await engine.launch(image, {
      command: [
        'sh',
        '-c',
        'cat /proc/net/fib_trie | grep -c "/32 host LOCAL"; test -e /again && exec sleep 600; touch /again; exit 1',
      ],
      restart: 'on-failure',
      ports: [80],
    });
    const [network] = Object.values((await container.inspect()).networks);
    await until(
      'its second run',
      async () => (await container.inspect()).restartCount === 1 && (await stateOf(container)) === 'running',
    );
    expect(Object.values((await container.inspect()).networks)).toEqual([network]);
    await until('two lines', async () => (await linesOf(container)).length === 2);
    const [first, second] = await linesOf(container);
    expect(second).toBe(first);
    expect(container.port(80)).toBeGreaterThan(0);
  });

  test('stop while it waits for its restart ends it, and wait hears of every end', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using container = await engine.launch(image, { ...failing, restart: 'always' });
    expect(await container.wait()).toMatchObject({ exitCode: 7 });
    await until(
      'a longer wait',
      async () => (await container.inspect()).restartCount >= 3 && (await stateOf(container)) === 'restarting',
    );
    await expect(container.exec(['true'])).rejects.toMatchObject({ code: 'CTR_INVALID_STATE', state: 'restarting' });
    expect(await container.stop()).toMatchObject({ exitCode: 7 });
    const { restartCount, state } = await container.inspect();
    expect(state).toBe('exited');
    await container.start();
    expect(restartCount).toBeGreaterThanOrEqual(3);
    expect((await container.inspect()).restartCount).toBeLessThan(3);
  });

  test('a signal that is not the stop signal ends the restarts only where none was named, as with Docker', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    const command = ['sh', '-c', 'trap "exit 3" HUP; echo up; while :; do sleep 0.05; done'];
    await using unnamed = await engine.launch(image, { command, networks: ['none'], restart: 'always' });
    await using named = await engine.launch(image, {
      command,
      networks: ['none'],
      restart: 'always',
      stopSignal: 'SIGINT',
    });
    for (const container of [unnamed, named]) {
      await until('it listens', async () => (await linesOf(container)).length === 1);
      await container.kill('SIGHUP');
    }
    await until('it is started again', async () => (await named.inspect()).restartCount === 1);
    await until('it has ended', async () => (await stateOf(unnamed)) === 'exited');
    expect(await unnamed.inspect()).toMatchObject({ restartCount: 0, exit: { exitCode: 3 } });
  });

  test('is kept when Node was killed, and events tell of it', async () => {
    await using engine = await testEngine();
    await baseImage(engine);
    const [{ id: image } = { id: '' }] = await engine.images.list();
    const stop = new AbortController();
    const seen: string[] = [];
    const reading = (async () => {
      for await (const event of engine.events({ types: ['container:exit', 'container:start'], signal: stop.signal }))
        seen.push(event.type);
    })().catch(() => {});
    const container = await startedByOneThatIsKilled(engine, {
      image,
      command: ['sh', '-c', 'exit 7'],
      restart: { onFailure: 3 },
    });
    await until(
      'three restarts',
      async () => (await container.inspect()).restartCount === 3 && (await stateOf(container)) === 'exited',
    );
    await until('all events', () => seen.length === 8);
    expect(seen.filter(type => type === 'container:exit')).toHaveLength(4);
    stop.abort();
    await reading;
    await container.remove();
  });

  test('update changes it while the container runs', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using container = await engine.launch(image, {
      command: ['sh', '-c', 'sleep 0.3; exit 1'],
      networks: ['none'],
    });
    await container.update({ restart: { onFailure: 1 } });
    await until('one restart', async () => (await container.inspect()).restartCount === 1);
    await until('its end', async () => (await stateOf(container)) === 'exited');
    expect((await container.inspect()).restartCount).toBe(1);
  });

  test.each([
    [{ restart: 'sometimes' }, 'restart'],
    [{ restart: { onFailure: -1 } }, 'restart'],
    [{ restart: 'always', autoRemove: true }, 'autoRemove'],
  ])('%j is refused before anything is made', async (options, word) => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await expect(engine.containers.create({ image, ...failing, ...(options as object) })).rejects.toThrow(word);
    expect(await engine.containers.list()).toEqual([]);
  });
});

describe('a detached container that goes when it has ended', () => {
  test('goes although Node was killed before', async () => {
    await using engine = await testEngine();
    await baseImage(engine);
    const [{ id: image } = { id: '' }] = await engine.images.list();
    await startedByOneThatIsKilled(engine, { image, command: ['sleep', '0.5'], autoRemove: true });
    await until('nothing is left', async () => (await engine.containers.list()).length === 0);
  });

  test('goes at once when Node is there, but not between the two halves of a restart', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    const container = await engine.launch(image, {
      command: ['sleep', '600'],
      networks: ['none'],
      lifetime: 'detached',
      autoRemove: true,
    });
    await container.restart({ graceMs: 0 });
    expect(await stateOf(container)).toBe('running');
    const removed = container.wait({ condition: 'removed' });
    await container.kill();
    expect(await removed).toMatchObject({ signal: 'SIGKILL' });
    expect(await engine.containers.list()).toEqual([]);
  });
});

describe('engine.open({restore: true})', () => {
  test('starts what should run and does not, since monitors were killed, and nothing else', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    const idle = { image, command: ['sleep', '600'], networks: ['none'], lifetime: 'detached' as const };
    const make = async (name: string, restart: 'no' | 'always' | 'unless-stopped' | 'on-failure') =>
      engine.containers.launch({ ...idle, name, restart });
    const killed = await Promise.all([
      make('no', 'no'),
      make('always', 'always'),
      make('unless', 'unless-stopped'),
      make('failure', 'on-failure'),
    ]);
    const stopped = await Promise.all([make('always-stopped', 'always'), make('unless-stopped', 'unless-stopped')]);
    await engine.containers.create({ ...idle, name: 'created', restart: 'always' });
    for (const container of stopped) await container.stop({ graceMs: 0 });
    for (const container of killed) await killMonitor(container);
    await until('all have ended', async () => (await engine.containers.list({ state: 'running' })).length === 0);
    const second = await engine.place.open({ restore: true });
    const running = (await second.containers.list({ state: 'running' })).map(({ name }) => name).sort();
    expect(running).toEqual(['always', 'always-stopped', 'failure', 'unless']);
    const states = Object.fromEntries(
      await Promise.all((await second.containers.list()).map(async each => [each.name, await stateOf(each)])),
    );
    expect(states).toMatchObject({ no: 'exited', 'unless-stopped': 'exited', created: 'created' });
    for (const each of await second.containers.list()) await each.remove({ force: true });
  });

  test('what ran when the machine went down has ended, and is not as if never started', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    const container = await engine.launch(image, {
      command: ['sleep', '600'],
      networks: ['none'],
      lifetime: 'detached',
    });
    await killMonitor(container);
    await until('it has ended', async () => (await stateOf(container)) === 'exited');
    // What a reboot does to the run directory.
    const { rmSync } = await import('node:fs');
    rmSync(`${engine.place.runRoot}/c`, { recursive: true });
    expect(await stateOf(container)).toBe('exited');
    await container.remove();
  });
});
