import { Store } from '../../../lib/store/store.js';

// Claims n0, n1, … for one id, says which it got, and lives until it is killed.
const [root = '', id = '', count = ''] = process.argv.slice(2);
const store = await Store.open({ root, runRoot: `${root}/../run` });
const records = store.records('containers');
const names = Array.from({ length: Number(count) }, (_, n) => `n${n}`);
console.log(names.filter(name => records.claim(name, id, { durable: false })).join(' '));
setInterval(() => {}, 1000);
