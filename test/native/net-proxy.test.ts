import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

import { afterEach, expect, test } from '@jest/globals';

import { helperPath } from '../../lib/host/binary.js';
import { Plan, type PlanField } from '../../lib/host/plan.js';

type Facts = Record<string, unknown>[];

/** The helper as a proxy without a container: it forwards until its stdin ends. */
class Proxy {
  readonly child: ChildProcess;
  readonly facts: Facts = [];
  readonly #ended: Promise<unknown>;

  private constructor(ops: readonly (readonly [string, ...PlanField[]])[], prefix: readonly string[]) {
    const [program = '', ...args] = [...prefix, helperPath(), 'net'];
    this.child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit', 'pipe'] });
    this.#ended = once(this.child, 'close');
    const plan = new Plan().op('proxy-serve');
    for (const [name, ...fields] of ops) plan.op(name, ...fields);
    (this.child.stdio[3] as Writable).end(plan.encode());
  }

  /** Resolves when it listens, or has failed. */
  static async start(
    ops: readonly (readonly [string, ...PlanField[]])[],
    options: { readonly facts?: number; readonly prefix?: readonly string[] } = {},
  ): Promise<Proxy> {
    const proxy = new Proxy(ops, options.prefix ?? []);
    running.push(proxy);
    for await (const line of createInterface({ input: proxy.child.stdout as Readable })) {
      proxy.facts.push(JSON.parse(line) as Facts[number]);
      if (proxy.facts.length === (options.facts ?? 1)) break;
    }
    return proxy;
  }

  get port(): number {
    return Number(this.facts[0]?.['hostPort']);
  }

  descriptors(): number {
    return readdirSync(`/proc/${this.child.pid}/fd`).length;
  }

  /** CPU time so far, in clock ticks. */
  ticks(): number {
    const fields = readFileSync(`/proc/${this.child.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return Number(fields[11]) + Number(fields[12]);
  }

  async stop(): Promise<void> {
    this.child.stdin?.end();
    await this.#ended;
  }
}

const running: Proxy[] = [];
const servers: Server[] = [];

afterEach(async () => {
  for (const proxy of running.splice(0)) await proxy.stop();
  for (const server of servers.splice(0)) server.close();
});

async function serve(onClient: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, socket => {
    socket.on('error', () => {});
    onClient(socket);
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function proxyTo(target: number, prefix?: readonly string[]): Promise<Proxy> {
  return Proxy.start([['proxy', 'tcp', '127.0.0.1', 0, '127.0.0.1', target]], prefix === undefined ? {} : { prefix });
}

async function dial(port: number, host = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ port, host, allowHalfOpen: true });
  await once(socket, 'connect');
  return socket;
}

/** All that it will say. Unlike `stream/consumers` this leaves the other direction open. */
async function said(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk)).resume();
  await once(socket, 'end');
  return Buffer.concat(chunks);
}

async function until(holds: () => boolean): Promise<void> {
  for (const end = Date.now() + 10_000; !holds(); ) {
    if (Date.now() > end) throw new Error(`still not: ${holds.toString()}`);
    await new Promise(resolve => setTimeout(resolve, 2));
  }
}

test('what goes in comes out, both ways at once and to the last byte', async () => {
  const proxy = await proxyTo(await serve(socket => socket.pipe(socket)));
  const content = randomBytes(16 * 1024 * 1024);
  const client = await dial(proxy.port);
  const received = said(client);
  client.end(content);
  expect(createHash('sha256').update(await received).digest('hex')).toBe(createHash('sha256').update(content).digest('hex'));
});

test('a client that has said all still gets its answer', async () => {
  const proxy = await proxyTo(
    await serve(socket => {
      void said(socket).then(question => socket.end(`heard ${question.length}`));
    }),
  );
  const client = await dial(proxy.port);
  client.end('question');
  expect((await said(client)).toString()).toBe('heard 8');
});

test('a server that has said all still hears the client', async () => {
  let heard = '';
  const proxy = await proxyTo(
    await serve(socket => {
      socket.end('greeting');
      void said(socket).then(text => (heard = text.toString()));
    }),
  );
  const client = await dial(proxy.port);
  expect((await said(client)).toString()).toBe('greeting');
  client.end('late');
  await until(() => heard === 'late');
});

test('where nobody listens the client is reset', async () => {
  const port = await serve(() => {});
  await new Promise(resolve => servers.pop()?.close(resolve));
  const proxy = await proxyTo(port);
  const client = connect(proxy.port, '127.0.0.1');
  const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException];
  expect(error.code).toBe('ECONNRESET');
});

test('a client that breaks off breaks off the server', async () => {
  let failure: NodeJS.ErrnoException | undefined;
  let heard = false;
  const proxy = await proxyTo(
    await serve(socket => socket.on('data', () => (heard = true)).on('error', error => (failure = error))),
  );
  const client = await dial(proxy.port);
  client.write('x');
  await until(() => heard);
  client.resetAndDestroy();
  await until(() => failure !== undefined);
  expect(failure?.code).toBe('ECONNRESET');
});

test('a reader that does not read holds the writer up, and nothing is lost', async () => {
  let server: Socket | undefined;
  const proxy = await proxyTo(await serve(socket => (server = socket.pause())));
  const client = await dial(proxy.port);
  const chunk = Buffer.alloc(1024 * 1024, 7);
  let sent = 0;
  // Socket buffers grow up to some megabytes; a proxy without back-pressure would take it all.
  for (; sent < 64; sent++) client.write(chunk);
  await until(() => server !== undefined);
  expect(client.writableLength).toBeGreaterThan(0);
  const received = said(server as Socket);
  client.end();
  expect((await received).length).toBe(sent * chunk.length);
});

test('a thousand connections come and go, and no descriptor stays', async () => {
  const proxy = await proxyTo(await serve(socket => socket.pipe(socket)), ['prlimit', '--nofile=8192']);
  await exchange(proxy.port, 50);
  const before = proxy.descriptors();
  for (let round = 0; round < 4; round++) await exchange(proxy.port, 250);
  // Up to sixteen pipes are kept for the next connections.
  await until(() => proxy.descriptors() <= before + 32);
  await exchange(proxy.port, 1);
});

async function exchange(port: number, count: number): Promise<void> {
  const answers = await Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const client = await dial(port);
      const received = said(client);
      client.end(`message ${i}`);
      return (await received).toString();
    }),
  );
  expect(answers).toEqual(Array.from({ length: count }, (_, i) => `message ${i}`));
}

test('out of descriptors it lets clients wait, without spinning, and serves them when others have gone', async () => {
  // Room for two connections.
  const proxy = await proxyTo(await serve(socket => socket.pipe(socket)), ['prlimit', '--nofile=80']);
  const clients = await Promise.all(Array.from({ length: 6 }, () => dial(proxy.port)));
  const answers = clients.map(client => once(client, 'data'));
  clients.forEach((client, i) => client.write(`${i}`));
  await Promise.race(answers);
  const ticks = proxy.ticks();
  await new Promise(resolve => setTimeout(resolve, 300));
  expect(proxy.ticks() - ticks).toBeLessThan(10);
  for (const client of clients) {
    client.end();
    await once(client, 'close');
  }
  expect((await Promise.all(answers)).map(String)).toEqual(['0', '1', '2', '3', '4', '5']);
});

test('any free port is the same one on IPv4 and IPv6', async () => {
  const target = await serve(socket => socket.end('hello'));
  const proxy = await Proxy.start([['proxy', 'tcp', '127.0.0.1,::1', 0, '127.0.0.1', target]], { facts: 2 });
  expect(proxy.facts).toEqual([
    { fact: 'listening', hostIp: '127.0.0.1', hostPort: proxy.port, targetPort: target, protocol: 'tcp', kernel: false },
    { fact: 'listening', hostIp: '::1', hostPort: proxy.port, targetPort: target, protocol: 'tcp', kernel: false },
  ]);
  for (const host of ['127.0.0.1', '::1']) expect((await said(await dial(proxy.port, host))).toString()).toBe('hello');
});

test('a port in use is an error that names it', async () => {
  const taken = await serve(() => {});
  const proxy = await Proxy.start([['proxy', 'tcp', '127.0.0.1', taken, '127.0.0.1', 1]]);
  expect(proxy.facts).toEqual([{ fact: 'error', stage: 'publish', syscall: 'bind', errno: 'EADDRINUSE', path: `127.0.0.1:${taken}` }]);
});

test('of a range the first free port is taken', async () => {
  const taken = await serve(() => {});
  const proxy = await Proxy.start([['proxy', 'tcp', '127.0.0.1', `${taken}-${taken + 9}`, '127.0.0.1', taken]]);
  expect(proxy.port).toBeGreaterThan(taken);
  expect(proxy.port).toBeLessThan(taken + 10);
});

test.each([
  { what: 'an address that is none', op: ['proxy', 'tcp', 'localhost', 0, '127.0.0.1', 1], errno: 'EINVAL' },
  { what: 'a target that is none', op: ['proxy', 'tcp', '127.0.0.1', 0, '127.0.0.1', 0], errno: 'EINVAL' },
  { what: 'a port that is none', op: ['proxy', 'tcp', '127.0.0.1', '70000', '127.0.0.1', 1], errno: 'EINVAL' },
  { what: 'another protocol', op: ['proxy', 'sctp', '127.0.0.1', 0, '127.0.0.1', 1], errno: 'EPROTONOSUPPORT' },
])('$what is refused', async ({ op, errno }) => {
  const proxy = await Proxy.start([op as [string, ...PlanField[]]]);
  expect(proxy.facts).toMatchObject([{ fact: 'error', stage: 'publish', errno }]);
});
