import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';

import { expect, test } from '@jest/globals';

import type { Ref } from '../../lib/store/leases.js';
import { formatOwner, self } from '../../lib/store/owner.js';
import type { Store } from '../../lib/store/store.js';
import type { Digest } from '../../lib/types.js';
import { Place } from './place.js';

const [a, b]: [Digest, Digest] = [`sha256:${'a'.repeat(64)}`, `sha256:${'b'.repeat(64)}`];

async function open(place: Place, roots: () => Iterable<Ref> = () => []): Promise<Store> {
  const store = await place.open();
  store.registerRoots('images', roots);
  return store;
}

async function snapshot(store: Store, chainId: Digest): Promise<void> {
  const preparation = await store.snapshots.prepare(chainId, undefined);
  writeFileSync(`${preparation.dir}/file`, Buffer.alloc(100_000));
  await preparation.commit();
}

test('what neither a root nor a lease keeps goes, and is counted', async () => {
  await using place = new Place();
  const store = await open(place);
  const blob = await store.content.put(Buffer.alloc(50_000));
  await snapshot(store, a);
  const { removed, reclaimedBytes } = await store.collect({ graceMs: 0 });
  expect([...removed].sort()).toEqual([blob, a].sort());
  expect(reclaimedBytes).toBeGreaterThanOrEqual(150_000);
  expect([[...store.content.list()], store.snapshots.list()]).toEqual([[], []]);
  await store.close();
  expect(readdirSync(place.at('root', 'trash'))).toEqual([]);
});

test('what a root names stays', async () => {
  await using place = new Place();
  const refs: Ref[] = [{ kind: 'snapshot', digest: a }];
  const store = await open(place, () => refs);
  refs.push({ kind: 'content', digest: await store.content.put('kept') });
  await store.content.put('lost');
  for (const chainId of [a, b]) await snapshot(store, chainId);
  await store.collect({ graceMs: 0 });
  expect([[...store.content.list()].length, store.snapshots.list()]).toEqual([1, [a]]);
});

test('what is younger than the grace stays', async () => {
  await using place = new Place();
  const store = await open(place);
  await store.content.put('x');
  expect(await store.collect()).toEqual({ removed: [], reclaimedBytes: 0 });
});

test('what a lease keeps stays until it is released or runs out', async () => {
  await using place = new Place();
  const store = await open(place);
  const [released, expiring] = [store.leases.create(), store.leases.create({ ttlMs: 1000 })];
  const blobs = [await store.content.put('1'), await store.content.put('2')];
  released.add('content', blobs[0] ?? a);
  expiring.add('content', blobs[1] ?? a);
  expect((await store.collect({ graceMs: 0 })).removed).toEqual([]);
  released.release();
  expect((await store.collect({ graceMs: 0 })).removed).toEqual([blobs[0]]);
  const past = new Date(Date.now() - 2000);
  utimesSync(place.at('root', 'leases', expiring.id), past, past);
  expiring.renew();
  expect((await store.collect({ graceMs: 0 })).removed).toEqual([]);
  utimesSync(place.at('root', 'leases', expiring.id), past, past);
  expect((await store.collect({ graceMs: 0 })).removed).toEqual([blobs[1]]);
  await store.sweep();
  expect(readdirSync(place.at('root', 'leases'))).toEqual([]);
});

test('the lease of a process that was killed holds for a retry, or dies with it, as it was made', async () => {
  await using place = new Place();
  const store = await open(place);
  const child = place.start('lease');
  const [kept, lost] = [await child.line(), await child.line()];
  expect((await store.collect({ graceMs: 0 })).removed).toEqual([]);
  await child.kill();
  expect((await store.collect({ graceMs: 0 })).removed).toEqual([lost]);
  expect([...store.content.list()]).toEqual([kept]);
});

test('whoever leases while a collection takes away waits for its end', async () => {
  await using place = new Place();
  const store = await open(place);
  const lease = store.leases.create();
  const sweeper = place.start('hold', 'sweep', '200');
  expect(await sweeper.line()).toBe('held');
  lease.add('content', a);
  expect(existsSync(place.at('root', 'locks', 'sweep'))).toBe(false);
  expect(await sweeper.line()).toBe('released');
});

test('whoever leases after a collection was killed goes on', async () => {
  await using place = new Place();
  const store = await open(place);
  const lease = store.leases.create();
  const sweeper = place.start('hold', 'sweep', '1000000');
  expect(await sweeper.line()).toBe('held');
  await sweeper.kill();
  lease.add('content', a);
  expect(store.leases.refs()).toEqual([{ kind: 'content', digest: a }]);
});

test('a root that fails leaves everything where it was', async () => {
  await using place = new Place();
  const store = await place.open();
  const blob = await store.content.put('x');
  let asked = 0;
  store.registerRoots('images', () => {
    if (++asked === 2) throw new TypeError('unreadable');
    return [];
  });
  await expect(store.collect({ graceMs: 0 })).rejects.toThrow('unreadable');
  expect(store.content.stat(blob)?.size).toBe(1);
});

test('snapshots of the other driver are collected, too', async () => {
  await using place = new Place();
  const plain = await place.open({ driver: 'plain' });
  await (await plain.snapshots.prepare(a, undefined)).commit();
  expect((await (await open(place)).collect({ graceMs: 0 })).removed).toEqual([a]);
  expect(plain.snapshots.list()).toEqual([]);
});

test('names and directories that kills left go, and what may be of use stays', async () => {
  await using place = new Place();
  const store = await open(place);
  const records = store.records('volumes');
  const dead = formatOwner({ ...self(), start: '1' });
  for (const [name, owner] of [
    ['stale', dead],
    ['coming', formatOwner(self())],
  ] as const) {
    writeFileSync(place.at('root', 'names', 'volumes', name), JSON.stringify({ id: `${name}-id`, owner, name }));
  }
  mkdirSync(records.directory('young'));
  await store.collect();
  expect([[...records.names().keys()], records.ids()]).toEqual([['coming'], ['young']]);
});

test('a collection that does not know what records refer to is refused', async () => {
  await using place = new Place();
  const store = await place.open();
  store.records('images').put({ id: 'x' });
  await expect(store.collect()).rejects.toMatchObject({ code: 'CTR_INVALID_STATE' });
  store.registerRoots('images', () => []);
  expect(await store.collect()).toEqual({ removed: [], reclaimedBytes: 0 });
});

test('partial downloads that nobody goes on with go after a day, not before, and not while somebody writes', async () => {
  await using place = new Place();
  const store = await open(place);
  const [old, young, busy] = ['1', '2', '3'].map((digit): Digest => `sha256:${digit.repeat(64)}`) as [
    Digest,
    Digest,
    Digest,
  ];
  const ingests = [];
  for (const digest of [old, young, busy]) {
    const ingest = await store.content.ingest({ digest, size: 10 });
    await ingest.write(Buffer.from('12345'));
    ingests.push(ingest);
  }
  await ingests[0]?.abort();
  await ingests[1]?.abort();
  const past = new Date(Date.now() - 25 * 60 * 60 * 1000);
  for (const digest of [old, busy]) utimesSync(place.at('root', 'ingest', digest.slice(7)), past, past);
  expect((await store.collect()).removed).toEqual([`ingest/${old.slice(7)}`]);
  expect(readdirSync(place.at('root', 'ingest')).sort()).toEqual([young.slice(7), busy.slice(7)]);
  await ingests[2]?.abort();
});

test('beside processes that lease, look and write, nothing that was leased vanishes', async () => {
  await using place = new Place();
  const store = await open(place);
  const children = ['a', 'b'].map(name => place.start('pull', name, '60'));
  const ended = Promise.all(children.map(child => child.end()));
  let going = true;
  void ended.then(() => (going = false));
  while (going) {
    await store.collect({ graceMs: 0 });
    await new Promise(resolve => setImmediate(resolve));
  }
  expect(await ended).toEqual([0, 0]);
});
