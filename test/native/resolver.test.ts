import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

import { expect } from '@jest/globals';

import { helperPath } from '../../lib/host/binary.js';
import { Plan } from '../../lib/host/plan.js';
import { Machine } from '../network/machine.js';
import { needs } from '../support/needs.js';

const { test } = needs('root', 'nft', 'ip');

/** Sends what is on its standard input, one datagram in hexadecimal per line, and then asks a real question. */
const ASKER = `const s = require('dgram').createSocket('udp4'), {Resolver} = require('dns').promises;
  s.on('error', () => {});
  require('readline').createInterface({input: process.stdin}).on('line', l => s.send(Buffer.from(l, 'hex'), 53, '127.0.0.11')).on('close', async () => {
    const r = new Resolver({timeout: 2000, tries: 3}); r.setServers(['127.0.0.11']);
    console.log(JSON.stringify([await r.resolve4('web'), await r.resolve4('WEB.net'), await r.reverse('10.0.0.7')])); process.exit(); });`;

/** The same garbage every time: what is wrong once stays wrong. */
function garbage(seed: number): Buffer {
  const bytes = createHash('sha512').update(String(seed)).digest();
  const body = Buffer.concat([bytes, createHash('sha512').update(bytes).digest()]).subarray(0, (seed * 7) % 128);
  // Every second one looks like a question, with lengths and types out of the hash.
  if (seed % 2 === 0 && body.length > 12) Buffer.from([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, seed % 3]).copy(body);
  return body;
}

test('garbage in the place of questions harms nobody: the next question is answered', async () => {
  await using machine = await Machine.start();
  const network = join(machine.path, 'network');
  mkdirSync(join(network, 'names', 'web'), { recursive: true });
  mkdirSync(join(network, 'addresses'));
  symlinkSync('id', join(network, 'names', 'web', '10.0.0.7'));
  symlinkSync('owner/id/nonce/web', join(network, 'addresses', '10.0.0.7'));
  const plan = new Plan()
    .op('proxy-serve')
    .op('resolver-listen', '127.0.0.11')
    .op('resolver-network', network, 'net');
  const [first = '', ...rest] = machine.within(helperPath(), 'net');
  const helper = spawn(first, rest, { stdio: ['pipe', 'pipe', 'inherit', 'pipe'] });
  (helper.stdio[3] as Writable).end(plan.encode());
  for await (const line of createInterface({ input: helper.stdout as Readable })) if (line.includes('serving')) break;
  const [program = '', ...args] = machine.within(process.execPath, '-e', ASKER);
  const asker = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  for (let seed = 0; seed < 2000; seed++) asker.stdin?.write(`${garbage(seed).toString('hex')}\n`);
  asker.stdin?.end();
  const [answer] = (await once(asker.stdout as Readable, 'data')) as [Buffer];
  expect(JSON.parse(answer.toString())).toEqual([['10.0.0.7'], ['10.0.0.7'], ['web.net']]);
  helper.stdin?.end();
  expect(await once(helper, 'exit')).toEqual([0, null]);
});
