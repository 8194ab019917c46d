import { chmodSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';

import { expect, test } from '@jest/globals';

import type { Digest } from '../../lib/types.js';
import { describeSnapshotter } from '../conformance/snapshotter.js';
import { Place } from './place.js';

describeSnapshotter('overlay snapshots', async () => {
  const place = new Place();
  const store = await place.open({ driver: 'overlay' });
  return {
    snapshots: store.snapshots,
    directory: place.at('root', 'snapshots'),
    containers: place.at('root', 'containers'),
    sweep: () => store.sweep(),
    idle: () => store.close(),
    [Symbol.asyncDispose]: () => place[Symbol.asyncDispose](),
  };
});

const chain = Array.from({ length: 250 }, (_, n): Digest => `sha256:${n.toString(16).padStart(64, '0')}`);

test('layers are independent, and given top first, by short names below one directory', async () => {
  await using place = new Place();
  const { snapshots } = await place.open();
  for (const chainId of chain) await (await snapshots.prepare(chainId, undefined)).commit();
  const active = await snapshots.active('c1', chain);
  if (active.kind !== 'overlay') throw new TypeError(active.kind);
  expect(snapshots.independent).toBe(true);
  expect(active.names).toHaveLength(250);
  expect(active.names[0]).toBe(chain[249]?.slice(7));
  expect(active.lowers[249]).toBe(`${active.base}/${active.names[249]}`);
  expect(Math.max(...active.names.map(name => name.length))).toBeLessThan(256);
});

test('what the kernel left in the work directory goes with it', async () => {
  await using place = new Place();
  const store = await place.open();
  const active = await store.snapshots.active('c1', []);
  if (active.kind !== 'overlay') throw new TypeError(active.kind);
  mkdirSync(`${active.work}/work/#17`, { recursive: true });
  chmodSync(`${active.work}/work`, 0);
  store.snapshots.removeActive('c1');
  expect(readdirSync(place.at('root', 'containers', 'c1'))).toEqual([]);
  await store.close();
  expect(readdirSync(place.at('root', 'trash'))).toEqual([]);
});

test('a snapshot that an earlier boot may not have brought to disk is not trusted', async () => {
  await using place = new Place();
  const first = await place.open();
  const [a = 'sha256:', b = 'sha256:'] = chain;
  for (const chainId of [a, b]) {
    const preparation = await first.snapshots.prepare(chainId, undefined);
    writeFileSync(`${preparation.dir}/file`, 'x');
    await preparation.commit();
  }
  const marks = (): string[] => readdirSync(place.at('root', 'unsynced', 'snapshots'));
  while (marks().length > 0) await new Promise(resolve => setTimeout(resolve, 5));
  // As if this one had been made in another boot.
  symlinkSync('00000000', place.at('root', 'unsynced', 'snapshots', a.slice(7)));
  const second = await place.open();
  expect(second.snapshots.list()).toEqual([b]);
  expect(marks()).toEqual([]);
});
