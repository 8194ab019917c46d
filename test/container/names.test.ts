import { afterAll, beforeAll, expect } from '@jest/globals';

import type { Container } from '../../lib/container/container.js';
import type { CreateContainerOptions } from '../../lib/container/options.js';
import type { Image } from '../../lib/image/image.js';
import type { Owned } from '../../lib/types.js';
import { testEngine, type TestEngine } from '../support/engine.js';
import { nodeImage } from '../support/host.js';
import { needs } from '../support/needs.js';

const { test } = needs('root', 'nft', 'ip');

let engine: TestEngine;
let image: Image;

beforeAll(async () => {
  engine = await testEngine();
  image = await nodeImage(engine);
});

afterAll(async () => engine[Symbol.asyncDispose]());

async function idle(options: Omit<CreateContainerOptions, 'image'>): Promise<Owned<Container>> {
  return engine.launch(image, {
    entrypoint: [process.execPath, '-e', 'setInterval(() => {}, 1e6)'],
    stopSignal: 'SIGKILL',
    ...options,
  });
}

/** Asks the container's own resolver, by the library that asks without /etc/hosts. */
async function resolve(container: Container, what: string): Promise<unknown> {
  const script = `const {promises: dns} = require('dns');
    (async () => ${what})().then(value => console.log(JSON.stringify(value)), error => console.log(JSON.stringify(error.code)))`;
  return JSON.parse((await container.exec([process.execPath, '-e', script])).stdout) as unknown;
}

async function ipOf(container: Container, network: string): Promise<string> {
  return (await container.inspect()).networks[network]?.ip ?? '';
}

test('members of a network find each other by name, alias and short id, and lose each other at once', async () => {
  await using network = await engine.networks.create({ name: 'names1' });
  await using asker = await idle({ networks: ['names1'] });
  const web = await idle({ name: 'Web-1', networks: [{ network: 'names1', aliases: ['www'] }] });
  const ip = await ipOf(web, 'names1');
  for (const name of ['web-1', 'WEB-1', 'www', web.id.slice(0, 12), 'web-1.names1'])
    expect(await resolve(asker, `dns.resolve4('${name}')`)).toEqual([ip]);
  expect(await resolve(asker, `dns.lookup('www')`)).toEqual({ address: ip, family: 4 });
  expect(await resolve(asker, `dns.reverse('${ip}')`)).toEqual(['Web-1.names1']);
  expect(await resolve(asker, `dns.resolve6('www')`)).toBe('ENODATA');
  await web[Symbol.asyncDispose]();
  expect(await resolve(asker, `dns.resolve4('www')`)).not.toEqual([ip]);
  expect(await resolve(asker, `dns.resolve4('host.docker.internal')`)).toEqual([(await network.inspect()).gateway]);
});

test('a shared alias leads to all in turn, over UDP and over TCP', async () => {
  await using network = await engine.networks.create();
  const networks = [{ network: network.name, aliases: ['pool'] }];
  await using first = await idle({ networks, dnsOptions: ['use-vc'] });
  await using second = await idle({ networks });
  const both = [await ipOf(first, network.name), await ipOf(second, network.name)].sort();
  const answers = (await resolve(
    second,
    `Promise.all(Array.from({length: 20}, () => dns.resolve4('pool')))`,
  )) as string[][];
  for (const answer of answers) expect([...answer].sort()).toEqual(both);
  expect(new Set(answers.map(([one]) => one)).size).toBe(2);
  const overTcp = (await resolve(first, `dns.lookup('pool', {all: true})`)) as { address: string }[];
  expect(overTcp.map(({ address }) => address).sort()).toEqual(both);
});

test('containers of other networks, and of the default one, are not found', async () => {
  await using one = await engine.networks.create();
  await using other = await engine.networks.create();
  await using asker = await idle({ networks: [one.name], dns: ['127.0.0.1'] });
  await using hidden = await idle({ networks: [other.name] });
  await using plain = await idle({});
  for (const { name } of [hidden, plain]) expect(await resolve(asker, `dns.resolve4('${name}')`)).toBe('ESERVFAIL');
  expect((await plain.exec(['cat', '/etc/resolv.conf'])).stdout).not.toContain('127.0.0.11');
});

test('what no network knows is asked of the servers that were named, from inside', async () => {
  await using network = await engine.networks.create();
  // A server for one name: the answer repeats the question and adds an address.
  const server = `require('dgram').createSocket('udp4').on('message', function (m, from) {
    let end = 12; while (m[end]) end += m[end] + 1; end += 5;
    const answer = Buffer.concat([m.subarray(0, end), Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 9])]);
    answer.writeUInt16BE(0x8180, 2); answer.writeUInt16BE(1, 6); answer.writeUInt16BE(0, 10);
    this.send(answer, from.port, from.address);
  }).bind(53, process.argv[1], () => console.log('up'));`;
  await using upstream = await engine.launch(image, {
    entrypoint: [process.execPath, '-e', server, '0.0.0.0'],
    networks: [network.name],
    dns: ['192.0.2.1'],
    stopSignal: 'SIGKILL',
  });
  for await (const { text } of upstream.logs({ follow: true })) if (text === 'up') break;
  await using asker = await idle({ networks: [network.name], dns: [await ipOf(upstream, network.name)] });
  expect(await resolve(asker, `dns.resolve4('www.example.com')`)).toEqual(['203.0.113.9']);
  expect(await resolve(asker, `dns.resolve4('${upstream.name}')`)).toEqual([await ipOf(upstream, network.name)]);
});

test('an internal network asks nobody outside', async () => {
  await using network = await engine.networks.create({ internal: true });
  await using asker = await idle({ networks: [network.name] });
  expect(await resolve(asker, `dns.resolve4('www.example.com')`)).toBe('ESERVFAIL');
  expect(await resolve(asker, `dns.resolve4('${asker.name}')`)).toEqual([await ipOf(asker, network.name)]);
});

test('links of a user network are names that one container alone knows, and follow a restart', async () => {
  await using network = await engine.networks.create();
  await using db = await idle({ networks: [network.name] });
  await using app = await idle({ networks: [{ network: network.name, links: [`${db.name}:database`] }] });
  expect(await resolve(app, `dns.resolve4('database')`)).toEqual([await ipOf(db, network.name)]);
  await db.restart();
  expect(await resolve(app, `dns.resolve4('database')`)).toEqual([await ipOf(db, network.name)]);
  expect(await resolve(db, `dns.resolve4('database')`)).not.toEqual([await ipOf(db, network.name)]);
});

test('links of the default network are lines in /etc/hosts, and variables', async () => {
  await using db = await idle({ name: 'linked-db', env: { PASSWORD: 'x' }, expose: [5432] });
  await using app = await idle({ name: 'linked-app', links: ['linked-db:db'] });
  const ip = await ipOf(db, 'bridge');
  expect((await app.exec(['cat', '/etc/hosts'])).stdout).toContain(`${ip}\tdb ${db.id.slice(0, 12)} linked-db\n`);
  const first = `JSON.stringify(Object.fromEntries(require('fs').readFileSync('/proc/1/environ', 'utf8').split('\\0').map(e => e.split('='))))`;
  for (const script of [first, 'JSON.stringify(process.env)'])
    expect(JSON.parse((await app.exec([process.execPath, '-p', script])).stdout)).toMatchObject({
      DB_NAME: '/linked-app/db',
      DB_PORT: `tcp://${ip}:5432`,
      DB_PORT_5432_TCP: `tcp://${ip}:5432`,
      DB_PORT_5432_TCP_ADDR: ip,
      DB_PORT_5432_TCP_PORT: '5432',
      DB_PORT_5432_TCP_PROTO: 'tcp',
      DB_ENV_PASSWORD: 'x',
    });
});
