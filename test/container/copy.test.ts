import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  chownSync,
  linkSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';

import { afterAll, beforeAll, expect } from '@jest/globals';

import { formatEntry, writeTar, type TarInput } from '../../lib/archive/writer.js';
import type { Container, Owned } from '../../lib/index.js';
import { testEngine, type TestEngine } from '../support/engine.js';
import { baseImage } from '../support/host.js';
import { needs } from '../support/needs.js';

const { describe, test } = needs('root');

let engine: TestEngine;
let here: string;

beforeAll(async () => {
  engine = await testEngine();
  await baseImage(engine);
  here = mkdtempSync(join(tmpdir(), 'tsc-copy-'));
});

afterAll(async () => {
  rmSync(here, { recursive: true, force: true });
  await engine[Symbol.asyncDispose]();
});

const states = ['created', 'running', 'exited'] as const;

async function inState(state: (typeof states)[number], options: object = {}): Promise<Owned<Container>> {
  const container = await engine.containers.create({
    image: await baseImage(engine),
    command: ['sleep', '1000'],
    networks: ['none'],
    ...options,
  });
  if (state !== 'created') await container.start();
  if (state === 'exited') await container.stop({ graceMs: 0 });
  return container;
}

let count = 0;
/** A tree with a bit of everything, in a directory of its own. */
function makeTree(): string {
  const top = join(here, `tree-${count++}`);
  mkdirSync(join(top, 'sub/empty'), { recursive: true });
  writeFileSync(join(top, 'plain'), 'plain\n', { mode: 0o640 });
  writeFileSync(join(top, 'sub/set'), 'x');
  chmodSync(join(top, 'sub/set'), 0o4751);
  chownSync(join(top, 'sub/set'), 1234, 4321);
  chmodSync(join(top, 'sub/set'), 0o4751);
  linkSync(join(top, 'plain'), join(top, 'sub/hard'));
  symlinkSync('../plain', join(top, 'sub/soft'));
  symlinkSync('/nowhere', join(top, 'dangling'));
  writeFileSync(join(top, '.wh.not-a-whiteout'), 'just a name');
  utimesSync(join(top, 'sub'), 1_000_000_000, 1_000_000_000);
  return top;
}

/** What is below a directory: everything that a copy is to keep. */
function picture(top: string, options: { owners: boolean }): Record<string, unknown> {
  const all: Record<string, unknown> = {};
  const names = new Map<number, string>();
  const look = (path: string, name: string): void => {
    const stat = lstatSync(path);
    all[name] = {
      mode: stat.mode.toString(8),
      ...(options.owners ? { uid: stat.uid, gid: stat.gid } : {}),
      mtime: stat.isDirectory() && name === '' ? 0 : Math.floor(stat.mtimeMs / 1000),
      link: stat.isSymbolicLink() ? readlinkSync(path) : '',
      content: stat.isFile() ? readFileSync(path, 'utf8') : '',
      same: stat.isFile() && stat.nlink > 1 ? (names.get(stat.ino) ?? name) : '',
    };
    if (stat.isFile() && !names.has(stat.ino)) names.set(stat.ino, name);
    if (stat.isDirectory()) for (const child of readdirSync(path).sort()) look(join(path, child), `${name}/${child}`);
  };
  look(top, '');
  return all;
}

async function tarOf(entries: readonly TarInput[]): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of writeTar(entries)) parts.push(chunk);
  return Buffer.concat(parts);
}

describe.each(states)('a container that is %s', state => {
  test('gives back exactly the tree that was copied in', async () => {
    await using container = await inState(state);
    const tree = makeTree();
    const report = await container.copyIn(tree, '/srv-copy');
    expect(report).toEqual({ entries: 9, bytes: 18 });
    const out = join(here, `out-${count++}`);
    await container.copyOut('/srv-copy', out, { owner: 'source' });
    expect(picture(out, { owners: true })).toEqual(picture(tree, { owners: true }));
    await container.copyOut('/srv-copy', `${out}-mine`);
    expect(statSync(join(`${out}-mine`, 'sub/set'))).toMatchObject({
      uid: process.getuid?.(),
      gid: process.getgid?.(),
    });
  });

  test('streams an archive in, compressed or not, and out', async () => {
    await using container = await inState(state);
    await container.fs.mkdir('/in');
    const archive = await tarOf([
      { name: 'a/', type: 'directory', mode: 0o700, uid: 5, gid: 6 },
      { name: 'a/file', content: 'streamed', uid: 7, gid: 8, mtime: 1_500_000_000_000_000_001n },
    ]);
    await container.copyIn(archive, '/in');
    await container.copyIn(gzipSync(await tarOf([{ name: 'zipped', content: 'z' }])), '/in/');
    expect(await container.fs.stat('/in/a/file')).toMatchObject({
      uid: 7,
      gid: 8,
      mtimeNs: 1_500_000_000_000_000_001n,
    });
    expect(await container.fs.readFile('/in/zipped', { encoding: 'utf8' })).toBe('z');
    const stream = new PassThrough();
    const [bytes] = await Promise.all([buffer(stream), container.copyOut('/in/a', stream).then(() => stream.end())]);
    expect(bytes.equals(archive)).toBe(true);
  });

  test('keeps its files over what follows', async () => {
    await using container = await inState(state);
    await container.fs.writeFile('/kept', 'kept');
    if (state === 'running') await container.stop({ graceMs: 0 });
    await container.start();
    expect((await container.exec(['cat', '/kept'])).stdout).toBe('kept');
  });
});

test('a name at the end of the path decides what a copy is called', async () => {
  await using container = await inState('running');
  const tree = makeTree();
  await container.fs.mkdir('/there');
  await container.copyIn(`${tree}/sub`, '/there');
  await container.copyIn(`${tree}/sub/.`, '/there/contents');
  await container.copyIn(`${tree}/sub`, '/there/renamed');
  await container.copyIn(`${tree}/plain`, '/there/');
  await container.copyIn(`${tree}/plain`, '/there/called');
  const names = (await container.fs.readdir('/there')).map(({ name }) => name);
  expect(names).toEqual(['called', 'contents', 'plain', 'renamed', 'sub']);
  const contents = (await container.fs.readdir('/there/contents')).map(({ name }) => name);
  expect(contents).toEqual(['empty', 'hard', 'set', 'soft']);
});

test('owners are kept, given, or those of the user that the container runs as', async () => {
  await using container = await inState('running', { user: '33:44' });
  const file = join(here, 'owned');
  writeFileSync(file, 'x');
  chownSync(file, 11, 22);
  await container.copyIn(file, '/tmp-a');
  await container.copyIn(file, '/tmp-b', { owner: 'user' });
  await container.copyIn(file, '/tmp-c', { owner: { uid: 3_000_000_000, gid: 9 } });
  expect(await container.fs.stat('/tmp-a')).toMatchObject({ uid: 11, gid: 22 });
  expect(await container.fs.stat('/tmp-b')).toMatchObject({ uid: 33, gid: 44 });
  expect(await container.fs.stat('/tmp-c')).toMatchObject({ uid: 3_000_000_000, gid: 9 });
});

test('a link is copied as a link, or followed where that is asked for', async () => {
  await using container = await inState('running');
  const tree = makeTree();
  await container.copyIn(`${tree}/sub/soft`, '/link');
  await container.copyIn(`${tree}/sub/soft`, '/followed', { followLink: true });
  expect(await container.fs.lstat('/link')).toMatchObject({ type: 'symlink', target: '../plain' });
  expect(await container.fs.lstat('/followed')).toMatchObject({ type: 'file', size: 6 });
  await container.exec(['ln', '-s', '/followed', '/inside']);
  await container.copyOut('/inside', join(here, 'as-link'));
  await container.copyOut('/inside', join(here, 'as-file'), { followLink: true });
  expect(readlinkSync(join(here, 'as-link'))).toBe('/followed');
  expect(readFileSync(join(here, 'as-file'), 'utf8')).toBe('plain\n');
});

test('what cannot be is said by what it is', async () => {
  await using container = await inState('running');
  const tree = makeTree();
  const missing = { code: 'CTR_NOT_FOUND', kind: 'file' };
  await expect(container.copyIn(join(tree, 'nope'), '/x')).rejects.toMatchObject(missing);
  await expect(container.copyIn(join(tree, 'plain'), '/no/such/place')).rejects.toMatchObject(missing);
  await expect(container.copyIn(join(tree, 'plain'), '/no-such/')).rejects.toMatchObject(missing);
  await expect(container.copyOut('/nope', here)).rejects.toMatchObject({ ...missing, ref: `${container.name}:/nope` });
  await expect(container.copyOut('/etc', join(here, 'no/such/place'))).rejects.toMatchObject(missing);
  await container.fs.writeFile('/file', '');
  await container.fs.mkdir('/dir/plain', { recursive: true });
  await expect(container.copyIn(tree, '/file')).rejects.toMatchObject({ code: 'CTR_CONFLICT' });
  await expect(container.copyIn(join(tree, 'plain'), '/dir')).rejects.toMatchObject({
    code: 'CTR_CONFLICT',
    message: expect.stringContaining('cannot overwrite directory with non-directory'),
  });
  await expect(container.copyIn(Buffer.alloc(0), '/file')).rejects.toMatchObject({ code: 'CTR_CONFLICT' });
  await expect(container.copyIn(Buffer.from('x'.repeat(2000)), '/dir')).rejects.toMatchObject({ code: 'CTR_PARSE' });
  await expect(container.copyIn('', '/dir')).rejects.toThrow(TypeError);
  const away = await tarOf([{ name: '../../escape', content: 'x' }]);
  await expect(container.copyIn(away, '/dir')).rejects.toMatchObject({ code: 'CTR_PARSE' });
});

test.each(['created', 'running'] as const)(
  'nothing is written to a read-only root or volume of one that is %s',
  async state => {
    const volume = mkdtempSync(join(here, 'volume-'));
    await using container = await inState(state, {
      readOnly: true,
      mounts: [
        { type: 'bind', source: volume, target: '/rw' },
        { type: 'bind', source: volume, target: '/ro', readOnly: true },
      ],
    });
    const file = join(here, 'file');
    writeFileSync(file, 'content');
    await expect(container.copyIn(file, '/etc/x')).rejects.toMatchObject({ code: 'CTR_SYSCALL', errno: 'EROFS' });
    await expect(container.copyIn(file, '/ro/x')).rejects.toMatchObject({ code: 'CTR_SYSCALL', errno: 'EROFS' });
    await container.copyIn(file, '/rw/x');
    expect(readFileSync(join(volume, 'x'), 'utf8')).toBe('content');
    await container.copyOut('/ro/x', join(here, `from-${state}`));
    expect(readFileSync(join(here, `from-${state}`), 'utf8')).toBe('content');
  },
);

test('an abort ends a copy in the middle', async () => {
  await using container = await inState('running');
  const endless = new PassThrough();
  endless.write(formatEntry({ name: 'big' }, 1 << 30));
  endless.write(Buffer.alloc(1 << 20));
  const stop = new AbortController();
  const copying = container.copyIn(endless, '/', { signal: stop.signal });
  copying.catch(() => {}); // Looked at below.
  const begun = async (): Promise<boolean> =>
    container.fs.stat('/big').then(
      ({ size }) => size > 0,
      () => false,
    );
  while (!(await begun()));
  stop.abort(new Error('enough'));
  await expect(copying).rejects.toThrow('enough');
  endless.destroy();
});

test('a copy into one that is just being started waits, and both succeed', async () => {
  await using container = await inState('created');
  const file = join(here, 'race');
  writeFileSync(file, 'raced');
  await Promise.all([container.start(), ...[1, 2, 3, 4].map(i => container.copyIn(file, `/race-${i}`))]);
  const { stdout } = await container.exec(['sh', '-c', 'cat /race-*']);
  expect(stdout).toBe('raced'.repeat(4));
});
