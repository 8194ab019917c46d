import { Journal } from '../../../lib/store/journal.js';

// Writes events with ids of its own, a few at a time.
const [root = '', name = '', count = '', maxBytes = ''] = process.argv.slice(2);
const journal = new Journal(`${root}/journal`, { maxBytes: Number(maxBytes) });
for (let n = 0; n < Number(count); n++) {
  journal.append({ type: 'image:remove', time: new Date(), id: `${name}${n}`, labels: {} });
  if (n % 50 === 49) await new Promise(resolve => setImmediate(resolve));
}
journal.close();
