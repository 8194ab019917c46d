import { createHash } from 'node:crypto';

import { Store } from '../../../lib/store/store.js';
import type { Digest } from '../../../lib/types.js';

// Stores one blob made from a seed, and says how far it is. With `stall` it stops in the middle and waits to be killed.
const [root = '', seed = '', size = '', stall] = process.argv.slice(2);
const bytes = Buffer.alloc(Number(size), createHash('sha512').update(seed).digest());
const digest: Digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

const store = await Store.open({ root, runRoot: `${root}/../run` });
console.log('waiting');
const ingest = await store.content.ingest({ digest, size: bytes.length });
console.log(`offset ${ingest.offset}`);
for (let at = ingest.offset; at < bytes.length; at += 65_536) {
  await ingest.write(bytes.subarray(at, at + 65_536));
  if (stall !== undefined && at > bytes.length / 2) {
    console.log('stalled');
    await new Promise(() => setInterval(() => {}, 1000));
  }
}
await ingest.commit();
console.log('committed');
await store.close();
