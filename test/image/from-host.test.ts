import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { ImageCollection } from '../../lib/image/images.js';
import type { Store } from '../../lib/store/store.js';
import { Place } from '../store/place.js';

let place: Place;
let store: Store;
let images: ImageCollection;

beforeEach(async () => {
  place = new Place();
  store = await place.open();
  images = new ImageCollection({ store });
});

afterEach(() => place[Symbol.asyncDispose]());

function root(ref: string): string {
  const [dir = ''] = store.snapshots.lowers(images.resolve(ref).chain);
  return dir;
}

test('a shell comes with its libraries, its loader and the links that lead to it', async () => {
  const image = await images.fromHost({ binaries: ['/bin/sh'], tag: 'shell' });
  const resolved = images.resolve('shell:latest');
  expect(resolved.id).toBe(image.id);
  expect(resolved.readFile('/bin/sh')?.subarray(1, 4).toString()).toBe('ELF');
  expect(resolved.readFile('/etc/passwd')?.toString()).toContain('root:x:0:0:');
  expect(resolved.config.config).toMatchObject({ Cmd: ['/bin/sh'], WorkingDir: '/' });
  expect(resolved.config.config.Env?.[0]).toMatch(/^PATH=.*\/usr\/bin/);
  const dir = root('shell');
  expect(lstatSync(join(dir, 'tmp')).mode & 0o7777).toBe(0o1777);
  expect(['proc', 'sys', 'dev'].every(name => statSync(join(dir, name)).isDirectory())).toBe(true);
  if (lstatSync('/bin').isSymbolicLink()) expect(readlinkSync(join(dir, 'bin'))).toBe(readlinkSync('/bin'));
});

test('the same inputs make the same image, and the second time at once', async () => {
  const options = { binaries: ['/bin/sh'], files: [{ target: '/hello', content: 'world' }], env: { A: 'b' } };
  const first = await images.fromHost(options);
  const blobs = [...store.content.list()].length;
  const second = await images.fromHost({ ...options, tag: 'again:1' });
  expect(second.id).toBe(first.id);
  expect((await second.inspect()).tags).toEqual(['again:1']);
  expect([...store.content.list()]).toHaveLength(blobs);
  const elsewhere = new ImageCollection({ store: await place.open({ root: place.at('other') }) });
  expect((await elsewhere.fromHost(options)).id).toBe(first.id);
  expect((await images.fromHost({ ...options, env: { A: 'c' } })).id).not.toBe(first.id);
});

test('files and directories come along, under their own name or another', async () => {
  const script = place.at('bin', 'tool');
  mkdirSync(place.at('bin', 'data'), { recursive: true });
  writeFileSync(place.at('bin', 'data', 'x'), 'x');
  symlinkSync('data/x', place.at('bin', 'link'));
  writeFileSync(script, '#!/bin/sh\necho hi\n');
  chmodSync(script, 0o4755);
  await images.fromHost({
    binaries: [script],
    files: [
      { source: place.at('bin'), target: '/opt' },
      { target: '/etc/motd', content: Buffer.from('hi'), mode: 0o600 },
    ],
    tag: 'tool',
    cmd: ['tool', '-x'],
    user: '1:1',
    labels: { a: 'b' },
  });
  const { readFile, config } = images.resolve('tool');
  expect(readFile('/opt/data/x')?.toString()).toBe('x');
  expect(readFile('/opt/link')?.toString()).toBe('x');
  expect(readFile('/etc/motd')?.toString()).toBe('hi');
  expect(readFile('/bin/sh')).toBeDefined();
  expect(config.config).toMatchObject({ Cmd: ['tool', '-x'], User: '1:1', Labels: { a: 'b' } });
  expect(config.config.Env?.[0]).toContain(place.at('bin'));
  const dir = root('tool');
  expect(statSync(join(dir, script)).mode & 0o7777).toBe(0o755);
  expect(statSync(join(dir, 'etc/motd')).mode & 0o777).toBe(0o600);
  expect(statSync(join(dir, script)).mtimeMs).toBe(0);
});

test('a program that is not there is named', async () => {
  await expect(images.fromHost({ binaries: ['/no/such/program'] })).rejects.toMatchObject({
    code: 'CTR_NOT_FOUND',
    ref: '/no/such/program',
  });
  await expect(images.fromHost({ binaries: ['no-such-program-anywhere'] })).rejects.toThrow(/PATH/);
  await expect(images.fromHost({ binaries: [] })).rejects.toThrow(TypeError);
  expect(store.records('images').list()).toEqual([]);
  expect(existsSync(place.at('root', 'blobs', 'sha256'))).toBe(true);
});
