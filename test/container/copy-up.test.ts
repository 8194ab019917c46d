import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect } from '@jest/globals';

import type { Engine, Image } from '../../lib/index.js';
import { craftedImage } from '../support/crafted.js';
import { testEngine } from '../support/engine.js';
import { needs } from '../support/needs.js';

const { test } = needs('root');

const quiet = { networks: ['none'], command: ['sh'] } as const;

async function imageWithData(engine: Engine, config: object = {}): Promise<Image> {
  return craftedImage(
    engine,
    [
      { name: 'data', type: 'directory', mode: 0o750, uid: 5, gid: 6, mtime: 1_000_000_000_000_000_000n },
      {
        name: 'data/file',
        mode: 0o640,
        uid: 1000,
        gid: 1001,
        mtime: 1_234_567_890_000_000_000n,
        content: 'from the image',
      },
      { name: 'data/sub', type: 'directory', mode: 0o1777 },
      { name: 'data/sub/link', type: 'symlink', link: '../file' },
      { name: 'lonely', type: 'directory', mode: 0o700, uid: 7, gid: 8 },
      { name: 'way', type: 'symlink', link: 'data' },
    ],
    config,
  );
}

const pathOf = async (engine: Engine, name: string): Promise<string> =>
  (await (await engine.volumes.get(name)).inspect()).path;

test('an empty volume gets what the image has there, as it is there', async () => {
  await using engine = await testEngine();
  const image = await imageWithData(engine);
  await using container = await engine.containers.create({
    ...quiet,
    image,
    mounts: [{ type: 'volume', source: 'kept', target: '/data' }],
  });
  const path = await pathOf(engine, 'kept');
  expect(readFileSync(join(path, 'file'), 'utf8')).toBe('from the image');
  expect(readFileSync(join(path, 'sub/link'), 'utf8')).toBe('from the image');
  expect(statSync(path)).toMatchObject({ uid: 5, gid: 6, mode: 0o40750 });
  expect(statSync(join(path, 'file'))).toMatchObject({ uid: 1000, gid: 1001, mode: 0o100640, mtimeMs: 1.23456789e12 });
  expect(statSync(join(path, 'sub'))).toMatchObject({ mode: 0o41777 });
  // It is the volume's now: what was changed in it stays, for this container and for others.
  writeFileSync(join(path, 'file'), 'changed');
  await container.remove();
  await using second = await engine.containers.create({
    ...quiet,
    image,
    mounts: [{ type: 'volume', source: 'kept', target: '/data' }],
  });
  expect(readFileSync(join(path, 'file'), 'utf8')).toBe('changed');
  await second.remove();
});

test('through a link in the image, and by the volume that the image asks for', async () => {
  await using engine = await testEngine();
  const image = await imageWithData(engine, { Volumes: { '/data/sub': {} } });
  await using container = await engine.containers.create({
    ...quiet,
    image,
    mounts: [{ type: 'volume', source: 'linked', target: '/way' }],
  });
  expect(readdirSync(await pathOf(engine, 'linked')).sort()).toEqual(['file', 'sub']);
  const [nameless] = (await engine.volumes.list()).filter(({ name }) => name !== 'linked');
  expect(readdirSync((await nameless?.inspect())?.path ?? '')).toEqual(['link']);
  await container.remove();
});

test('a directory that is empty in the image gives its owner and mode', async () => {
  await using engine = await testEngine();
  await using container = await engine.containers.create({
    ...quiet,
    image: await imageWithData(engine),
    mounts: [{ type: 'volume', source: 'empty', target: '/lonely' }],
  });
  expect(statSync(await pathOf(engine, 'empty'))).toMatchObject({ uid: 7, gid: 8, mode: 0o40700 });
  await container.remove();
});

test('not with noCopy, not into one that has something, not where the image has no directory', async () => {
  await using engine = await testEngine();
  const image = await imageWithData(engine);
  const full = await engine.volumes.create({ name: 'full' });
  writeFileSync(join(await pathOf(engine, 'full'), 'mine'), '');
  await using container = await engine.containers.create({
    ...quiet,
    image,
    mounts: [
      { type: 'volume', source: 'bare', target: '/data', noCopy: true },
      { type: 'volume', source: 'full', target: '/data/sub' },
      { type: 'volume', source: 'new', target: '/nowhere' },
    ],
  });
  expect(readdirSync(await pathOf(engine, 'bare'))).toEqual([]);
  expect(readdirSync(await pathOf(engine, 'full'))).toEqual(['mine']);
  expect(readdirSync(await pathOf(engine, 'new'))).toEqual([]);
  await container.remove();
  await full.remove();
});

test('of many containers at once, one fills the volume', async () => {
  await using engine = await testEngine();
  const image = await imageWithData(engine);
  const mounts = [{ type: 'volume', source: 'shared', target: '/data' }] as const;
  const made = await Promise.all(
    Array.from({ length: 8 }, async () => engine.containers.create({ ...quiet, image, mounts })),
  );
  const path = await pathOf(engine, 'shared');
  expect(readdirSync(path).sort()).toEqual(['file', 'sub']);
  expect(readdirSync(join(path, '..')).sort()).toEqual(['_data', 'record.json']);
  for (const container of made) await container.remove();
});

test('what was left half filled by a kill is filled again from the beginning', async () => {
  await using engine = await testEngine();
  const image = await imageWithData(engine);
  await engine.volumes.create({ name: 'cut' });
  const path = await pathOf(engine, 'cut');
  mkdirSync(join(path, '../_filling/half'), { recursive: true });
  await using container = await engine.containers.create({
    ...quiet,
    image,
    mounts: [{ type: 'volume', source: 'cut', target: '/data' }],
  });
  expect(readdirSync(path).sort()).toEqual(['file', 'sub']);
  await container.remove();
});
