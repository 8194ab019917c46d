import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { sha256 } from '../../../lib/oci/digest.js';
import { Store } from '../../../lib/store/store.js';
import type { Digest } from '../../../lib/types.js';

// Does all that changes a store, round after round, until it is killed. What it makes can be checked from outside: a
// snapshot has a hundred files, a record with `blobs` refers to blobs that were committed before it.
const [root = '', seed = ''] = process.argv.slice(2);
const store = await Store.open({ root, runRoot: `${root}/../run` });
const records = store.records<{ readonly id: string; readonly name: string; readonly blobs: readonly Digest[] }>(
  'containers',
);
console.log('ready');
for (let round = 0; ; round++) {
  const id = `c-${seed}-${round % 3}`;
  using lease = store.leases.create();
  const bytes = Buffer.alloc(1_500_000, `${seed} ${round}`);
  const digest = sha256(bytes);
  lease.add('content', digest);
  const ingest = await store.content.ingest({ digest, size: bytes.length });
  for (let at = ingest.offset; at < bytes.length; at += 65_536) await ingest.write(bytes.subarray(at, at + 65_536));
  await ingest.commit();
  const small = await store.content.put(`${seed} ${round}`);

  const preparation = await store.snapshots.prepare(digest, undefined);
  mkdirSync(join(preparation.dir, 'd'));
  for (let n = 0; n < 100; n++) writeFileSync(join(preparation.dir, 'd', String(n)), String(n));
  await preparation.commit();

  records.claim(`name-${id}`, id);
  records.put({ id, name: `name-${id}`, blobs: [digest, small] });
  const active = await store.snapshots.active(id, [digest]);
  if (active.kind === 'overlay') writeFileSync(join(active.upper, 'file'), 'x');
  store.journal.append({ type: 'image:remove', time: new Date(), id, labels: {} });
  if (round % 2 === 1) {
    store.snapshots.removeActive(id);
    records.delete(id, [`name-${id}`]);
  }
}
