import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmdirSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { SyscallError } from '../../../lib/errors.js';
import { sha256 } from '../../../lib/oci/digest.js';
import { Store } from '../../../lib/store/store.js';

// Runs in a mount namespace of its own. Tries all that writes on a file system that is full or read-only, and prints the
// errors.
const [state = ''] = process.argv.slice(2);
const root = mkdtempSync(join(tmpdir(), 'store-'));
execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', root]);
const open = (): Promise<Store> =>
  Store.open({ root: join(root, 'store'), runRoot: join(tmpdir(), `store-run-${process.pid}`) });
const store = await open();
const records = store.records('containers');
const bytes = Buffer.alloc(2_000_000);

async function report(attempt: () => unknown): Promise<void> {
  try {
    await attempt();
    console.log('no error');
  } catch (error) {
    const { code, errno, message } = error as SyscallError;
    console.log(code, errno, message);
  }
}

if (state === 'full') fill(join(root, 'filler'));
else execFileSync('mount', ['-o', 'remount,ro', root]);

await report(() => store.content.put(bytes));
await report(() => records.put({ id: 'a', text: 'x'.repeat(9000) } as { id: string }));
await report(async () => {
  await using ingest = await store.content.ingest({ digest: sha256(bytes), size: bytes.length });
  await ingest.write(bytes);
  await ingest.commit();
});
if (state === 'read-only') {
  await report(() => records.claim('name', 'a'));
  await report(() => store.snapshots.prepare(sha256('x'), undefined));
  await report(() => store.snapshots.active('a', []));
  await report(() => store.lock('x'));
} else {
  await report(() => {
    for (let n = 0; n < 100; n++)
      store.journal.append({ type: 'image:remove', time: new Date(), id: 'x'.repeat(9000), labels: {} });
  });
}
await store.close();
execFileSync('umount', [root]);
rmdirSync(root);
rmdirSync(join(tmpdir(), `store-run-${process.pid}`));

function fill(path: string): void {
  const fd = openSync(path, 'w');
  try {
    for (;;) writeSync(fd, Buffer.alloc(4096));
  } catch {
    // Full, as it was to be.
  } finally {
    closeSync(fd);
  }
}
