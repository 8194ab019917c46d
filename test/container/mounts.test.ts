import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import { expect } from '@jest/globals';

import type { Mount } from '../../lib/index.js';
import { craftedImage } from '../support/crafted.js';
import { testEngine } from '../support/engine.js';
import { baseImage } from '../support/host.js';
import { needs } from '../support/needs.js';

const { test } = needs('root');

const quiet = { networks: ['none'] } as const;

test('an image is mounted read-only, whole or a part of it', async () => {
  await using engine = await testEngine();
  const image = await baseImage(engine);
  const mounts: Mount[] = [
    { type: 'image', source: image.id, target: '/whole' },
    { type: 'image', source: image.id, target: '/part', subpath: 'etc' },
  ];
  const script = 'ls /whole/etc; echo --; ls /part; touch /whole/x; echo $?; rm /part/passwd; echo $?';
  const { stdout, stderr } = await engine.run(image, ['sh', '-c', script], { ...quiet, mounts, reject: false });
  const [whole, rest] = stdout.split('--\n');
  expect(rest).toBe(`${whole ?? ''}1\n1\n`);
  expect(whole).toContain('passwd');
  expect(stderr.match(/Read-only file system/g)).toHaveLength(2);
});

test('an image that a container mounts is in use', async () => {
  await using engine = await testEngine();
  const image = await baseImage(engine);
  const other = await craftedImage(engine, [{ name: 'tool', content: Buffer.from('x') }]);
  await using container = await engine.containers.create({
    ...quiet,
    image,
    command: ['cat', '/t/tool'],
    mounts: [{ type: 'image', source: other.id, target: '/t' }],
  });
  await expect(other.remove()).rejects.toMatchObject({ code: 'CTR_CONFLICT', usedBy: [container.id] });
});

test('over an overlay the host keeps its files, and each start begins anew', async () => {
  await using engine = await testEngine();
  const source = join(engine.root, 'source');
  mkdirSync(source);
  writeFileSync(join(source, 'kept'), 'as it was');
  await using container = await engine.containers.create({
    ...quiet,
    image: await baseImage(engine),
    command: ['sh', '-c', 'ls /data; echo changed >/data/kept; touch /data/new; rm -f /data/gone'],
    mounts: [{ type: 'bind', source, target: '/data', overlay: true }],
  });
  for (let starts = 0; starts < 2; starts++) {
    await container.start();
    expect((await container.wait()).exitCode).toBe(0);
  }
  const lines: string[] = [];
  for await (const line of container.logs()) lines.push(line.text);
  expect(lines).toEqual(['kept', 'kept']);
  expect(readdirSync(source)).toEqual(['kept']);
  expect(readFileSync(join(source, 'kept'), 'utf8')).toBe('as it was');
});

test('a tmpfs has the owner, the mode, the size and the rights that were asked for', async () => {
  await using engine = await testEngine();
  const script = `cat /bin/sh >/t/run; chmod 755 /t/run; /t/run -c 'stat -c "%u %g %a" /t'
    dd if=/dev/zero of=/t/big bs=1M count=2; echo $?`;
  const { stdout, stderr } = await engine.run(await baseImage(engine), ['sh', '-c', script], {
    ...quiet,
    mounts: [{ type: 'tmpfs', target: '/t', uid: 5, gid: 6, mode: 0o750, sizeBytes: 1 << 20, exec: true }],
  });
  expect(stdout).toBe('5 6 750\n1\n');
  expect(stderr).toContain('No space left on device');
});

test('volumes of another container are mounted at the same places, read-only if that is wanted, and outlive it', async () => {
  await using engine = await testEngine();
  const image = await baseImage(engine);
  const lender = await engine.containers.create({
    ...quiet,
    image,
    name: 'data',
    command: ['true'],
    lifetime: 'detached',
    mounts: [
      { type: 'volume', target: '/nameless' },
      { type: 'volume', source: 'named', target: '/named' },
      { type: 'tmpfs', target: '/not-lent' },
    ],
  });
  const write = ['sh', '-c', 'echo 1 >/nameless/a; echo 2 >/named/b; ls -d /not-lent'];
  const first = await engine.run(image, write, { ...quiet, volumesFrom: ['data'], reject: false });
  expect(first).toMatchObject({ exitCode: 2 });
  await using reader = await engine.containers.create({
    ...quiet,
    image,
    command: ['sh', '-c', 'cat /nameless/a /named/b; touch /named/c'],
    volumesFrom: [{ container: 'data', readOnly: true }],
  });
  await lender.remove();
  await reader.start();
  expect((await reader.wait()).exitCode).toBe(1);
  const lines: string[] = [];
  for await (const line of reader.logs({ stream: 'stdout' })) lines.push(line.text);
  expect(lines).toEqual(['1', '2']);
  expect(await engine.volumes.list()).toHaveLength(2);
  await reader.remove();
  expect((await engine.volumes.list()).map(({ name }) => name)).toEqual(['named']);
});

test('volumesFrom names a container that is there', async () => {
  await using engine = await testEngine();
  const image = await baseImage(engine);
  await expect(engine.containers.create({ image, volumesFrom: ['none'] })).rejects.toMatchObject({
    code: 'CTR_NOT_FOUND',
    kind: 'container',
    ref: 'none',
  });
});

test('a volume of the local driver is what its options say', async () => {
  await using engine = await testEngine();
  const source = join(engine.root, 'srv');
  mkdirSync(source);
  const mounts: Mount[] = [
    { type: 'volume', source: 'srv', target: '/srv', driverOptions: { type: 'none', o: 'bind', device: source } },
    { type: 'volume', source: 'ram', target: '/ram', driverOptions: { type: 'tmpfs', device: 'tmpfs', o: 'size=1m' } },
  ];
  const script = 'echo here >/srv/file; grep " /ram " /proc/self/mountinfo';
  const { stdout } = await engine.run(await baseImage(engine), ['sh', '-c', script], { ...quiet, mounts });
  expect(readFileSync(join(source, 'file'), 'utf8')).toBe('here\n');
  expect(stdout).toMatch(/ - tmpfs tmpfs .*size=1024k/);
  await (await engine.volumes.get('srv')).remove();
  expect(readdirSync(source)).toEqual(['file']);
});

test('a source on a private mount cannot be let in on what the host mounts', async () => {
  await using engine = await testEngine();
  await baseImage(engine);
  const answer = await within('private', engine.root, engine.place.runRoot);
  expect(answer).toEqual({ code: 'CTR_INVALID_STATE', kind: 'file', state: expect.stringMatching(/a private mount$/) });
});

test('what is mounted below a source comes along, and what comes later where that was asked for', async () => {
  await using engine = await testEngine();
  await baseImage(engine);
  expect(await within('shared', engine.root, engine.place.runRoot)).toEqual({
    enabled: { below: 'there', top: 'ro', inner: 'ro' },
    disabled: { below: '', top: 'ro', inner: '' },
    writable: { below: 'there', top: 'ro', inner: 'rw' },
    rprivate: '',
    rslave: 'later',
    fromInside: { rslave: '', rshared: 'from inside' },
  });
});

/** Asks a process that has a mount namespace of its own: no test mounts anything where others see it. */
async function within(kind: 'private' | 'shared', root: string, runRoot: string): Promise<unknown> {
  const child = fileURLToPath(new URL('children/mounts.js', import.meta.url));
  const own = spawn('unshare', ['--mount', '--propagation', 'private', process.execPath, child, kind, root, runRoot], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [answer] = await Promise.all([text(own.stdout), once(own, 'exit')]);
  return JSON.parse(answer) as unknown;
}
