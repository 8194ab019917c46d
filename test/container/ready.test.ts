import { afterAll, beforeAll, expect } from '@jest/globals';

import { ready, type Condition, type Container } from '../../lib/index.js';
import { testEngine, type TestEngine } from '../support/engine.js';
import { baseImage, nodeImage } from '../support/host.js';
import { needs } from '../support/needs.js';

const { describe, test } = needs('root');
const none = { networks: ['none'] };
const soon = (): AbortSignal => AbortSignal.timeout(30_000);

const server = `
const http = require('http'), dgram = require('dgram');
let asked = 0;
http.createServer((request, response) => {
  if (request.url === '/hang' && asked++ === 0) return;
  response.statusCode = request.url === '/late' && asked++ < 3 ? 503 : request.method === 'POST' ? 201 : 200;
  response.end('headers ' + request.headers['x-test'] + ' asked ' + asked);
}).listen(8080, () => dgram.createSocket('udp4').bind(5353, () => console.log('listening')));
`;

describe('container.waitFor', () => {
  let engine: TestEngine;
  let web: Container;

  const shell = async (script: string, name?: string): Promise<Container> =>
    engine.launch(await baseImage(engine), {
      ...none,
      command: ['sh', '-c', script],
      ...(name === undefined ? {} : { name }),
    });

  beforeAll(async () => {
    engine = await testEngine();
    web = await engine.launch(await nodeImage(engine), {
      command: [process.execPath, '-e', server],
      ports: [8080],
      lifetime: 'detached',
    });
    await web.waitFor(ready.log('listening'), { signal: soon() });
  });

  afterAll(async () => {
    for (const container of await engine.containers.list()) await container.remove({ force: true });
    await engine[Symbol.asyncDispose]();
  });

  const met: readonly [name: string, condition: () => Condition][] = [
    ['a line of the log that was written before', () => ready.log(/^listen.*g$/g)],
    ['a TCP port', () => ready.port(8080)],
    ['a UDP port', () => ready.port(5353, 'udp')],
    ['an answer', () => ready.http('/', { port: 8080 })],
    ['an answer of a certain status', () => ready.http('/', { port: 8080, method: 'POST', status: [201, 204] })],
    ['an answer that comes late', () => ready.http('/late', { port: 8080, status: status => status === 200 })],
    [
      'an answer with a body, to certain headers',
      () =>
        ready.http('/', { port: 8080, headers: { 'x-test': 'yes' }, bodyTest: body => body.startsWith('headers yes') }),
    ],
    ['all of several', () => ready.all(ready.port(8080), ready.log('listening'))],
    ['any of several', () => ready.any(ready.port(1), ready.exit(), ready.http('/', { port: 8080 }))],
    ['in time', () => ready.deadline(20_000, ready.port(8080))],
    ['what is usual', () => ready.usual()],
    ['one of one’s own', () => async () => {}],
  ];
  for (const [name, condition] of met) {
    test(name, async () => {
      await web.waitFor(condition(), { signal: soon() });
    });
  }

  const missed: readonly [name: string, condition: Condition, message: RegExp][] = [
    ['a port', ready.port(81), /still waiting for a listener on 81\/tcp.*Its last lines: "listening"/],
    ['a line', ready.log(/never/, 2), /2 lines with \/never\/ in its log/],
    ['an answer', ready.http('/', { port: 8080, status: 418 }), /GET http:.*8080\/ \(last: 200\)/],
    ['nobody there', ready.http('/', { port: 82 }), /last: [A-Z_]+\)/],
    ['HTTPS of what speaks none', ready.http('/', { port: 8080, tls: true }), /GET https:/],
    ['its end', ready.exit(), /its end with 0/],
    ['all', ready.all(ready.port(8080), ready.port(83)), /8080\/tcp and a listener on 83/],
    ['any', ready.any(ready.port(84), ready.port(83)), /84\/tcp or a listener on 83/],
    ['one of one’s own', Object.assign(async () => new Promise<void>(() => {}), { description: 'Godot' }), /Godot/],
  ];
  for (const [name, condition, message] of missed) {
    test(`in vain: ${name}`, async () => {
      const waiting = web.waitFor(ready.deadline(300, condition));
      await expect(waiting).rejects.toMatchObject({
        code: 'CTR_INVALID_STATE',
        message: expect.stringMatching(message),
      });
    });
  }

  test('an abort rejects with its own reason', async () => {
    const reason = new Error('enough');
    const abort = new AbortController();
    const waiting = web.waitFor([ready.port(81), ready.log('never'), ready.deadline(60_000, ready.port(82))], {
      signal: abort.signal,
    });
    abort.abort(reason);
    await expect(waiting).rejects.toBe(reason);
  });

  test('the end of the container ends the waiting, with its last words', async () => {
    const container = await shell('echo trouble; exit 3', 'broken');
    const waiting = container.waitFor([ready.port(80), ready.log('fine')], { signal: soon() });
    await expect(waiting).rejects.toThrow(/broken.*(fine|trouble)/);
    const alone = container.waitFor(ready.port(80), { signal: soon() });
    await expect(alone).rejects.toThrow(/exited with 3 before a listener on 80\/tcp.*trouble/);
  });

  test('last words count, and so does an end that was waited for', async () => {
    const container = await shell('echo done', 'short');
    await container.waitFor([ready.log('done'), ready.exit(0)], { signal: soon() });
    await container.waitFor(ready.all(ready.log('done'), ready.exit()), { signal: soon() });
    await expect(container.waitFor(ready.exit(4), { signal: soon() })).rejects.toThrow(/exited with 0, and not with 4/);
  });

  test('lines are counted from the first byte, however many there were before', async () => {
    const container = await shell('i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done; sleep 600');
    await container.waitFor(ready.log(/^line \d+$/, 5000), { signal: soon() });
    await container.waitFor(ready.log('line 0'), { signal: soon() });
  });

  test('of a line only its beginning is looked at', async () => {
    const container = await shell('head -c 200000 /dev/zero | tr "\\0" a; echo; echo ready; sleep 600');
    await container.waitFor(ready.log('ready'), { signal: soon() });
    let longest = 0;
    for await (const { text } of container.logs()) longest = Math.max(longest, text.length);
    expect(longest).toBeGreaterThan(4_096);
    await expect(container.waitFor(ready.deadline(300, ready.log(/^a{5000}/)))).rejects.toThrow(/a\{5000\}/);
    await container.waitFor(ready.log(/^a{4096}/), { signal: soon() });
  });

  test('a command in the container', async () => {
    const container = await shell('sleep 0.3; touch /ready; sleep 600');
    await container.waitFor(ready.exec(['ls', '/ready']), { signal: soon() });
    await expect(container.waitFor(ready.deadline(300, ready.exec(['ls', '/nope'])))).rejects.toThrow(/"ls","\/nope"/);
  });

  test('what is no port is a mistake', () => {
    for (const port of [0, 65_536, 1.5, NaN]) expect(() => ready.port(port)).toThrow(TypeError);
  });
});
