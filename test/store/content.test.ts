import { expect, test } from '@jest/globals';

import { sha256 } from '../../lib/oci/digest.js';
import { describeContentStore } from '../conformance/content.js';
import { Place } from './place.js';

describeContentStore('the content store', async () => {
  const place = new Place();
  const { content, root } = await place.open();
  return { content, directory: root, [Symbol.asyncDispose]: () => place[Symbol.asyncDispose]() };
});

const size = 6_000_000;
const seed = '7';

test('of two processes with the same blob one writes, and the other finds it', async () => {
  await using place = new Place();
  const store = await place.open();
  const children = [place.start('ingest', seed, String(size)), place.start('ingest', seed, String(size))];
  const said = await Promise.all(
    children.map(async child => [await child.line(), await child.line(), await child.line()]),
  );
  expect(said.map(lines => lines[2])).toEqual(['committed', 'committed']);
  expect(said.map(lines => lines[1]).sort()).toEqual(['offset 0', `offset ${size}`]);
  const [digest, ...more] = store.content.list();
  expect(more).toEqual([]);
  expect(sha256(await store.content.read(digest ?? 'sha256:'))).toBe(digest);
});

test('whoever waits for a process that is killed goes on with what it wrote', async () => {
  await using place = new Place();
  const store = await place.open();
  const first = place.start('ingest', seed, String(size), 'stall');
  for (let line; (line = await first.line()) !== 'stalled';) expect(line).toBeDefined();
  const second = place.start('ingest', seed, String(size));
  expect(await second.line()).toBe('waiting');
  await first.kill();
  expect(await second.line()).toMatch(/^offset \d{7,8}$/);
  expect(await second.line()).toBe('committed');
  expect([...store.content.list()]).toHaveLength(1);
});
