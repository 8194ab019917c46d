import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { expect, test } from '@jest/globals';

import { sleep } from '../../lib/util/abort.js';
import type { Store } from '../../lib/store/store.js';
import type { Digest } from '../../lib/types.js';
import { Place } from './place.js';

const KILLS = 20;

test('a process killed at any moment leaves a store that opens, with all that was committed whole', async () => {
  await using place = new Place();
  await (await place.open()).close();
  for (let n = 0; n < KILLS; n++) {
    const child = place.start('kill-me', String(n));
    expect(await child.line()).toBe('ready');
    await sleep(Math.random() * 60);
    await child.kill();
    const store = await place.open();
    await check(store);
    await store.close();
    nothingUnfinished(place.at('root'));
    for (const { id } of store.records('containers').list())
      rmSync(place.at('root', 'containers', id), { recursive: true });
  }
  expect(place.warnings).toEqual([]);
}, 60_000);

async function check(store: Store): Promise<void> {
  for (const digest of store.content.list()) await store.content.read(digest);
  for (const chainId of store.snapshots.list()) {
    expect(readdirSync(join(store.snapshots.path(chainId), 'd'))).toHaveLength(100);
  }
  const records = store.records<{ id: string; name: string; blobs: Digest[] }>('containers');
  const names = records.names();
  for (const record of records.list()) {
    expect(names.get(record.name)).toBe(record.id);
    for (const digest of record.blobs) expect(store.content.stat(digest)).toBeDefined();
  }
  // A name that nobody has is free for the next.
  for (const [name, id] of names) if (!records.has(id)) expect(records.claim(name, 'next')).toBe(true);
  for (const name of names.keys()) if (records.resolve(name) === 'next') records.release(name);
  for (const lock of ['ingest-x', 'gc', 'index']) await (await store.lock(lock))[Symbol.asyncDispose]();
}

function nothingUnfinished(root: string): void {
  for (const directory of ['locks', 'tmp', 'trash'])
    expect([directory, ...readdirSync(join(root, directory))]).toEqual([directory]);
  expect(readdirSync(join(root, 'snapshots')).filter(name => name.startsWith('new.'))).toEqual([]);
}
