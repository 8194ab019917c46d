import { Locks } from '../../../lib/store/locks.js';

// Has a lock for some time.
const [root = '', name = '', ms = ''] = process.argv.slice(2);
new Locks(`${root}/locks`).during(name, () => {
  console.log('held');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(ms));
});
console.log('released');
