import { expect } from '@jest/globals';

import type { Container, LogOptions } from '../../lib/index.js';
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
