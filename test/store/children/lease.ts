import { Store } from '../../../lib/store/store.js';

// Leases two blobs, one for as long as it lives and one for longer, says which, and waits to be killed.
const [root = ''] = process.argv.slice(2);
const store = await Store.open({ root, runRoot: `${root}/../run` });
for (const persistent of [true, false]) {
  const lease = store.leases.create({ persistent });
  const digest = await store.content.put(`persistent: ${persistent}`);
  lease.add('content', digest);
  console.log(digest);
}
setInterval(() => {}, 1000);
