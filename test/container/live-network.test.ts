import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';

import { afterAll, beforeAll, expect } from '@jest/globals';

import type { Container } from '../../lib/container/container.js';
import type { CreateContainerOptions } from '../../lib/container/options.js';
import { ready } from '../../lib/container/ready.js';
import type { Image } from '../../lib/image/image.js';
import type { Owned } from '../../lib/types.js';
import { testEngine, type TestEngine } from '../support/engine.js';
import { nodeImage } from '../support/host.js';
import { needs } from '../support/needs.js';

const { test } = needs('root', 'nft', 'ip');

/** Answers over HTTP with its name and who asked, over UDP with what it got. */
const SERVER = `const [name, host] = process.argv.slice(1);
  require('http').createServer((q, s) => { s.setHeader('x-from', String(q.socket.remoteAddress)); s.end(q.method + ' ' + q.url + ' ' + name); }).listen(80, host);
  const udp = require('dgram').createSocket('udp4').on('message', (m, from) => udp.send('echo ' + m, from.port, from.address)).bind(53);`;

let engine: TestEngine;
let image: Image;

beforeAll(async () => {
  engine = await testEngine();
  image = await nodeImage(engine);
});

afterAll(async () => engine[Symbol.asyncDispose]());

async function server(options: Omit<CreateContainerOptions, 'image'>, host = '::'): Promise<Owned<Container>> {
  const entrypoint = [process.execPath, '-e', SERVER, options.name ?? 'server', host];
  const container = await engine.launch(image, { entrypoint, stopSignal: 'SIGKILL', ...options });
  await container.waitFor(ready.port(80), { signal: AbortSignal.timeout(20_000) });
  return container;
}

async function get(host: string, port: number): Promise<string> {
  const response = await fetch(`http://${host.includes(':') ? `[${host}]` : host}:${port}/`);
  return response.text();
}

async function echo(host: string, port: number, word: string): Promise<string> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  try {
    socket.send(word, port, host);
    const [answer] = (await once(socket, 'message', { signal: AbortSignal.timeout(5_000) })) as [Buffer];
    return answer.toString();
  } finally {
    socket.close();
  }
}

async function refused(host: string, port: number): Promise<string> {
  const socket: Socket = connect({ host, port });
  try {
    await once(socket, 'connect');
    return 'connected';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown';
  } finally {
    socket.destroy();
  }
}

async function outside(container: Container, what: string): Promise<string> {
  const script = `const {promises: dns} = require('dns'); (async () => ${what})().then(v => console.log(v), e => console.log(e.cause?.code ?? e.code))`;
  return (await container.exec([process.execPath, '-e', script])).stdout.trim();
}

test.each([['none'], ['bridge'], ['host']])(
  'a port is dialled on network %s, also one of loopback alone',
  async network => {
    // On the host's network the port is the host's: another one, so that nobody is in the way.
    const script = `require('http').createServer((q, s) => s.end(q.url)).listen(47811, '127.0.0.1')`;
    await using container = await engine.launch(image, {
      entrypoint: [process.execPath, '-e', script],
      networks: [network],
      stopSignal: 'SIGKILL',
    });
    await container.waitFor(ready.http('/', { port: 47811 }), { signal: AbortSignal.timeout(20_000) });
    const socket = await container.dial(47811);
    socket.end('GET /dialled HTTP/1.0\r\n\r\n');
    expect(await text(socket)).toContain('/dialled');
    const response = await container.fetch('/fetched', { port: 47811 });
    expect([response.status, await response.text()]).toEqual([200, '/fetched']);
    await expect(container.dial(47812)).rejects.toMatchObject({ code: 'CTR_SYSCALL', errno: 'ECONNREFUSED' });
    await expect(container.dial(0)).rejects.toThrow(TypeError);
  },
);

test('a port is published and withdrawn while the container runs', async () => {
  await using container = await server({ name: 'live' });
  const [mapping] = await container.publish('127.0.0.1::80');
  expect(mapping).toMatchObject({ container: 80, hostIp: '127.0.0.1', protocol: 'tcp' });
  expect(container.port(80)).toBe(mapping?.host);
  expect(await get('127.0.0.1', container.port(80))).toBe('GET / live');
  await expect(container.publish({ container: 53, host: container.port(80) })).rejects.toMatchObject({
    code: 'CTR_CONFLICT',
    message: expect.stringContaining(`:${container.port(80)}`) as unknown,
  });
  const [udp] = await container.publish({ container: 53, protocol: 'udp' });
  expect(await echo('127.0.0.1', udp?.host ?? 0, 'a')).toBe('echo a');
  expect(await echo('::1', udp?.host ?? 0, 'b')).toBe('echo b');
  await container.unpublish(80);
  expect(await refused('127.0.0.1', mapping?.host ?? 0)).toBe('ECONNREFUSED');
  expect(() => container.port(80)).toThrow('container.port');
  await expect(container.unpublish(80)).rejects.toMatchObject({ code: 'CTR_NOT_FOUND' });
});

test('a container joins and leaves networks while it runs', async () => {
  await using one = await engine.networks.create({ name: 'live-one', subnet: '10.213.1.0/24' });
  await using two = await engine.networks.create({ name: 'live-two', subnet: '10.213.2.0/24' });
  await using web = await server({ name: 'live-web', networks: ['live-two'] });
  await using client = await server({ name: 'live-client', networks: ['live-one'] });
  const ask = `fetch('http://www/').then(r => r.text())`;
  expect(await outside(client, ask)).toMatch(/ENOTFOUND|EAI_AGAIN/);
  await two.connect(client, { aliases: ['c'], ip: '10.213.2.77', mac: '02:00:00:00:00:77' });
  await one.connect('live-web', { aliases: ['www'] });
  expect(await outside(client, ask)).toBe('GET / live-web');
  expect((await client.inspect()).networks).toMatchObject({
    'live-one': { ip: '10.213.1.2' },
    'live-two': { ip: '10.213.2.77', mac: '02:00:00:00:00:77', aliases: ['c'] },
  });
  expect(await outside(web, `dns.resolve4('c').then(String)`)).toBe('10.213.2.77');
  const hosts = (await client.exec(['cat', '/etc/hosts'])).stdout;
  expect(hosts).toContain('10.213.2.77\t');
  await expect(two.connect(client)).rejects.toMatchObject({ code: 'CTR_CONFLICT' });
  await two.disconnect(client);
  expect((await client.exec(['cat', '/etc/hosts'])).stdout).not.toContain('10.213.2.77');
  expect(await outside(web, `dns.resolve4('c').then(String)`)).not.toBe('10.213.2.77');
  expect(Object.keys((await client.inspect()).networks)).toEqual(['live-one']);
  await expect(two.disconnect(client)).rejects.toMatchObject({ code: 'CTR_NOT_FOUND' });
  // The way out is the network that is left.
  await one.disconnect(client);
  await two.connect(client);
  expect((await client.exec(['cat', '/proc/net/route'])).stdout.split('\n')[1]).toMatch(/^eth0\t00000000\t0102D50A/);
  await client.restart();
  expect(Object.keys((await client.inspect()).networks)).toEqual(['live-two']);
});

test('the network with the highest priority is the way out', async () => {
  await using a = await engine.networks.create({ name: 'prio-a', subnet: '10.213.3.0/24' });
  await using b = await engine.networks.create({ name: 'prio-b', subnet: '10.213.4.0/24' });
  await using container = await server({ networks: [{ network: b.name, gatewayPriority: 1 }, { network: a.name }] });
  const route = async (): Promise<string> =>
    (await container.exec(['cat', '/proc/net/route'])).stdout.split('\n')[1] ?? '';
  expect(await route()).toMatch(/^eth0\t00000000\t0104D50A/);
  await b.disconnect(container);
  expect(await route()).toMatch(/^eth1\t00000000\t0103D50A/);
});

test('members of a network with IPv6 have addresses, names and a way to each other', async () => {
  await using network = await engine.networks.create({ name: 'six', subnet6: 'fd00:213::/64' });
  await using web = await server({ name: 'web6', networks: ['six'], ports: ['80'] });
  await using client = await server({ name: 'client6', networks: [{ network: 'six', ip6: 'fd00:213::99' }] });
  expect((await client.inspect()).networks['six']?.ip6).toBe('fd00:213::99');
  const ip6 = (await web.inspect()).networks['six']?.ip6 ?? '';
  expect(await outside(client, `dns.resolve6('web6').then(String)`)).toBe(ip6);
  expect(await outside(client, `dns.reverse('${ip6}').then(String)`)).toBe('web6.six');
  expect(await outside(client, `fetch('http://[${ip6}]/').then(r => r.text())`)).toBe('GET / web6');
  expect(await get('::1', web.port(80))).toBe('GET / web6');
  expect(network.name).toBe('six');
});

test('members of a network without icc do not reach each other, but the host reaches them', async () => {
  await using network = await engine.networks.create({ icc: false });
  await using web = await server({ networks: [network.name], ports: ['80'] });
  await using client = await server({ networks: [network.name] });
  const ip = (await web.inspect()).networks[network.name]?.ip ?? '';
  expect(
    await outside(client, `fetch('http://${ip}/', {signal: AbortSignal.timeout(700)}).then(r => r.text())`),
  ).not.toContain('GET');
  expect(await get('127.0.0.1', web.port(80))).toContain('GET /');
});

test('a new name is found at once, and the former no more', async () => {
  await using network = await engine.networks.create({ name: 'renaming', subnet: '10.213.8.0/24' });
  await using web = await server({ name: 'before', networks: [network.name] });
  await using client = await server({ name: 'asking', networks: [network.name] });
  const { ip = '' } = (await web.inspect()).networks[network.name] ?? {};
  expect(await outside(client, `dns.resolve4('before').then(String)`)).toBe(ip);
  await web.rename('after');
  expect(await outside(client, `dns.resolve4('after').then(String)`)).toBe(ip);
  expect(await outside(client, `dns.resolve4('before').then(String)`)).not.toBe(ip);
  await web.stop();
  expect(await outside(client, `dns.resolve4('after').then(String)`)).not.toBe(ip);
});

test('who leaves its last network with names asks the host’s servers again', async () => {
  await using network = await engine.networks.create({ name: 'last', subnet: '10.213.9.0/24' });
  await using container = await server({ name: 'alone' });
  const resolv = async (): Promise<string> => (await container.exec(['cat', '/etc/resolv.conf'])).stdout;
  await network.connect(container);
  expect(await resolv()).toContain('nameserver 127.0.0.11');
  await network.disconnect(container);
  expect(await resolv()).not.toContain('127.0.0.11');
});

test('a connection that fails half-way leaves nothing', async () => {
  await using network = await engine.networks.create({ name: 'failing', subnet: '10.213.10.0/24' });
  await using container = await server({ name: 'occupied' });
  const { pid = 0 } = await container.inspect();
  const ip = (...args: string[]): string =>
    execFileSync('nsenter', ['-t', String(pid), '-n', 'ip', ...args], { encoding: 'utf8' });
  // There is a device of the name that it would get.
  ip('link', 'add', 'eth1', 'type', 'bridge');
  await expect(network.connect(container)).rejects.toMatchObject({ code: 'CTR_SYSCALL' });
  expect(Object.keys((await container.inspect()).networks)).toEqual(['bridge']);
  expect((await network.inspect()).containers).toEqual({});
  ip('link', 'delete', 'eth1');
  await network.connect(container);
  expect((await network.inspect()).containers).toEqual({ [container.id]: '10.213.10.3' });
  expect(ip('route')).toContain('default via');
});

test('a port that another container has is said to be its', async () => {
  await using web = await server({ name: 'holder', ports: ['80', '53/udp'] });
  for (const [port, protocol] of [
    [80, 'tcp'],
    [53, 'udp'],
  ] as const) {
    const ports = [{ container: 80, host: web.port(port, protocol), protocol }];
    await expect(engine.launch(image, { entrypoint: ['cat'], ports })).rejects.toMatchObject({
      code: 'CTR_CONFLICT',
      usedBy: ['container holder'],
      message: expect.stringContaining('is in use by container holder') as unknown,
    });
  }
});
