import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, expect } from '@jest/globals';

import { ready, type Container, type CreateContainerOptions, type Owned } from '../../lib/index.js';
import { craftedImage } from '../support/crafted.js';
import { testEngine, type TestEngine } from '../support/engine.js';
import { baseImage, nodeImage } from '../support/host.js';
import { needs } from '../support/needs.js';

const { describe, test } = needs('root', 'nft');

/** Serves the sites below /sites, one on each port that it is told. */
const SITES = `
  const { readFileSync } = require('node:fs');
  let missing = 0;
  const ports = process.argv.slice(1);
  for (const port of ports) require('node:http').createServer((request, response) => {
    try { response.end(readFileSync('/sites/' + port + '/index.html')); }
    catch { response.writeHead(404).end(); }
  }).listen(Number(port), () => { if (++missing === ports.length) console.log('serving'); });
`;

/** Answers one line with what was stored, of which it keeps the last on its volume. */
const DATABASE = `
  const fs = require('node:fs');
  require('node:net').createServer(socket => socket.setEncoding('utf8').on('data', line => {
    const [verb, value] = line.trim().split(' ');
    if (verb === 'SET') fs.writeFileSync('/data/value', value);
    socket.end(fs.existsSync('/data/value') ? fs.readFileSync('/data/value', 'utf8') : 'nothing');
  })).listen(5432, () => console.log('accepting'));
`;

/** Finds its database by what the link told it, and passes on what it is asked. */
const APP = `
  const { connect } = require('node:net');
  require('node:http').createServer((request, response) => {
    const socket = connect(Number(process.env.DB_PORT_5432_TCP_PORT), 'db', () => socket.write(request.url.slice(1).replace('/', ' ')));
    socket.on('error', error => response.writeHead(502).end(String(error)));
    socket.pipe(response);
  }).listen(8080, () => console.log('serving'));
`;

describe('what people build of containers and volumes', () => {
  let engine: TestEngine;
  let place: string;
  beforeAll(async () => {
    engine = await testEngine();
    place = join(engine.place.directory, 'host');
    mkdirSync(place);
  });
  afterEach(async () => {
    for (const volume of await engine.volumes.list()) await volume.remove();
  });
  afterAll(async () => engine[Symbol.asyncDispose]());

  /** Starts a program of this machine's node and waits until it has said that it is there. */
  async function program(
    script: string,
    args: readonly string[],
    said: string,
    options: Partial<CreateContainerOptions>,
  ): Promise<Owned<Container>> {
    const command = [process.execPath, '-e', script, ...args];
    const container = await engine.launch(await nodeImage(engine), { ...options, command });
    await container.waitFor(ready.log(said), { signal: AbortSignal.timeout(60_000) });
    return container;
  }

  function site(name: string, port: string, text: string): string {
    const directory = join(place, name);
    mkdirSync(join(directory, port), { recursive: true });
    writeFileSync(join(directory, port, 'index.html'), text);
    return directory;
  }

  test('one server, two sites, each on a port of its own', async () => {
    site('two', '80', 'the first site');
    const source = site('two', '81', 'the second site');
    await using server = await program(SITES, ['80', '81'], 'serving', {
      ports: [80, 81],
      mounts: [{ type: 'bind', source, target: '/sites', readOnly: true }],
    });
    expect(await page(server.port(80))).toBe('the first site');
    expect(await page(server.port(81))).toBe('the second site');
  });

  test('three servers share a directory of the host: an edit is seen by all of them', async () => {
    const source = site('cluster', '80', 'before');
    const options = { ports: [80], mounts: [{ type: 'bind', source, target: '/sites', readOnly: true }] } as const;
    await using first = await program(SITES, ['80'], 'serving', options);
    await using second = await program(SITES, ['80'], 'serving', options);
    await using third = await program(SITES, ['80'], 'serving', options);
    const ports = [first, second, third].map(server => server.port(80));
    expect(new Set(ports).size).toBe(3);
    expect(await Promise.all(ports.map(async port => page(port)))).toEqual(['before', 'before', 'before']);
    writeFileSync(join(source, '80', 'index.html'), 'after');
    expect(await Promise.all(ports.map(async port => page(port)))).toEqual(['after', 'after', 'after']);
  });

  test('an application finds its database by a link, and what is stored outlives the database', async () => {
    const mounts = [{ type: 'volume', source: 'ledger', target: '/data' }] as const;
    {
      await using db = await program(DATABASE, [], 'accepting', { mounts, expose: [5432] });
      await using app = await program(APP, [], 'serving', { links: [`${db.name}:db`], ports: [8080] });
      expect(await page(app.port(8080), '/GET')).toBe('nothing');
      expect(await page(app.port(8080), '/SET/42')).toBe('42');
    }
    expect((await engine.volumes.list()).map(({ name }) => name)).toEqual(['ledger']);
    await using db = await program(DATABASE, [], 'accepting', { mounts, expose: [5432] });
    await using app = await program(APP, [], 'serving', { links: [`${db.name}:db`], ports: [8080] });
    expect(await page(app.port(8080), '/GET')).toBe('42');
  });

  test('a container that is never started owns a volume, and others write and read it', async () => {
    const image = await baseImage(engine);
    await using data = await engine.containers.create({
      ...quiet,
      image,
      command: ['true'],
      mounts: [{ type: 'volume', target: '/shared' }],
    });
    await engine.run(image, ['sh', '-c', 'echo one >/shared/a'], { ...quiet, volumesFrom: [data.id] });
    await engine.run(image, ['sh', '-c', 'echo two >/shared/b'], { ...quiet, volumesFrom: [data.id] });
    const { stdout } = await engine.run(image, ['cat', '/shared/a', '/shared/b'], {
      ...quiet,
      volumesFrom: [{ container: data.id, readOnly: true }],
    });
    expect(stdout).toBe('one\ntwo\n');
    expect((await data.inspect()).state).toBe('created');
    await data.remove();
    expect(await engine.volumes.list()).toEqual([]);
  });

  test('an image packed with data gives it to whoever borrows its volume', async () => {
    const packed = await craftedImage(
      engine,
      [
        { name: 'config', type: 'directory', mode: 0o755, uid: 33, gid: 33 },
        { name: 'config/site.conf', mode: 0o640, uid: 33, gid: 33, content: 'mode=production\n' },
      ],
      { Volumes: { '/config': {} } },
    );
    await using data = await engine.containers.create({ ...quiet, image: packed, command: ['true'] });
    const script =
      'cat /config/site.conf; stat -c "%u %g %a" /config /config/site.conf; echo mode=test >/config/site.conf';
    const options = { ...quiet, volumesFrom: [data.id] };
    const first = await engine.run(await baseImage(engine), ['sh', '-c', script], options);
    expect(first.stdout).toBe('mode=production\n33 33 755\n33 33 640\n');
    const second = await engine.run(await baseImage(engine), ['cat', '/config/site.conf'], options);
    expect(second.stdout).toBe('mode=test\n');
    // The image is as it was.
    await using other = await engine.containers.create({ ...quiet, image: packed, command: ['true'] });
    const third = await engine.run(await baseImage(engine), ['cat', '/config/site.conf'], {
      ...quiet,
      volumesFrom: [other.id],
    });
    expect(third.stdout).toBe('mode=production\n');
  });

  test('a volume is backed up to an archive on the host and restored into another container', async () => {
    const image = await engine.images.fromHost({ binaries: ['sh', 'cat', 'tar', 'chmod', 'chown', 'ln', 'stat'] });
    const backups = join(place, 'backups');
    mkdirSync(backups);
    const backup = { type: 'bind', source: backups, target: '/backup' } as const;
    {
      await using store = await engine.containers.create({
        ...quiet,
        image,
        command: ['sh', '-c', 'echo secret >/data/key; chmod 600 /data/key; chown 5:6 /data/key; ln -s key /data/link'],
        mounts: [{ type: 'volume', source: 'store', target: '/data' }],
      });
      await store.start();
      expect(await store.wait()).toMatchObject({ exitCode: 0 });
      await engine.run(image, ['tar', '-cf', '/backup/data.tar', '-C', '/data', '.'], {
        ...quiet,
        volumesFrom: [{ container: store.id, readOnly: true }],
        mounts: [backup],
      });
    }
    await (await engine.volumes.get('store')).remove();
    await using restored = await engine.containers.create({
      ...quiet,
      image,
      command: ['sh', '-c', 'cat /data/link; stat -c "%u %g %a" /data/key'],
      mounts: [{ type: 'volume', target: '/data' }],
    });
    await engine.run(image, ['tar', '-xf', '/backup/data.tar', '-C', '/data'], {
      ...quiet,
      volumesFrom: [restored.id],
      mounts: [{ ...backup, readOnly: true }],
    });
    await restored.start();
    expect(await restored.wait()).toMatchObject({ exitCode: 0 });
    const lines: string[] = [];
    for await (const line of restored.logs()) lines.push(line.text);
    expect(lines).toEqual(['secret', '5 6 600']);
  });
});

const quiet = { networks: ['none'] } as const;

async function page(port: number, path = '/'): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: 'close' } });
  expect(response.status).toBe(200);
  return response.text();
}
