import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

import { expect } from '@jest/globals';

import type { Container, LogOptions, LogOptionsOnCreate } from '../../lib/index.js';
import { baseImage } from '../support/host.js';
import { testEngine } from '../support/engine.js';
import { needs } from '../support/needs.js';

const { test } = needs('root');

async function lines(container: Container, options: LogOptions = {}): Promise<string[]> {
  const all: string[] = [];
  for await (const { text } of container.logs(options)) all.push(text);
  return all;
}

test('logs keep both streams in order, and can be asked for one, the last, or a span', async () => {
  await using engine = await testEngine();
  await using container = await engine.launch(await baseImage(engine), {
    command: ['sh', '-c', 'echo 1; sleep 0.1; echo 2 >&2; sleep 0.1; echo 3'],
    networks: ['none'],
  });
  await container.wait();
  expect(await lines(container)).toEqual(['1', '2', '3']);
  expect(await lines(container, { stream: 'stderr' })).toEqual(['2']);
  expect(await lines(container, { tail: 2 })).toEqual(['2', '3']);
  expect(await lines(container, { tail: 0 })).toEqual([]);
  const times: Date[] = [];
  for await (const { time } of container.logs()) times.push(time);
  expect(await lines(container, { since: times[1] as Date })).toEqual(['2', '3']);
  expect(await lines(container, { until: times[1] as Date })).toEqual(['1', '2']);
});

test('follow begins at the first byte and ends with the container', async () => {
  await using engine = await testEngine();
  await using container = await engine.launch(await baseImage(engine), {
    command: ['sh', '-c', 'for i in 1 2 3 4 5; do echo $i; sleep 0.02; done; printf end'],
    networks: ['none'],
  });
  expect(await lines(container, { follow: true })).toEqual(['1', '2', '3', '4', '5', 'end']);
});

test('long lines are cut at 16 KiB, and the pieces marked', async () => {
  await using engine = await testEngine();
  await using container = await engine.launch(await baseImage(engine), {
    command: ['sh', '-c', 'head -c 40000 /dev/zero | tr "\\0" a; echo'],
    networks: ['none'],
  });
  await container.wait();
  const pieces: [number, boolean][] = [];
  for await (const { text, partial } of container.logs()) pieces.push([text.length, partial]);
  expect(pieces).toEqual([
    [16384, true],
    [16384, true],
    [7232, false],
  ]);
});

test('a log that is rotated keeps as many files as asked for', async () => {
  await using engine = await testEngine();
  await using container = await engine.launch(await baseImage(engine), {
    command: ['sh', '-c', 'i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done'],
    log: { driver: 'json-file', maxBytes: 20_000, maxFiles: 3 },
    networks: ['none'],
  });
  await container.wait();
  const kept = await lines(container);
  expect(kept.at(-1)).toBe('line 1999');
  expect(kept.length).toBeGreaterThan(200);
  expect(kept.length).toBeLessThan(1500);
  const first = Number(kept[0]?.split(' ')[1]);
  expect(kept).toEqual(Array.from({ length: 2000 - first }, (_, index) => `line ${first + index}`));
});

test('without a log there is none to read', async () => {
  await using engine = await testEngine();
  await using container = await engine.launch(await baseImage(engine), {
    command: ['echo', 'x'],
    log: { driver: 'none' },
    networks: ['none'],
  });
  await expect(lines(container)).rejects.toMatchObject({ code: 'CTR_INVALID_STATE' });
});

test('a full log of one file stays readable until there is more', async () => {
  await using engine = await testEngine();
  await using container = await engine.launch(await baseImage(engine), {
    command: ['sh', '-c', 'seq -w 1 100'],
    log: { driver: 'json-file', maxBytes: 100 },
    networks: ['none'],
  });
  await container.wait();
  expect((await lines(container)).at(-1)).toBe('100');
});

test('what is rotated is compressed, and read as if it were not', async () => {
  await using engine = await testEngine();
  await using container = await engine.launch(await baseImage(engine), {
    command: ['seq', '1', '5000'],
    log: { driver: 'json-file', maxBytes: 100_000, maxFiles: 9, compress: true },
    networks: ['none'],
  });
  await container.wait();
  const all = Array.from({ length: 5000 }, (_, index) => String(index + 1));
  expect(await lines(container)).toEqual(all);
  expect(await lines(container, { tail: 4000 })).toEqual(all.slice(-4000));
  const directory = join(engine.root, 'containers', container.id);
  const compressed = readdirSync(directory).filter(name => name.endsWith('.gz'));
  expect(compressed.length).toBeGreaterThan(1);
  for (const name of compressed) {
    const text = gunzipSync(readFileSync(join(directory, name))).toString('utf8');
    expect(text).toMatch(/^(\{"log":"\d+\\n","stream":"stdout","time":"[^"]+Z"\}\n)+$/);
  }
});

test('driver local keeps the same in less space', async () => {
  await using engine = await testEngine();
  const command = ['sh', '-c', 'seq 1 3000; echo oops >&2; head -c 40000 /dev/zero | tr "\\0" a; printf "\\n\\nend"'];
  const read = async (driver: 'json-file' | 'local', name: (id: string) => string) => {
    await using container = await engine.launch(await baseImage(engine), {
      command,
      log: { driver },
      networks: ['none'],
    });
    await container.wait();
    const found: unknown[] = [];
    for await (const { stream, text, partial } of container.logs()) found.push([stream, text, partial]);
    const { size } = statSync(join(engine.root, 'containers', container.id, name(container.id)));
    return { found, last: await lines(container, { tail: 7 }), size };
  };
  const json = await read('json-file', id => `${id}-json.log`);
  const local = await read('local', () => 'local.log');
  const sorted = (found: unknown[]): string[] => found.map(line => JSON.stringify(line)).sort();
  expect(sorted(local.found)).toEqual(sorted(json.found));
  expect(local.found.at(-1)).toEqual(['stdout', 'end', true]);
  expect(local.last).toHaveLength(7);
  expect(local.size).toBeLessThan(json.size / 2);
});

test('follow goes on over rotations, and loses nothing', async () => {
  await using engine = await testEngine();
  await using container = await engine.launch(await baseImage(engine), {
    command: ['sh', '-c', 'i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done'],
    log: { driver: 'json-file', maxBytes: 30_000, maxFiles: 50 },
    networks: ['none'],
  });
  expect(await lines(container, { follow: true })).toEqual(Array.from({ length: 3000 }, (_, i) => `line ${i}`));
});

test('each line has a time of its own, to the nanosecond, and can be asked for by it', async () => {
  await using engine = await testEngine();
  await using container = await engine.launch(await baseImage(engine), {
    command: ['seq', '1', '100'],
    networks: ['none'],
  });
  await container.wait();
  const stamps: string[] = [];
  for await (const { timestamp, time } of container.logs()) {
    stamps.push(timestamp);
    expect(new Date(timestamp)).toEqual(time);
  }
  expect(new Set(stamps).size).toBe(100);
  const [seconds = '', fraction = ''] = (stamps[49] ?? '').slice(0, -1).split('.');
  const nanos = BigInt(Date.parse(`${seconds}Z`)) * 1_000_000n + BigInt(fraction.padEnd(9, '0'));
  expect(await lines(container, { since: nanos, until: nanos })).toEqual(['50']);
});

test('attributes are those of the labels, variables and tag that were asked for', async () => {
  await using engine = await testEngine();
  await using container = await engine.launch(await baseImage(engine), {
    name: 'tagged',
    command: ['echo', 'hi'],
    labels: { a: '<1>', b: '2', __proto__x: 'x' },
    env: { MODE: 'test', OTHER: 'no' },
    log: { driver: 'json-file', labels: ['a', 'missing'], envPattern: /^MO/, tag: '{{.Name}}!' },
    networks: ['none'],
  });
  await container.wait();
  const found: unknown[] = [];
  for await (const { attributes } of container.logs()) found.push(attributes);
  expect(found).toEqual([{ MODE: 'test', a: '<1>', tag: 'tagged!' }]);
});

test('raw logs are the bytes as they were written, also those that are no UTF-8', async () => {
  await using engine = await testEngine();
  await using container = await engine.launch(await baseImage(engine), {
    command: [
      'sh',
      '-c',
      'printf "a\\033[1m\\t\\"\\\\ <é>\\n\\n"; head -c 30000 /dev/zero | tr "\\0" b; echo; printf c',
    ],
    networks: ['none'],
  });
  await container.wait();
  const chunks: Buffer[] = [];
  for await (const { bytes } of container.rawLogs()) chunks.push(bytes);
  expect(Buffer.concat(chunks).toString('utf8')).toBe(`a\x1b[1m\t"\\ <é>\n\n${'b'.repeat(30000)}\nc`);
});

test('who leaves a log in the middle leaves no reader behind', async () => {
  await using engine = await testEngine();
  await using container = await engine.launch(await baseImage(engine), { command: ['yes'], networks: ['none'] });
  for await (const { text } of container.logs({ follow: true })) {
    expect(text).toBe('y');
    break;
  }
  const abort = new AbortController();
  const reason = new Error('enough');
  const reading = (async () => {
    for await (const chunk of container.rawLogs({ follow: true, signal: abort.signal }))
      if (chunk.bytes.length > 0) abort.abort(reason);
  })();
  await expect(reading).rejects.toBe(reason);
});

test('half an entry, as a crash leaves it, is left out', async () => {
  await using engine = await testEngine();
  await using container = await engine.launch(await baseImage(engine), { command: ['seq', '3'], networks: ['none'] });
  await container.wait();
  const path = join(engine.root, 'containers', container.id, `${container.id}-json.log`);
  const text = readFileSync(path, 'utf8').split('\n');
  const damaged = [text[0], '{"log":"bro', '{"log":"x\\u00', 'null', '', text[2], text[1]?.slice(0, 20)].join('\n');
  writeFileSync(path, damaged);
  expect(await lines(container)).toEqual(['1', '3']);
});

test.each<[why: string, log: LogOptionsOnCreate]>([
  ['log.maxBytes', { driver: 'json-file', maxBytes: -1 }],
  ['log.maxFiles', { driver: 'json-file', maxFiles: 0 }],
  ['log.compress', { driver: 'json-file', compress: true }],
  ['log.labelsPattern', { driver: 'json-file', labelsPattern: '(' }],
  ['log.tag', { driver: 'json-file', tag: '{{.Nonsense}}' }],
])('a log that cannot be is refused: %s', async (why, log) => {
  await using engine = await testEngine();
  await expect(engine.launch(await baseImage(engine), { log, networks: ['none'] })).rejects.toThrow(why);
});
