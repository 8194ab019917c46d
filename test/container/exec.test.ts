import { once } from 'node:events';
import { text } from 'node:stream/consumers';

import { expect } from '@jest/globals';

import { ready } from '../../lib/index.js';
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

test('merged, both outputs come in the order in which they were written', async () => {
  await using host = await sleeper();
  const script = 'for i in 1 2 3 4 5 6 7 8 9; do echo out $i; echo err $i >&2; done';
  const { stdout, stderr } = await host.container.exec(['sh', '-c', script], { merged: true });
  const expected = Array.from({ length: 9 }, (_, index) => `out ${index + 1}\nerr ${index + 1}\n`).join('');
  expect({ stdout, stderr }).toEqual({ stdout: expected, stderr: '' });
});

test('an exec is found again by its id: what it is, its signals, its end', async () => {
  await using host = await sleeper();
  const { container } = host;
  await using process = await container.spawn(['sh', '-c', 'echo ready; sleep 1000'], { user: '7', cwd: '/tmp' });
  expect(String((await once(process.stdout, 'data'))[0])).toBe('ready\n');
  const found = await container.execOf(process.id.slice(0, 12));
  expect(await found.inspect()).toMatchObject({
    id: process.id,
    containerId: container.id,
    command: ['sh', '-c', 'echo ready; sleep 1000'],
    user: '7',
    cwd: '/tmp',
    running: true,
    pid: process.pid,
    exit: undefined,
  });
  expect((await container.execs()).map(({ id }) => id)).toEqual([process.id]);
  await found.kill('SIGKILL');
  expect(await found.wait()).toMatchObject({ signal: 'SIGKILL' });
  expect(await found.inspect()).toMatchObject({ running: false, exit: { signal: 'SIGKILL' } });
  await expect(found.kill()).rejects.toMatchObject({ code: 'CTR_INVALID_STATE' });
  await expect(container.execOf('0123456789ab')).rejects.toMatchObject({ code: 'CTR_NOT_FOUND' });
});

test('a terminal can be resized by another engine while the exec runs', async () => {
  await using engine = await testEngine();
  await using container = await engine.launch(await baseImage(engine), {
    command: ['sleep', '1000'],
    networks: ['none'],
  });
  const script = 'trap "stty size; exit 0" WINCH; echo ready; while :; do sleep 0.01; done';
  await using process = await container.spawn(['sh', '-c', script], { tty: true });
  expect(String((await once(process.stdout, 'data'))[0])).toContain('ready');
  const other = await engine.place.open();
  const found = await (await other.containers.get(container.id)).execOf(process.id);
  await found.resize({ columns: 123, rows: 45 });
  expect(await text(process.stdout)).toBe('45 123\r\n');
});

test('a detached exec runs on when nobody is connected, and ends with the container', async () => {
  await using engine = await testEngine();
  await using container = await engine.launch(await baseImage(engine), {
    command: ['cat'],
    stdin: true,
    networks: ['none'],
  });
  const process = await container.spawn(['sh', '-c', 'yes | head -c 3000000; echo done > /tmp/done; sleep 1000']);
  await process.detach();
  await process.detached;
  await expect(process.wait()).rejects.toMatchObject({ code: 'CTR_INVALID_STATE' });
  await container.waitFor(ready.exec(['sh', '-c', 'test -s /tmp/done']));
  const found = await container.execOf(process.id);
  expect(await found.inspect()).toMatchObject({ running: true });
  const end = found.wait();
  await container.kill();
  expect(await end).toMatchObject({ signal: 'SIGKILL' });
});

test('keys that mean to leave are not passed on, and the process stays', async () => {
  await using host = await sleeper();
  const process = await host.container.spawn(['sh', '-c', 'stty -echo raw; echo ready; cat > /tmp/typed'], {
    tty: true,
    detachKeys: 'ctrl-a,x',
  });
  expect(String((await once(process.stdout, 'data'))[0])).toContain('ready');
  process.stdin.write('ab\x01c\x01x');
  await process.detached;
  const found = await host.container.execOf(process.id);
  expect(await found.inspect()).toMatchObject({ running: true });
  await host.container.waitFor(ready.exec(['sh', '-c', 'test -s /tmp/typed']));
  await found.kill('SIGKILL');
  expect((await host.container.exec(['cat', '/tmp/typed'])).stdout).toBe('ab\x01c');
});

test('a privileged exec has all capabilities, and the filter all the same', async () => {
  await using host = await sleeper();
  const command = ['grep', '-E', 'CapEff|Seccomp:', '/proc/self/status'];
  const { stdout } = await host.container.exec(command, { privileged: true });
  expect(stdout).toMatch(/^CapEff:\t0*1ff[0-9a-f]+\nSeccomp:\t2\n$/);
});
