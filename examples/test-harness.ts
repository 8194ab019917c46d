/**
 * A real server for a test, on a port of its own, gone afterwards whatever the test does.
 * `node dist/examples/test-harness.js`, as root; it uses node's own test runner.
 *
 * The server here is a key-value store of twenty lines, run by this machine's node, so that the example needs no network;
 * with one, it would be `engine.launch('redis:7', …)`.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { Engine, ready, type Container, type Owned } from 'tscontainer';

const SERVER = `
  const values = new Map();
  const server = require('node:net').createServer(socket => {
    socket.setEncoding('utf8').on('data', line => {
      const [verb, key, value] = line.trim().split(' ');
      if (verb === 'PING') socket.end('PONG\\n');
      else if (verb === 'SET') { values.set(key, value); socket.end('OK\\n'); }
      else socket.end((values.get(key) ?? '(nil)') + '\\n');
    });
  });
  server.listen(7000, () => console.log('ready to accept connections'));
`;

const directory = mkdtempSync(join(tmpdir(), 'tscontainer-harness-'));
let engine: Engine;
let store: Owned<Container>;

before(async () => {
  engine = await Engine.open({ root: join(directory, 'store'), runRoot: join(directory, 'run') });
  const image = await engine.images.fromHost({ binaries: [process.execPath] });
  store = await engine.launch(image, { command: [process.execPath, '-e', SERVER], ports: [7000] });
  await store.waitFor([ready.log('ready to accept'), ready.port(7000)], { signal: AbortSignal.timeout(30_000) });
});

after(async () => {
  await store[Symbol.asyncDispose]();
  assert.deepEqual(await engine.containers.list(), []);
  await engine.close();
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
});

void test('it answers over its published port', async () => {
  assert.equal(await ask('127.0.0.1', store.port(7000), 'PING'), 'PONG');
});

void test('it keeps what it is told', async () => {
  assert.equal(await ask('127.0.0.1', store.port(7000), 'SET greeting hello'), 'OK');
  assert.equal(await ask('127.0.0.1', store.port(7000), 'GET greeting'), 'hello');
});

void test('it answers over its own address, too, which needs no published port', async () => {
  const { networks } = await store.inspect();
  const [endpoint] = Object.values(networks);
  assert.ok(endpoint);
  assert.equal(await ask(endpoint.ip, 7000, 'PING'), 'PONG');
});

function ask(host: string, port: number, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, host, () => socket.write(`${line}\n`));
    socket.setEncoding('utf8').on('data', (text: string) => (answer += text));
    socket.on('end', () => resolve(answer.trim()));
    socket.on('error', reject);
  });
}
