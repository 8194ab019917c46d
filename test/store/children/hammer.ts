import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { Locks } from '../../../lib/store/locks.js';
import { formatOwner, isAlive, parseOwner, self } from '../../../lib/store/owner.js';
import { writeFileAtomic } from '../../../lib/util/files.js';

// Takes one lock again and again, and counts in a file that only its holder may touch. Says `violation` when it meets
// another living holder. Its parent kills it in the middle of that.
const [directory = '', rounds = '0', way = ''] = process.argv.slice(2);
const inside = join(directory, '..', 'inside');
const counter = join(directory, '..', 'counter');
const locks = new Locks(directory);

function work(): void {
  const other = readText(inside);
  const owner = other === undefined ? undefined : parseOwner(other);
  if (owner !== undefined && isAlive(owner)) console.log(`violation: ${other}`);
  writeFileSync(inside, formatOwner(self()));
  const count = Number(readText(counter) ?? '0');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Math.random());
  writeFileAtomic(counter, String(count + 1), { durable: false });
  if (readText(inside) !== formatOwner(self())) console.log('violation: not alone');
  rmSync(inside, { force: true });
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Not there: nobody is inside.
    return undefined;
  }
}

console.log('ready');
for (let round = 0; round < Number(rounds); round++) {
  if (way === 'during') locks.during('one', work);
  else {
    await using held = await locks.acquire('one');
    work();
    void held;
  }
}
console.log('done');
