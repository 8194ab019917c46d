/**
 * Measures the engine beside its peers, in one run on one machine: ratios count, absolute numbers drift.
 *
 *   npm run bench                                        the engine alone
 *   TSC_BENCH_DOCKER=unix:///run/docker.sock npm run bench        beside Docker Engine (several, comma-separated)
 *   TSC_BENCH_REGISTRY=127.0.0.1:5000 npm run bench      with the pull, from a registry that may be pushed to
 *   npm run bench -- --smoke                             a few rounds of each, to see that it works
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

import { Engine } from '../lib/index.js';
import { Docker } from './docker.js';
import { fileRows } from './files.js';
import { pushLarge, tinyArchive } from './images.js';
import { median, middle, perSecond, timed } from './measure.js';

const smoke = process.argv.includes('--smoke');
const rounds = (many: number): number => (smoke ? 3 : many);
const tag = 'tsc-bench/tiny:1';

interface Row {
  readonly job: string;
  readonly unit: 'ms' | '/s' | 'MiB';
  readonly ours: number;
  readonly theirs: readonly number[];
}

async function main(): Promise<void> {
  const peers = (process.env['TSC_BENCH_DOCKER'] ?? '')
    .split(',')
    .filter(Boolean)
    .map((host, index) => new Docker(`docker ${index + 1}`, host));
  const versions = await Promise.all(peers.map(peer => peer.version()));
  const directory = mkdtempSync(join(process.env['TSC_BENCH_DIR'] ?? tmpdir(), 'tsc-bench-'));
  // Where it is by default, in memory: /run or the user's runtime directory.
  const runDirectory = mkdtempSync(join(process.env['XDG_RUNTIME_DIR'] ?? '/run', 'tsc-bench-'));
  const engine = await Engine.open({ root: join(directory, 'store'), runRoot: runDirectory });
  try {
    const archive = await tinyArchive(tag);
    const [image] = await engine.images.load(Readable.from([archive]));
    if (image === undefined) throw new Error('the archive of the bench holds no image');
    for (const peer of peers) await peer.load(archive);
    const rows: Row[] = [];
    const add = async (row: Row | Promise<Row>): Promise<void> => {
      rows.push(await row);
      process.stderr.write(`${format(rows.at(-1) as Row)}\n`);
    };

    await add(
      compare(
        'run `true` to its exit, no network',
        rounds(200),
        () => engine.run(image, ['/bin/true'], { networks: ['none'] }),
        peers.map(peer => () => peer.run(tag, ['/bin/true'], { networkMode: 'none' })),
      ),
    );
    await add(
      compare(
        'the same with a bridge and a published port',
        rounds(100),
        () => engine.run(image, ['/bin/true'], { ports: [80] }),
        peers.map(peer => () => peer.run(tag, ['/bin/true'], { ports: [80] })),
      ),
    );
    await add(execRow(engine, image.id, peers));
    await add({
      job: '100 × run `true`, 16 at a time',
      unit: '/s',
      ours: await perSecond(rounds(100) * 3, 16, () => engine.run(image, ['/bin/true'], { networks: ['none'] })),
      theirs: await each(peers, peer =>
        perSecond(rounds(100), 16, () => peer.run(tag, ['/bin/true'], { networkMode: 'none' })),
      ),
    });
    await add({
      job: 'resident memory of an idle container’s monitor',
      unit: 'MiB',
      ours: await monitorMemory(engine, image.id),
      theirs: [],
    });
    await add({ job: 'import and open', unit: 'ms', ours: openTime(directory), theirs: [] });
    for (const row of await fileRows(engine, image.id, tag, peers, rounds(5))) await add(row);
    const registry = process.env['TSC_BENCH_REGISTRY'];
    if (registry !== undefined) await add(pullRow(engine, registry, peers));

    for (const peer of peers) await peer.removeImage(tag);
    print(
      rows,
      peers.map((_, index) => `Docker ${versions[index]}`),
    );
  } finally {
    await engine.close();
    rmSync(directory, { recursive: true, force: true });
    rmSync(runDirectory, { recursive: true, force: true });
  }
}

/** Calls that do not count: a test harness runs thousands in one process, and a daemon has run for hours. */
const WARM = smoke ? 3 : 100;

async function compare(
  job: string,
  count: number,
  ours: () => Promise<unknown>,
  theirs: readonly (() => Promise<unknown>)[],
): Promise<Row> {
  return {
    job,
    unit: 'ms',
    ours: await median(count, ours, WARM),
    theirs: await each(theirs, work => median(Math.max(3, Math.round(count / 5)), work)),
  };
}

async function execRow(engine: Engine, image: string, peers: readonly Docker[]): Promise<Row> {
  await using container = await engine.launch(image, { command: ['/bin/sleep'], networks: ['none'] });
  const ours = await median(rounds(200), () => container.exec(['/bin/true']), WARM);
  const theirs = await each(peers, async peer => {
    const id = await peer.create(tag, ['/bin/sleep'], { networkMode: 'none' });
    await peer.start(id);
    try {
      return await median(rounds(40), () => peer.exec(id, ['/bin/true']));
    } finally {
      await peer.remove(id);
    }
  });
  return { job: 'exec `true` in a running container', unit: 'ms', ours, theirs };
}

async function pullRow(engine: Engine, registry: string, peers: readonly Docker[]): Promise<Row> {
  const repository = 'tsc-bench/large';
  const size = smoke ? { layers: 4, files: 800, bytes: 8_000_000 } : undefined;
  await pushLarge(registry, repository, '1', size);
  const ref = `${registry}/${repository}:1`;
  const repeat = smoke ? 1 : 3;
  const ours: number[] = [];
  const theirs: number[][] = peers.map(() => []);
  // In turn, so that a busy disk hits all alike.
  for (let round = 0; round < repeat; round++) {
    ours.push(await timed(() => engine.images.pull(ref)));
    await (await engine.images.get(ref)).remove({ force: true });
    await engine.prune();
    sync();
    for (const [index, peer] of peers.entries()) {
      theirs[index]?.push(await timed(() => peer.pull(ref)));
      await peer.removeImage(ref);
      sync();
    }
  }
  return {
    job: 'pull and unpack 430 MB, 30,000 files, 4 layers',
    unit: 'ms',
    ours: middle(ours),
    theirs: theirs.map(middle),
  };
}

/** What one has written must not be what the next one waits for. */
function sync(): void {
  spawnSync('sync');
}

async function monitorMemory(engine: Engine, image: string): Promise<number> {
  await using container = await engine.launch(image, { command: ['/bin/sleep'], networks: ['none'] });
  const { pid } = await container.inspect();
  const monitor = /^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${monitor}/status`, 'utf8'))?.[1]) / 1024;
}

/** In a fresh process, from before the import to the open engine. */
function openTime(directory: string): number {
  const index = fileURLToPath(new URL('../lib/index.js', import.meta.url));
  const root = join(directory, 'opened');
  mkdirSync(root);
  const script = `
    const begun = performance.now();
    const { Engine } = await import(${JSON.stringify(index)});
    const engine = await Engine.open({ root: ${JSON.stringify(join(root, 's'))}, runRoot: ${JSON.stringify(join(root, 'r'))} });
    console.log(performance.now() - begun);
    await engine.close();`;
  const times = Array.from({ length: rounds(9) }, () =>
    Number(spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }).stdout),
  );
  return middle(times);
}

async function each<T>(items: readonly T[], work: (item: T) => Promise<number>): Promise<number[]> {
  const results: number[] = [];
  for (const item of items) results.push(await work(item));
  return results;
}

function format({ job, unit, ours, theirs }: Row): string {
  const show = (value: number): string => `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${unit}`;
  const ratio = (value: number): string =>
    unit === '/s'
      ? (ours / value).toFixed(1)
      : value / ours >= 10
        ? (value / ours).toFixed(0)
        : (value / ours).toFixed(2);
  return `| ${[job, show(ours), ...theirs.flatMap(value => [show(value), `${ratio(value)}×`])].join(' | ')} |`;
}

function print(rows: readonly Row[], peers: readonly string[]): void {
  console.log(`| job | tscontainer |${peers.map(peer => ` ${peer} | we are faster by |`).join('')}`);
  console.log(`|---|---|${peers.map(() => '---|---|').join('')}`);
  for (const row of rows) console.log(format(row));
}

await main();
