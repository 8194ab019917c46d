import { chmodSync, chownSync, linkSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';

import { expect } from '@jest/globals';

import type { Engine } from '../../lib/index.js';
import { testEngine } from '../support/engine.js';
import { needs } from '../support/needs.js';
import { pack } from '../support/tar.js';

const { test } = needs('root');

const pathOf = async (engine: Engine, name: string): Promise<string> =>
  (await (await engine.volumes.get(name)).inspect()).path;

async function fill(engine: Engine, name: string): Promise<void> {
  const path = await pathOf(engine, name);
  mkdirSync(join(path, 'a/b'), { recursive: true });
  writeFileSync(join(path, 'a/b/file'), 'content');
  chownSync(join(path, 'a/b/file'), 1000, 70_000);
  chmodSync(join(path, 'a/b/file'), 0o4751);
  linkSync(join(path, 'a/b/file'), join(path, 'a/again'));
  symlinkSync('/etc/passwd', join(path, 'link'));
}

async function expectFilled(path: string): Promise<void> {
  expect(readFileSync(join(path, 'a/b/file'), 'utf8')).toBe('content');
  const [file, again] = ['a/b/file', 'a/again'].map(name => statSync(join(path, name)));
  expect(file).toMatchObject({ uid: 1000, gid: 70_000, mode: 0o104751, nlink: 2 });
  expect(again?.ino).toBe(file?.ino);
}

test('what is exported from one volume can be imported into another', async () => {
  await using engine = await testEngine();
  await using from = await engine.volumes.create({ name: 'from' });
  await using to = await engine.volumes.create({ name: 'to' });
  await fill(engine, 'from');
  await to.import(from.export());
  await expectFilled(await pathOf(engine, 'to'));
});

test('an archive may be compressed, and replaces files that are there', async () => {
  await using engine = await testEngine();
  await using volume = await engine.volumes.create({ name: 'data' });
  const path = await pathOf(engine, 'data');
  writeFileSync(join(path, 'file'), 'old');
  writeFileSync(join(path, 'other'), 'stays');
  await volume.import(Readable.from([gzipSync(await pack({ name: 'file', content: 'new' }))]));
  expect(['file', 'other'].map(name => readFileSync(join(path, name), 'utf8'))).toEqual(['new', 'stays']);
});

test('an archive cannot lead out of the volume', async () => {
  await using engine = await testEngine();
  await using volume = await engine.volumes.create({ name: 'data' });
  const outside = join(engine.root, 'outside');
  mkdirSync(outside);
  const archive = await pack(
    { name: 'way', type: 'symlink', link: outside },
    { name: 'way/file', content: 'escaped' },
    { name: '../../../outside/up', content: 'escaped' },
  );
  await volume.import(Readable.from([archive])).catch(() => {});
  expect(statSync(outside).nlink).toBe(2);
  expect(() => statSync(join(outside, 'file'))).toThrow('ENOENT');
  expect(() => statSync(join(outside, 'up'))).toThrow('ENOENT');
});

test('a clone has the same files and is another volume', async () => {
  await using engine = await testEngine();
  await using volume = await engine.volumes.create({ name: 'data' });
  await fill(engine, 'data');
  const clone = await volume.clone({ name: 'copy' });
  const path = await pathOf(engine, 'copy');
  await expectFilled(path);
  writeFileSync(join(path, 'a/b/file'), 'changed');
  await expectFilled(await pathOf(engine, 'data'));
  await clone[Symbol.asyncDispose]();
  expect((await engine.volumes.list()).map(({ name }) => name)).toEqual(['data']);
});

test('what has something in it is no place for a clone', async () => {
  await using engine = await testEngine();
  await using volume = await engine.volumes.create({ name: 'data' });
  await using full = await engine.volumes.create({ name: 'full' });
  writeFileSync(join(await pathOf(engine, 'full'), 'mine'), '');
  await expect(volume.clone({ name: 'full' })).rejects.toMatchObject({ code: 'CTR_CONFLICT', ref: 'full' });
  expect(full.name).toBe('full');
  expect(readFileSync(join(await pathOf(engine, 'full'), 'mine'), 'utf8')).toBe('');
});

test('an export of a volume that is gone fails, and so does one that cannot be read from here', async () => {
  await using engine = await testEngine();
  const volume = await engine.volumes.create({ name: 'data' });
  await volume.remove();
  await expect(buffer(volume.export())).rejects.toMatchObject({ code: 'CTR_NOT_FOUND', ref: 'data' });
  await using ram = await engine.volumes.create({ name: 'ram', driverOptions: { type: 'tmpfs', device: 'tmpfs' } });
  await expect(buffer(ram.export())).rejects.toMatchObject({ code: 'CTR_INVALID_STATE', ref: 'ram' });
});
