// What it costs to get a process of the helper to work: spawned by Node, or forked by the launcher.
// After `npm install`: node docs/adr/0001-measure.mjs
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { helperPath } from '../../dist/lib/host/binary.js';
import { Helper } from '../../dist/lib/host/helper.js';
import { Plan } from '../../dist/lib/host/plan.js';

const ROUNDS = 200;
const helper = helperPath();

/** From the call to the end of a helper that has read its plan and answered. */
function spawned() {
  return new Promise((resolve, reject) => {
    const child = spawn(helper, ['net'], { stdio: ['ignore', 'pipe', 'ignore', 'pipe'], env: {} });
    child.on('error', reject);
    child.on('close', resolve);
    child.stdout.resume();
    child.stdio[3].end(new Plan().encode());
  });
}

/** The same by way of the launcher: connect, fork, read the plan, answer, end. */
async function forked(launcher) {
  const connection = await launcher.send(new Plan().op('mode', 'none'));
  if (!connection.closed) await new Promise(resolve => connection.on('close', resolve));
}

async function measure(name, work) {
  const times = [];
  for (let round = 0; round < ROUNDS + 20; round++) {
    const begun = performance.now();
    await work();
    if (round >= 20) times.push(performance.now() - begun);
  }
  times.sort((a, b) => a - b);
  const at = share => times[Math.floor(share * (times.length - 1))].toFixed(2);
  console.log(`${name.padEnd(44)} median ${at(0.5)} ms   p95 ${at(0.95)} ms`);
}

const directory = mkdtempSync(join(tmpdir(), 'tsc-'));
const launcher = new Helper(directory);
try {
  for (const megabytes of [0, 512]) {
    const ballast = Buffer.alloc(megabytes << 20, 1);
    const rss = Math.round(process.memoryUsage().rss / (1 << 20));
    await measure(`spawned by a Node of ${rss} MiB`, spawned);
    await measure(`forked by the launcher, Node of ${rss} MiB`, () => forked(launcher));
    if (ballast.length < 0) break; // It is used, so it is kept.
  }
} finally {
  launcher.close();
  rmSync(directory, { recursive: true, force: true });
}
