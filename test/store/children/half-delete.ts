import { Locks } from '../../../lib/store/locks.js';
import { Names } from '../../../lib/store/names.js';
import { Store } from '../../../lib/store/store.js';

// Does the first steps of deleting a record with a name, and waits to be killed.
const [root = ''] = process.argv.slice(2);
const store = await Store.open({ root, runRoot: `${root}/../run` });
const locks = new Locks(`${root}/locks`);
new Names({ root, directory: `${root}/names/containers`, locks, known: () => true }).adopt('web', 'a');
store.records('containers').delete('a');
console.log('deleting');
setInterval(() => {}, 1000);
