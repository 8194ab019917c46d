import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { Readable } from 'node:stream';

import { afterAll, beforeAll, expect } from '@jest/globals';

import { readTar } from '../../lib/archive/reader.js';
import type { Image } from '../../lib/index.js';
import { testEngine, type TestEngine } from '../support/engine.js';
import { needs } from '../support/needs.js';
import { dockerFiles, tar } from './fixtures.js';

const { describe, test } = needs('root');

const base = tar([
  { name: 'etc/' },
  { name: 'etc/x', content: 'base' },
  { name: 'etc/link', link: '/etc/x', type: '2' },
  { name: 'bin/sh', content: '#!', mode: 0o4755 },
]);
const top = tar([
  { name: 'etc/' },
  { name: 'etc/y', content: 'top' },
  { name: 'etc/.wh.x' },
  { name: 'bin/sh', content: '#!/', mode: 0o755 },
]);

let engine: TestEngine;
let one: Image;
let two: Image;

beforeAll(async () => {
  engine = await testEngine();
  const path = join(engine.place.directory, 'in.tar');
  writeFileSync(
    path,
    tar(
      dockerFiles([
        { layers: [base], tags: ['m:1'] },
        { layers: [base, top], tags: ['m:2'] },
      ]),
    ),
  );
  [one, two] = (await engine.images.load(path)) as [Image, Image];
});

afterAll(() => engine[Symbol.asyncDispose]());

describe('a mounted image', () => {
  test('shows its files as one tree, read-only, and no mount among the host’s', async () => {
    const mounted = await two.mount();
    expect(readdirSync(mounted.path).toSorted()).toEqual(['bin', 'etc']);
    expect(readdirSync(join(mounted.path, 'etc')).toSorted()).toEqual(['link', 'y']);
    expect(readFileSync(join(mounted.path, 'etc/y'), 'utf8')).toBe('top');
    expect(() => writeFileSync(join(mounted.path, 'etc/new'), '')).toThrow(expect.objectContaining({ code: 'EROFS' }));
    // Others mount things meanwhile; nothing of this store is among them.
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(engine.root);
    await mounted.unmount();
    expect(existsSync(mounted.path)).toBe(false);
    await mounted.unmount();
  });

  test('of a single layer, too; and its layers stay while it is mounted', async () => {
    await using mounted = await one.mount();
    expect(statSync(join(mounted.path, 'bin/sh')).mode & 0o7777).toBe(0o4755);
    await engine.images.remove('m:2');
    await engine.images.remove('m:1');
    expect(readFileSync(join(mounted.path, 'etc/x'), 'utf8')).toBe('base');
    [one, two] = (await engine.images.load(join(engine.place.directory, 'in.tar'))) as [Image, Image];
  });
});

test('an export has all files once, as the topmost layer has them', async () => {
  const archive = await buffer(await two.export());
  const files: Record<string, string> = {};
  for await (const { header, body } of readTar(Readable.from([archive])))
    files[header.name.replace(/\/$/, '')] = header.type === 'file' ? (await buffer(body)).toString() : header.type;
  expect(files).toEqual({ bin: 'directory', 'bin/sh': '#!/', etc: 'directory', 'etc/link': 'symlink', 'etc/y': 'top' });
  const flat = await engine.images.import(Readable.from([archive]));
  expect((await flat.history())[0]?.sizeBytes).toBe('#!/'.length + 'top'.length + '/etc/x'.length);
  await flat.remove();
});

test('a diff tells what one image has and another has not', async () => {
  const changes = await engine.images.diff(one, 'm:2');
  expect(changes.filter(({ path }) => path !== '/etc' && path !== '/bin')).toEqual([
    { kind: 'changed', path: '/bin/sh' },
    { kind: 'removed', path: '/etc/x' },
    { kind: 'added', path: '/etc/y' },
  ]);
  expect(await engine.images.diff('m:1', 'm:1')).toEqual([]);
});
