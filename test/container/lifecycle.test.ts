import { expect } from '@jest/globals';

import { baseImage } from '../support/host.js';
import { testEngine } from '../support/engine.js';
import { needs } from '../support/needs.js';

const { describe, test } = needs('root');

describe('engine.run', () => {
  test('collects the output of both streams and the exit code', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    const result = await engine.run(image, ['sh', '-c', 'echo out; echo err >&2; exit 3'], {
      networks: ['none'],
      reject: false,
    });
    expect(result).toMatchObject({
      stdout: 'out\n',
      stderr: 'err\n',
      exitCode: 3,
      signal: undefined,
      oomKilled: false,
      truncated: false,
    });
  });

  test('throws what it would have returned when the command fails', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await expect(engine.run(image, ['sh', '-c', 'echo why >&2; exit 4'], { networks: ['none'] })).rejects.toMatchObject(
      {
        code: 'CTR_EXIT',
        exitCode: 4,
        stderr: 'why\n',
        message: expect.stringContaining('exited with 4'),
      },
    );
  });

  test('leaves no container', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await engine.run(image, ['true'], { networks: ['none'] });
    expect(await engine.containers.list()).toEqual([]);
  });

  test('feeds its input and closes it', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    const input = 'line\n'.repeat(100_000);
    const { stdout } = await engine.run(image, ['cat'], { networks: ['none'], input });
    expect(stdout).toBe(input);
  });

  test('kills and removes the container when aborted, and rejects with the reason', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    const abort = new AbortController();
    const running = engine.run(image, ['sleep', '100'], { networks: ['none'], signal: abort.signal });
    const reason = new Error('enough');
    engine.once('container:start', () => abort.abort(reason));
    await expect(running).rejects.toBe(reason);
    expect(await engine.containers.list()).toEqual([]);
  });

  const cannot: readonly [command: string, exitCode: number, words: string][] = [
    ['no-such-program', 127, 'executable file not found in $PATH'],
    ['/no/such/program', 127, 'no such file or directory'],
    ['/etc/passwd', 126, 'permission denied'],
    ['/', 126, 'permission denied'],
  ];
  for (const [command, exitCode, words] of cannot) {
    test(`exits as Docker when ${command} cannot be executed`, async () => {
      await using engine = await testEngine();
      const image = await baseImage(engine);
      await expect(engine.run(image, [command], { networks: ['none'] })).rejects.toMatchObject({
        code: 'CTR_START',
        exitCode,
        message: expect.stringContaining(words),
      });
      expect(await engine.containers.list()).toEqual([]);
    });
  }

  test('drops what is over the limit and says so', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    const result = await engine.run(image, ['sh', '-c', 'echo 1234567890'], { networks: ['none'], maxOutputBytes: 4 });
    expect(result).toMatchObject({ stdout: '1234', truncated: true });
  });
});

describe('a container', () => {
  test('goes from created over running to exited', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using container = await engine.containers.create({
      image,
      command: ['sh', '-c', 'exit 7'],
      networks: ['none'],
    });
    expect((await container.inspect()).state).toBe('created');
    await container.start();
    expect(await container.wait()).toMatchObject({ exitCode: 7, signal: undefined });
    const info = await container.inspect();
    expect(info).toMatchObject({ state: 'exited', exit: { exitCode: 7 } });
    expect(info.finishedAt?.getTime()).toBeGreaterThanOrEqual(info.startedAt?.getTime() ?? Infinity);
  });

  test('can be started again, and keeps what it wrote', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using container = await engine.containers.create({
      image,
      command: ['sh', '-c', 'echo x >> /count; cat /count'],
      networks: ['none'],
    });
    for (let round = 0; round < 3; round++) {
      await container.start();
      await container.wait();
    }
    const lines = [];
    for await (const { text } of container.logs()) lines.push(text);
    expect(lines).toEqual(['x', 'x', 'x', 'x', 'x', 'x']);
  });

  test('stops by its stop signal, and by SIGKILL when that does not help', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using gentle = await engine.launch(image, {
      command: ['sh', '-c', 'trap "exit 5" TERM; echo ready; while :; do sleep 0.05; done'],
      networks: ['none'],
    });
    await using deaf = await engine.launch(image, {
      command: ['sh', '-c', 'trap "" TERM; echo ready; while :; do sleep 0.05; done'],
      networks: ['none'],
    });
    for (const container of [gentle, deaf])
      for await (const { text } of container.logs({ follow: true })) if (text === 'ready') break;
    expect(await gentle.stop()).toMatchObject({ exitCode: 5 });
    const begun = performance.now();
    expect(await deaf.stop({ graceMs: 100 })).toMatchObject({ exitCode: undefined, signal: 'SIGKILL' });
    expect(performance.now() - begun).toBeGreaterThanOrEqual(100);
  });

  test('is told apart by state in every call', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using container = await engine.containers.create({ image, command: ['sleep', '100'], networks: ['none'] });
    for (const call of ['stop', 'kill', 'wait', 'attach'] as const) {
      await expect(container[call]()).rejects.toMatchObject({ code: 'CTR_INVALID_STATE', state: 'created' });
    }
    await expect(container.exec(['true'])).rejects.toMatchObject({ code: 'CTR_INVALID_STATE', state: 'created' });
    await container.start();
    await expect(container.start()).resolves.toBeUndefined();
    await expect(container.remove()).rejects.toMatchObject({ code: 'CTR_INVALID_STATE', state: 'running' });
    await container.kill();
    expect(await container.wait()).toMatchObject({ signal: 'SIGKILL' });
    await container.remove();
    await expect(container.inspect()).rejects.toMatchObject({ code: 'CTR_NOT_FOUND' });
  });

  test('has its name to itself', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using first = await engine.containers.create({
      image,
      name: 'only-one',
      command: ['true'],
      networks: ['none'],
    });
    await expect(engine.containers.create({ image, name: 'only-one', command: ['true'] })).rejects.toMatchObject({
      code: 'CTR_CONFLICT',
      ref: 'only-one',
      usedBy: [first.id],
    });
    await first.remove();
    await using second = await engine.containers.create({
      image,
      name: 'only-one',
      command: ['true'],
      networks: ['none'],
    });
    expect(second.id).not.toBe(first.id);
  });

  test('is found by name, id and the beginning of its id, and listed by label and state', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    await using one = await engine.containers.create({
      image,
      name: 'one',
      labels: { fleet: 'web' },
      command: ['sleep', '9'],
      networks: ['none'],
    });
    await using two = await engine.launch(image, { name: 'two', command: ['sleep', '9'], networks: ['none'] });
    for (const ref of ['one', one.id, one.id.slice(0, 12)]) expect((await engine.containers.get(ref)).id).toBe(one.id);
    await expect(engine.containers.get('three')).rejects.toMatchObject({ code: 'CTR_NOT_FOUND', kind: 'container' });
    const ids = async (filter: Parameters<typeof engine.containers.list>[0]) =>
      (await engine.containers.list(filter)).map(({ id }) => id);
    expect(await ids({ labels: { fleet: 'web' } })).toEqual([one.id]);
    expect(await ids({ labels: { fleet: true } })).toEqual([one.id]);
    expect(await ids({ state: 'running' })).toEqual([two.id]);
    expect(await ids({ name: /^t/ })).toEqual([two.id]);
  });

  test('tells of itself by events, in this process and in the journal', async () => {
    await using engine = await testEngine();
    const image = await baseImage(engine);
    const heard: string[] = [];
    for (const name of ['container:create', 'container:start', 'container:exit', 'container:remove'] as const)
      engine.on(name, () => heard.push(name));
    const since = new Date(Date.now() - 1000);
    await engine.run(image, ['true'], { networks: ['none'], labels: { mine: 'yes' } });
    expect(heard).toEqual(['container:create', 'container:start', 'container:exit', 'container:remove']);
    const journal: string[] = [];
    for await (const { type } of engine.events({ since, labels: { mine: 'yes' } })) if (journal.push(type) === 4) break;
    expect(journal).toEqual(heard);
  });
});
