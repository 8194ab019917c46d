import { Store } from '../../../lib/store/store.js';

// Counts in the record `a`, so many times.
const [root = '', times = ''] = process.argv.slice(2);
await using store = await Store.open({ root, runRoot: `${root}/../run` });
const records = store.records<{ readonly id: string; readonly count: number }>('containers');
for (let n = 0; n < Number(times); n++) {
  records.update('a', record => ({ ...record, count: record.count + 1 }), { durable: false });
}
