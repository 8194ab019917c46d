#!/usr/bin/env node
// Inflates one gzip file in every way that was considered: node docs/adr/0002-measure.mjs FILE.tar.gz [ROUNDS]
// Ways take turns, so that what else the machine does hits all; the best round of each counts. Seconds of processor time are those
// of the whole way: children, and the threads of Node's zlib.
import { execFileSync, spawnSync } from 'node:child_process';
import { createReadStream, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createGunzip, gunzipSync } from 'node:zlib';

const [, self, file, argument = '5', inside] = process.argv;

async function zlib(chunkSize, highWaterMark) {
  for await (const chunk of createReadStream(file, { highWaterMark }).pipe(createGunzip({ chunkSize }))) void chunk;
}

async function helper(target) {
  const { applyLayer } = await import('../../dist/lib/image/apply.js');
  const content = createReadStream(file, { highWaterMark: 1 << 18 });
  await applyLayer({ content, target, whiteouts: 'overlay', call: 'measure' });
}

if (inside !== undefined) {
  if (inside === 'default') await zlib(undefined, undefined);
  else if (inside === '1 MiB') await zlib(1 << 20, 1 << 20);
  else if (inside !== 'nothing') await helper(inside);
  process.exit();
}

const node = (...args) => [process.execPath, [self, file, argument, ...args]];
const extract = mkdtempSync(join(process.env.TMPDIR ?? tmpdir(), 'measure-'));
const into = join(extract, 'tree');
const ways = {
  'Node alone': node('nothing'),
  'zlib in Node, default chunks': node('default'),
  'zlib in Node, 1 MiB chunks': node('1 MiB'),
  igzip: ['igzip', ['-dc', file]],
  pigz: ['pigz', ['-dc', file]],
  gzip: ['gzip', ['-dc', file]],
  'igzip | tar -x': ['sh', ['-c', `igzip -dc "${file}" | tar -xpf - -C "${into}"`]],
  'applyLayer: inflate, digest, extract': node(into),
};

/** User and system time of all children so far, in seconds: fields 16 and 17 of proc_pid_stat(5), in ticks. */
function children() {
  const fields = readFileSync('/proc/self/stat', 'latin1').split(') ')[1].split(' ');
  return (Number(fields[13]) + Number(fields[14])) / 100;
}

const bytes = gunzipSync(readFileSync(file)).length;
const best = new Map();
for (let round = 0; round < Number(argument); round++) {
  for (const [way, [program, args]] of Object.entries(ways)) {
    rmSync(into, { recursive: true, force: true });
    execFileSync('mkdir', [into]);
    const [cpu, start] = [children(), process.hrtime.bigint()];
    const { status, error } = spawnSync(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
    if (error !== undefined || status !== 0) continue;
    const took = [Number(process.hrtime.bigint() - start) / 1e9, children() - cpu];
    best.set(
      way,
      took.map((value, i) => Math.min(value, best.get(way)?.[i] ?? Infinity)),
    );
  }
}
rmSync(extract, { recursive: true });
for (const [way, [wall, cpu]] of best) {
  console.log(
    `${way.padEnd(40)} ${wall.toFixed(2)} s  ${cpu.toFixed(2)} s of processor  ${(bytes / 1e6 / cpu).toFixed(0)} MB/s`,
  );
}
