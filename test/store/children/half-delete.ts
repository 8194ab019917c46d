import { Locks } from '../../../lib/store/locks.js';
import { Names } from '../../../lib/store/names.js';
import { Store } from '../../../lib/store/store.js';

// Deletes a record with a name, says when the record is gone, and stays there until it is killed.
const [root = ''] = process.argv.slice(2);
const store = await Store.open({ root, runRoot: `${root}/../run` });
const names = new Names({
  root,
  directory: `${root}/names/containers`,
  locks: new Locks(`${root}/locks`),
  known: () => true,
});
names.releaseAll(['web'], 'a', () => {
  store.records('containers').delete('a');
  console.log('deleting');
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
});
