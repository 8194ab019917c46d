import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { ImageCollection } from '../../lib/image/images.js';
import { hostPlatform } from '../../lib/oci/platform.js';
import { Place } from '../store/place.js';
import { needs } from '../support/needs.js';
import { TestRegistry } from '../support/registry.js';
import { tar } from './fixtures.js';

const platform = hostPlatform();
const layers = ['a', 'b', 'c', 'd'].map(name =>
  tar([
    { name: `${name}/` },
    { name: `${name}/noise`, content: randomBytes(2 << 20) },
    ...Array.from({ length: 50 }, (_, i) => ({ name: `${name}/${i}`, content: `${i}` })),
  ]),
);

let place: Place;
let registry: TestRegistry;
let children: ChildProcess[];

beforeEach(async () => {
  place = new Place();
  registry = await TestRegistry.start();
  children = [];
});

afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  await registry[Symbol.asyncDispose]();
  await place[Symbol.asyncDispose]();
});

/** Another process that pulls into our store; `wrapper` is a command that starts it. */
function start(...wrapper: string[]): { child: ChildProcess; lines: AsyncIterable<string>; ended: Promise<unknown[]> } {
  const program = fileURLToPath(new URL('./children/pull.js', import.meta.url));
  const args = [program, place.at('root'), place.at('run'), `${registry.host}/app:1`];
  const [command = '', ...rest] = [...wrapper, process.execPath, ...args];
  const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  return {
    child,
    lines: createInterface({ input: child.stdout as NodeJS.ReadableStream }),
    ended: once(child, 'close'),
  };
}

async function expectWhole(): Promise<void> {
  const store = await place.open();
  const images = new ImageCollection({ store });
  const image = await images.pull(`${registry.host}/app:1`);
  const { chain, readFile } = images.resolve(image);
  for (const name of ['a', 'b', 'c', 'd']) expect(readFile(`/${name}/49`)?.toString()).toBe('49');
  const [top = ''] = store.snapshots.lowers(chain);
  expect(statSync(join(top, 'd', 'noise')).size).toBe(2 << 20);
  expect(store.snapshots.list()).toHaveLength(4);
  expect(readdirSync(place.at('root', 'snapshots')).filter(name => name.startsWith('new.'))).toEqual([]);
  expect(readdirSync(place.at('root', 'ingest'))).toEqual([]);
}

test('several processes that pull the same image at once do not harm each other', async () => {
  registry.putImage('app', '1', { layers, platform });
  const ids = await Promise.all(
    [start(), start(), start()].map(async ({ lines }) => {
      let last = '';
      for await (const line of lines) last = line;
      return last;
    }),
  );
  expect(new Set(ids).size).toBe(1);
  expect(ids[0]).toMatch(/^pulled sha256:/);
  // Each layer came once, whoever fetched it.
  const blobs = registry.seen(/GET .*blobs/).map(request => request.path);
  expect(blobs.length).toBeLessThan(3 * 5);
  await expectWhole();
});

test.each(['download', 'unpack', 'done'])(
  'a process killed at its first %s leaves a store in which the pull succeeds',
  async at => {
    registry.putImage('app', '1', { layers, platform });
    const { child, lines, ended } = start();
    for await (const line of lines) {
      if (!line.startsWith(at) || line === `${at} 0`) continue;
      child.kill('SIGKILL');
      break;
    }
    await ended;
    await expectWhole();
  },
);

test('what a killed process had downloaded is not downloaded again', async () => {
  const put = registry.putImage('app', '1', { layers: layers.slice(0, 1), platform });
  const blob = new RegExp(`GET .*blobs/${put.layers[0]?.digest}`);
  registry.fail(blob, { type: 'stall', after: 3 << 19 }, 1);
  const { child, lines, ended } = start();
  for await (const line of lines) {
    if (Number(/^download (\d+)$/.exec(line)?.[1]) < 3 << 19) continue;
    if (line.startsWith('download')) break;
  }
  child.kill('SIGKILL');
  await ended;
  const store = await place.open();
  await new ImageCollection({ store }).pull(`${registry.host}/app:1`);
  expect(registry.seen(blob).at(-1)?.headers.range).toMatch(/^bytes=[1-9]\d*-$/);
});

needs('root', 'unshare').test(
  'a disk that is full is told, with what to do, and nothing of the image is there',
  async () => {
    registry.putImage('app', '1', { layers, platform });
    mkdirSync(place.at('root'));
    // Mounted in a namespace of its own, which goes with the process.
    const script = `mount -t tmpfs -o size=4m tmpfs ${place.at('root')} && exec "$@"`;
    const { lines } = start('unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh');
    const said: string[] = [];
    for await (const line of lines) said.push(line);
    expect(said.at(-1)).toMatch(/^failed CTR_SYSCALL .*ENOSPC.*The disk of the store is full/);
    expect(said.at(-2)).toBe('left 0 images, 0 snapshots');
  },
);
