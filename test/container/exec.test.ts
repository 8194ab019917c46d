import { text } from 'node:stream/consumers';

import { expect } from '@jest/globals';

import { baseImage } from '../support/host.js';
import { testEngine } from '../support/engine.js';
import { needs } from '../support/needs.js';

const { test } = needs('root');

async function sleeper() {
  const engine = await testEngine();
  const container = await engine.launch(await baseImage(engine), { command: ['sleep', '1000'], networks: ['none'] });
  return {
    container,
    async [Symbol.asyncDispose]() {
      await container[Symbol.asyncDispose]();
      await engine[Symbol.asyncDispose]();
    },
  };
}

test('exec keeps the streams apart and returns the exit code', async () => {
  await using host = await sleeper();
  const result = await host.container.exec(['sh', '-c', 'echo out; echo err >&2; exit 3'], { reject: false });
  expect(result).toMatchObject({ stdout: 'out\n', stderr: 'err\n', exitCode: 3 });
});

test('exec takes environment, user and working directory', async () => {
  await using host = await sleeper();
  const { stdout } = await host.container.exec(['sh', '-c', 'echo $GREETING; pwd; cat /proc/self/status | grep Uid'], {
    env: { GREETING: 'hello' },
    cwd: '/tmp',
    user: '1000',
  });
  expect(stdout).toBe('hello\n/tmp\nUid:\t1000\t1000\t1000\t1000\n');
});

test('exec has the capabilities and the cgroups of the container', async () => {
  await using host = await sleeper();
  const { stdout } = await host.container.exec([
    'sh',
    '-c',
    'grep -E "CapEff|Seccomp:" /proc/self/status; cat /proc/self/cgroup',
  ]);
  expect(stdout).toContain('CapEff:\t00000000a80425fb');
  expect(stdout).toContain('Seccomp:\t2');
  expect(stdout).toContain(`tscontainer/${host.container.id}`);
});

test('an exec that cannot start says so and exits as Docker', async () => {
  await using host = await sleeper();
  await expect(host.container.exec(['nope'])).rejects.toMatchObject({ code: 'CTR_START', exitCode: 127 });
  await expect(host.container.exec(['true'], { cwd: '/nowhere' })).rejects.toMatchObject({
    code: 'CTR_START',
    exitCode: 127,
  });
  await expect(host.container.exec(['true'], { user: 'nobody-here' })).rejects.toMatchObject({
    code: 'CTR_NOT_FOUND',
    kind: 'user',
  });
});

test('an aborted exec is dead when it rejects', async () => {
  await using host = await sleeper();
  const reason = new Error('no longer');
  await expect(host.container.exec(['sleep', '77'], { signal: AbortSignal.timeout(50) })).rejects.toMatchObject({
    name: 'TimeoutError',
  });
  const abort = new AbortController();
  abort.abort(reason);
  await expect(host.container.exec(['sleep', '77'], { signal: abort.signal })).rejects.toBe(reason);
  const { stdout } = await host.container.exec(['sh', '-c', 'cat /proc/[0-9]*/cmdline | tr "\\0" " "']);
  expect(stdout).not.toContain('sleep 77');
});

test('spawn hands over living streams', async () => {
  await using host = await sleeper();
  await using process = await host.container.spawn(['cat']);
  process.stdin.write('one\n');
  process.stdin.end('two\n');
  expect(await text(process.stdout)).toBe('one\ntwo\n');
  expect(await process.wait()).toMatchObject({ exitCode: 0 });
});

test('a spawned process that nobody reads is held back, and nothing is lost', async () => {
  await using host = await sleeper();
  await using process = await host.container.spawn(['sh', '-c', 'head -c 20000000 /dev/zero; echo done >&2']);
  const complaint = text(process.stderr);
  let bytes = 0;
  for await (const chunk of process.stdout as AsyncIterable<Buffer>) bytes += chunk.length;
  expect({ bytes, complaint: await complaint }).toEqual({ bytes: 20_000_000, complaint: 'done\n' });
});

test('a terminal is the container’s own, has a size and hears of its changes', async () => {
  await using host = await sleeper();
  await using process = await host.container.spawn(
    ['sh', '-c', 'test -t 0 && test -t 1 && echo tty; read line; echo "got $line"'],
    { tty: true },
  );
  process.stdin.write('hello\n');
  const output = await text(process.stdout);
  expect(output).toContain('tty\r\n');
  expect(output).toContain('got hello\r\n');
});

test('nothing of the host’s descriptors comes along (CVE-2024-21626)', async () => {
  await using host = await sleeper();
  const { stdout } = await host.container.exec(['ls', '/proc/self/fd']);
  expect(
    stdout
      .trim()
      .split('\n')
      .map(Number)
      .filter(fd => fd > 3),
  ).toEqual([]);
  await expect(host.container.exec(['true'], { cwd: '/proc/self/fd/7' })).rejects.toMatchObject({ code: 'CTR_START' });
});

test('attach follows the main process from now on', async () => {
  await using engine = await testEngine();
  await using container = await engine.launch(await baseImage(engine), {
    command: ['cat'],
    stdin: true,
    networks: ['none'],
  });
  await using process = await container.attach();
  process.stdin.end('over\n');
  expect(await text(process.stdout)).toBe('over\n');
  expect(await container.wait()).toMatchObject({ exitCode: 0 });
});
