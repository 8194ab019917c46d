import { sha256 } from '../../../lib/oci/digest.js';
import { Store } from '../../../lib/store/store.js';

// Does what a pull does, again and again on few blobs, so that it often finds them: lease, look, write what is not there,
// and then rely on all of it. Exits with 1 when something is not there then.
const [root = '', , rounds = ''] = process.argv.slice(2);
await using store = await Store.open({ root, runRoot: `${root}/../run` });
for (let round = 0; round < Number(rounds); round++) {
  using lease = store.leases.create();
  const texts = ['1', '2', '3'].map(text => text.repeat(1000));
  for (const text of texts) {
    const digest = sha256(text);
    lease.add('content', digest);
    if (store.content.stat(digest) !== undefined) continue;
    const ingest = await store.content.ingest({ digest, size: text.length });
    if (!ingest.present) await ingest.write(Buffer.from(text).subarray(ingest.offset));
    await ingest.commit();
  }
  await new Promise(resolve => setImmediate(resolve));
  for (const text of texts) {
    if (store.content.stat(sha256(text)) !== undefined) continue;
    console.error(`round ${round}: a leased blob is gone`);
    process.exitCode = 1;
  }
}
