import { once } from 'node:events';
import { PassThrough, type Readable } from 'node:stream';
import { text } from 'node:stream/consumers';

import { expect } from '@jest/globals';

import { ready, type Container, type Owned } from '../../lib/index.js';
import { testEngine, type TestEngine } from '../support/engine.js';
import { baseImage } from '../support/host.js';
import { needs } from '../support/needs.js';

const { test } = needs('root');

async function launch(engine: TestEngine, script: string, stdin = true): Promise<Owned<Container>> {
  return engine.launch(await baseImage(engine), { command: ['sh', '-c', script], stdin, networks: ['none'] });
}

/** What comes next; the rest stays for whoever reads on. */
async function next(stream: Readable): Promise<string> {
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) return String(chunk);
  return '';
}

test('all who are attached get all output, and all can write', async () => {
  await using engine = await testEngine();
  await using container = await launch(engine, 'read a; echo got $a; read b; echo got $b >&2; read c; echo got $c');
  const clients = await Promise.all([container.attach(), container.attach(), container.attach()]);
  for (const [index, client] of clients.entries()) {
    client.stdin.write(`line ${index}\n`);
    // In turn: each answer was seen by all before the next one writes.
    const stream = index === 1 ? 'stderr' : 'stdout';
    for (const each of clients) expect(await next(each[stream])).toBe(`got line ${index}\n`);
  }
  expect(await container.wait()).toMatchObject({ exitCode: 0 });
});

test('with logs it begins at the first byte, without a gap or a repetition', async () => {
  await using engine = await testEngine();
  await using container = await launch(engine, 'i=0; while [ $i -lt 4000 ]; do echo line $i; i=$((i+1)); done; read x');
  const expected = Array.from({ length: 4000 }, (_, index) => `line ${index}\n`).join('');
  // While it writes: the boundary lies anywhere.
  const clients = [];
  for (let index = 0; index < 5; index++) clients.push(await container.attach({ logs: true }));
  const outputs = clients.map(async client => text(client.stdout));
  await container.waitFor(ready.log('line 3999'));
  const late = await container.attach({ logs: true });
  const lateOutput = text(late.stdout);
  late.stdin.write('\n');
  expect(await Promise.all([...outputs, lateOutput])).toEqual(Array.from({ length: 6 }, () => expected));
});

test('the beginning of a line that is not over comes as well', async () => {
  await using engine = await testEngine();
  await using container = await launch(engine, 'echo one; printf "half a "; echo x >&2; read x; echo line');
  await container.waitFor(ready.log('x'));
  const client = await container.attach({ logs: true });
  const output = text(client.stdout);
  client.stdin.write('\n');
  expect(await output).toBe('one\nhalf a line\n');
});

test('merged, both streams are one', async () => {
  await using engine = await testEngine();
  await using container = await launch(engine, 'read x; echo out; sleep 0.05; echo err >&2; sleep 0.05; echo out');
  const client = await container.attach({ merged: true });
  client.stdin.write('\n');
  expect(await text(client.stdout)).toBe('out\nerr\nout\n');
  expect(await text(client.stderr)).toBe('');
});

test('one that does not read holds the container back no longer than it may, and nobody else', async () => {
  await using engine = await testEngine();
  await using container = await launch(engine, 'read x; yes | head -c 20000000; echo end');
  const slow = await container.attach({ patienceMs: 200 });
  const failed = once(slow.stdout, 'error');
  const quick = await container.attach();
  const reading = (async () => {
    let length = 0;
    for await (const chunk of quick.stdout as AsyncIterable<Buffer>) length += chunk.length;
    return length;
  })();
  quick.stdin.write('\n');
  expect(await reading).toBe(20_000_004);
  expect(await container.wait()).toMatchObject({ exitCode: 0 });
  slow.stdout.resume();
  slow.stderr.resume();
  expect((await failed)[0]).toMatchObject({ code: 'CTR_INVALID_STATE' });
});

test('without stdin nothing can be written, and leaving leaves it running', async () => {
  await using engine = await testEngine();
  await using container = await launch(engine, 'echo ready; read x; echo "got $x"');
  await container.waitFor(ready.log('ready'));
  const reader = await container.attach({ stdin: false });
  expect(reader.stdin.writable).toBe(false);
  await reader.detach();
  const client = await container.attach({ detachKeys: 'ctrl-p,ctrl-q' });
  client.stdin.write('\x10\x11');
  await client.detached;
  expect(await container.inspect()).toMatchObject({ state: 'running' });
  const again = await container.attach();
  again.stdin.write('back\n');
  expect(await text(again.stdout)).toBe('got back\n');
});

test('a stream of this process can take the place of a log', async () => {
  await using engine = await testEngine();
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  await using container = await engine.launch(await baseImage(engine), {
    command: ['sh', '-c', 'echo out; echo err >&2'],
    log: { driver: 'stream', stdout, stderr },
    networks: ['none'],
  });
  await container.wait();
  stdout.end();
  stderr.end();
  expect([await text(stdout), await text(stderr)]).toEqual(['out\n', 'err\n']);
  await expect(container.logs().next()).rejects.toMatchObject({ code: 'CTR_INVALID_STATE' });
  await expect(
    engine.launch(await baseImage(engine), { lifetime: 'detached', log: { driver: 'stream', stdout } }),
  ).rejects.toThrow("lifetime: 'detached'");
});
