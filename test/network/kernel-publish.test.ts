import { expect } from '@jest/globals';

import { ruleset, tableOf } from '../../lib/network/firewall-rules.js';
import type { Attachment } from '../../lib/network/attach.js';
import type { NetworkInfo } from '../../lib/network/network.js';
import { proxyOp } from '../../lib/network/ports.js';
import { helperPath } from '../../lib/host/binary.js';
import { Plan } from '../../lib/host/plan.js';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { needs } from '../support/needs.js';
import { askCommand, Machine } from './machine.js';

const { test } = needs('root', 'nft', 'ip');

test('the rules are the same however many ports there are, and there are none for ports of an internal network', () => {
  const network = { device: 'tsc0', subnet: '172.17.0.0/16', internal: false };
  expect(ruleset(network)).toContain('map ports4');
  expect(ruleset({ ...network, internal: true })).not.toContain('map');
  expect(ruleset({ ...network, masquerade: false })).not.toContain('masquerade');
  expect(ruleset({ ...network, icc: false })).toContain('iifname "tsc0" oifname "tsc0" drop');
});

test('a port is forwarded by the kernel: whoever asks from another machine is seen inside, and nothing is left of it', async () => {
  await using machine = await Machine.start();
  const engine = await machine.engine();
  const { device } = await engine.call<NetworkInfo>('create', { name: 'web' });
  const attachment = await engine.call<Attachment>('attach', 'c1', [{ network: 'web' }]);
  const inner = await machine.container();
  await inner.connect(attachment);
  // Tells who asks.
  const script = `require('net').createServer(s=>s.end(s.remoteAddress)).listen(80,'0.0.0.0',()=>console.log('up'))`;
  const [program = '', ...args] = inner.within(process.execPath, '-e', script);
  const server = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(server.stdout as Readable, 'data');
  // Another machine, on a wire of its own.
  const other = await machine.container();
  await machine.run(
    `ip link add wan type veth peer name wan netns ${other.pid} && ip addr add 10.99.0.1/24 dev wan && ip link set wan up`,
  );
  await other.run('ip addr add 10.99.0.2/24 dev wan && ip link set wan up && ip route add default via 10.99.0.1');
  const [endpoint] = attachment.endpoints;
  if (endpoint === undefined) throw new Error('no endpoint');
  expect(endpoint.table).toBe(tableOf(device));
  // Nobody outside reaches the container itself.
  expect(await other.ask(endpoint.ip, 80)).toBe('silence');
  const plan = new Plan().op('proxy-serve');
  const [op, ...fields] = proxyOp({ container: 80, host: [8080, 8080], hostIp: '', protocol: 'tcp' }, endpoint);
  plan.op(op, ...fields);
  const [nsenter = '', ...rest] = machine.within(helperPath(), 'net');
  const monitor = spawn(nsenter, rest, { stdio: ['pipe', 'pipe', 'inherit', 'pipe'] });
  (monitor.stdio[3] as Writable).end(plan.encode());
  const facts: Record<string, unknown>[] = [];
  for await (const line of createInterface({ input: monitor.stdout as Readable })) {
    const fact = JSON.parse(line) as Record<string, unknown>;
    if (fact['fact'] === 'serving') break;
    facts.push(fact);
  }
  expect(facts).toMatchObject([
    { hostIp: '0.0.0.0', kernel: true },
    { hostIp: '::', kernel: false },
  ]);
  expect(await machine.run(`nft list map inet ${endpoint.table} ports4`)).toContain(`tcp . 8080 : ${endpoint.ip} . 80`);
  expect(await other.ask('10.99.0.1', 8080)).toBe('10.99.0.2');
  expect(await machine.run(askCommand('127.0.0.1', 8080))).toBe(endpoint.host);
  // From the container itself, and so through the socket of the host.
  expect(await inner.ask('10.99.0.1', 8080)).toBe(endpoint.host);
  monitor.stdin?.end();
  await once(monitor, 'exit');
  expect(await machine.run(`nft list map inet ${endpoint.table} ports4`)).not.toContain('elements');
  expect(await other.ask('10.99.0.1', 8080)).toBe('ECONNREFUSED');
  server.kill('SIGKILL');
});
