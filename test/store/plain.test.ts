import { writeFileSync } from 'node:fs';

import { expect, test } from '@jest/globals';

import type { Digest } from '../../lib/types.js';
import { describeSnapshotter } from '../conformance/snapshotter.js';
import { Place } from './place.js';

describeSnapshotter('plain snapshots', async () => {
  const place = new Place();
  const store = await place.open({ driver: 'plain' });
  return {
    snapshots: store.snapshots,
    directory: place.at('root', 'trees'),
    containers: place.at('root', 'containers'),
    sweep: () => store.sweep(),
    idle: () => store.close(),
    [Symbol.asyncDispose]: () => place[Symbol.asyncDispose](),
  };
});

const [a, b]: [Digest, Digest] = [`sha256:${'a'.repeat(64)}`, `sha256:${'b'.repeat(64)}`];

test('a layer begins with the whole tree of its parent, which must be there', async () => {
  await using place = new Place();
  const { snapshots } = await place.open({ driver: 'plain' });
  expect(snapshots.independent).toBe(false);
  await expect(snapshots.prepare(b, a)).rejects.toMatchObject({ code: 'CTR_NOT_FOUND', ref: a });
  const first = await snapshots.prepare(a, undefined);
  writeFileSync(`${first.dir}/a`, '');
  await first.commit();
  const second = await snapshots.prepare(b, a);
  expect(second.whiteouts).toBe('delete');
  await second.commit();
  expect(snapshots.lowers([a, b])).toEqual([place.at('root', 'trees', 'b'.repeat(64))]);
});

test("the two drivers do not take each other's snapshots for theirs", async () => {
  await using place = new Place();
  const overlay = await place.open({ driver: 'overlay' });
  await (await overlay.snapshots.prepare(a, undefined)).commit();
  const plain = await place.open({ driver: 'plain' });
  expect(plain.snapshots.has(a)).toBe(false);
});
