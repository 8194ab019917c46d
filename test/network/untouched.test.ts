import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

import { expect } from '@jest/globals';

import { testEngine } from '../support/engine.js';
import { nodeImage } from '../support/host.js';
import { needs } from '../support/needs.js';
import { until } from '../support/until.js';
import { Machine } from './machine.js';

const { test } = needs('root', 'nft', 'ip', 'unshare', 'nsenter');

/** Of each process. Raise it by hand to see how it goes with hundreds: 200 need some gigabytes for so many Nodes. */
const EACH = 10;

const starter = fileURLToPath(new URL('./children/starter.js', import.meta.url));

interface Started {
  readonly id: string;
  readonly ip: string;
  readonly port: number;
}

/** All that an engine could change of a machine's network. What the kernel counts or times is left out. */
async function networkOf(machine: Machine): Promise<string> {
  return machine.run(
    'nft list ruleset; ip -o addr show | sed "s/valid_lft.*//"; ip route show table all; ip -6 route show table all; ip rule; ' +
      'ls /sys/class/net; grep -rs "" /proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf /proc/sys/net/ipv4/ip_* /proc/sys/net/bridge | ' +
      'grep -v "/stable_secret"; true',
  );
}

async function first(child: ChildProcess): Promise<Started[]> {
  for await (const line of createInterface({ input: child.stdout as Readable })) return JSON.parse(line) as Started[];
  throw new Error('it ended without a word');
}

test('two processes start containers at once: no address and no port twice, all are reached, and the host is as it was', async () => {
  await using machine = await Machine.start();
  await using engine = await testEngine();
  const image = await nodeImage(engine);
  // What stays as documented: packets are passed on.
  await machine.run('echo 1 > /proc/sys/net/ipv4/ip_forward');
  const before = await networkOf(machine);
  const { root, place } = engine;
  const [program = '', ...args] = machine.within(
    ...[process.execPath, starter, root, `${place.directory}/crowd`, image.id, String(EACH), 'bridge'],
  );
  const children = [0, 1].map(() => spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] }));
  const started = (await Promise.all(children.map(first))).flat();
  expect(started).toHaveLength(2 * EACH);
  expect(new Set(started.map(({ ip }) => ip)).size).toBe(2 * EACH);
  expect(new Set(started.map(({ port }) => port)).size).toBe(2 * EACH);
  expect(await networkOf(machine)).not.toBe(before);
  for (const { id, port } of started) {
    const ask = `${process.execPath} -e "fetch('http://127.0.0.1:${port}/').then(r => r.text()).then(t => console.log(t), () => console.log(''))"`;
    await until(`${id} answers`, async () => (await machine.run(ask)).trim() === id.slice(0, 12));
  }
  for (const child of children) {
    child.stdin?.end();
    if (child.exitCode === null) await once(child, 'exit');
    child.stdout.destroy();
  }
  expect(await networkOf(machine)).toBe(before);
}, 120_000);
