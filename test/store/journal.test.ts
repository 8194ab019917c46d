import { appendFileSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { getEventListeners } from 'node:events';

import { expect, test } from '@jest/globals';

import { NotFoundError } from '../../lib/errors.js';
import { Journal } from '../../lib/store/journal.js';
import type { EngineEvent } from '../../lib/types.js';
import { Place } from './place.js';

function event(id: string, time = new Date()): EngineEvent {
  return { type: 'image:remove', time, id, labels: { a: 'b' } };
}

async function take(events: AsyncIterable<EngineEvent>, count: number): Promise<string[]> {
  const ids: string[] = [];
  for await (const got of events) {
    ids.push(got.type === 'warning' ? got.message : got.id);
    if (ids.length === count) break;
  }
  return ids;
}

test('an event is read as it was written', async () => {
  await using place = new Place();
  const { journal } = await place.open();
  const written = event('x', new Date(1234));
  journal.append(written);
  for await (const got of journal.tail({ since: new Date(0) })) {
    expect(got).toEqual(written);
    break;
  }
});

test('a warning keeps what can be kept of its error', async () => {
  await using place = new Place();
  const { journal } = await place.open();
  const error = new NotFoundError({ call: 'x', kind: 'image', ref: 'y' });
  journal.append({ type: 'warning', time: new Date(), message: 'm', error });
  for await (const got of journal.tail({ since: new Date(0) })) {
    expect(got).toMatchObject({ message: 'm', error: { code: 'CTR_NOT_FOUND', message: error.message } });
    break;
  }
});

test('a tail without since gives what happens from now on, of any process', async () => {
  await using place = new Place();
  const [mine, other] = [await place.open(), await place.open()];
  mine.journal.append(event('before'));
  const tail = mine.journal.tail();
  const taken = take(tail, 2);
  other.journal.append(event('one'));
  mine.journal.append(event('two'));
  expect(await taken).toEqual(['one', 'two']);
});

test('a tail with since gives what is kept from then on', async () => {
  await using place = new Place();
  const { journal } = await place.open();
  for (let n = 0; n < 5; n++) journal.append(event(String(n), new Date(n * 1000)));
  expect(await take(journal.tail({ since: new Date(3000) }), 2)).toEqual(['3', '4']);
});

test('an abort ends a tail with its reason, and leaves no listener', async () => {
  await using place = new Place();
  const { journal } = await place.open();
  const controller = new AbortController();
  const taken = take(journal.tail({ signal: controller.signal }), 1);
  await new Promise(resolve => setImmediate(resolve));
  controller.abort('enough');
  await expect(taken).rejects.toBe('enough');
  expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
});

test('a tail that is left holds no descriptor', async () => {
  await using place = new Place();
  const { journal } = await place.open();
  journal.append(event('x'));
  journal.close();
  const before = readdirSync('/proc/self/fd').length;
  for (let n = 0; n < 20; n++) await take(journal.tail({ since: new Date(0) }), 1);
  // The event loop keeps its one inotify descriptor.
  expect(readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before + 1);
});

test('a line cut short by a full disk spoils no other', async () => {
  await using place = new Place();
  const { journal } = await place.open();
  journal.append(event('a'));
  const [file = ''] = readdirSync(place.at('root', 'journal'));
  appendFileSync(place.at('root', 'journal', file), '{"key":"x","ev\n');
  journal.append(event('b'));
  expect(await take(journal.tail({ since: new Date(0) }), 2)).toEqual(['a', 'b']);
});

test('stays bounded', async () => {
  await using place = new Place();
  await place.open();
  const journal = new Journal(place.at('root', 'journal'), { maxBytes: 4096 });
  for (let n = 0; n < 500; n++) journal.append(event(String(n)));
  journal.close();
  const files = readdirSync(place.at('root', 'journal')).map(file => place.at('root', 'journal', file));
  expect(files).toHaveLength(2);
  expect(files.reduce((sum, file) => sum + statSync(file).size, 0)).toBeLessThan(2 * 4096 + 1024);
  expect(readFileSync(files[1] ?? '', 'utf8')).toContain('"499"');
});

test('no event is missed or doubled while several processes write and files change', async () => {
  await using place = new Place();
  await place.open();
  const journal = new Journal(place.at('root', 'journal'), { maxBytes: 64 * 1024 });
  const taken = take(journal.tail({ signal: AbortSignal.timeout(20_000) }), 1500);
  const children = ['a', 'b', 'c'].map(name => place.start('append', name, '500', String(64 * 1024)));
  const got = await taken;
  expect(await Promise.all(children.map(child => child.end()))).toEqual([0, 0, 0]);
  const expected = ['a', 'b', 'c'].map(name => Array.from({ length: 500 }, (_, n) => `${name}${n}`));
  // Of each process in its order.
  expect(['a', 'b', 'c'].map(name => got.filter(id => id.startsWith(name)))).toEqual(expected);
});
