import { appendFileSync, chmodSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import type { CheckOptions, StoreCheck } from '../../lib/image/check.js';
import type { Image } from '../../lib/image/image.js';
import { ImageCollection } from '../../lib/image/images.js';
import type { Store } from '../../lib/store/store.js';
import type { Digest } from '../../lib/types.js';
import { Place } from '../store/place.js';
import { layoutFiles, tar } from './fixtures.js';

const base = tar([
  { name: 'etc/' },
  { name: 'etc/x', content: 'base', mode: 0o640 },
  { name: 'bin/sh', content: '#!', mode: 0o755 },
  { name: 'bin/bash', link: 'sh' },
]);
const top = tar([{ name: 'etc/y', content: 'top' }, { name: 'etc/.wh.x' }]);

let place: Place;
let store: Store;
let images: ImageCollection;
let image: Image;
let running: string[];

beforeEach(async () => {
  place = new Place();
  store = await place.open();
  images = new ImageCollection({ store, platform: 'linux/amd64' });
  writeFileSync(place.at('in.tar'), tar(layoutFiles([{ layers: [base, top], names: ['docker.io/library/app:1'] }])));
  [image] = (await images.load(place.at('in.tar'))) as [Image];
  running = [];
});

afterEach(() => place[Symbol.asyncDispose]());

async function check(options: CheckOptions = {}): Promise<StoreCheck> {
  return images.check(options, () => running);
}

async function layer(i: number): Promise<{ blob: string; digest: Digest; dir: string }> {
  const { layers } = await image.inspect();
  const { chain } = images.resolve('app:1');
  const digest = layers[i]?.digest ?? 'sha256:';
  return { digest, blob: store.content.path(digest), dir: store.snapshots.path(chain[i] ?? 'sha256:') };
}

/** As a disk does: the size and times stay. */
function flip(path: string): void {
  const { atime, mtime } = statSync(path);
  const bytes = readFileSync(path);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  writeFileSync(path, bytes);
  utimesSync(path, atime, mtime);
}

async function reload(): Promise<void> {
  await images.load(place.at('in.tar'));
  expect(await check()).toMatchObject({ problems: [], pullAgain: [] });
  expect(images.resolve('app:1').readFile('/etc/y')?.toString()).toBe('top');
}

test('a store that is as it should be has no problems', async () => {
  expect(await check()).toMatchObject({ images: 1, blobs: 4, snapshots: 2, problems: [], pullAgain: [] });
  expect((await check()).verifiedBytes).toBeGreaterThan(0);
  expect(await check({ quick: true })).toMatchObject({ blobs: 4, verifiedBytes: 0, problems: [] });
});

describe('a blob', () => {
  test('that was flipped on the disk is found, left alone without repair, and then comes again', async () => {
    const { blob, digest } = await layer(0);
    flip(blob);
    expect((await check({ quick: true })).problems).toEqual([]);
    const found = await check();
    expect(found.problems).toMatchObject([{ kind: 'blob', ref: digest, images: ['app:1'], outcome: 'left' }]);
    expect(found.problems[0]?.reason).toMatch(/has content of sha256:/);
    expect(found.pullAgain).toEqual(['app:1']);
    expect(await check({ repair: true })).toMatchObject({ problems: [{ outcome: 'removed' }], pullAgain: ['app:1'] });
    // What runs from it is not touched: the files are good.
    expect(images.resolve('app:1').readFile('/etc/y')?.toString()).toBe('top');
    await reload();
  });

  test('that is missing, or has another size', async () => {
    const [first, second] = [await layer(0), await layer(1)];
    rmSync(first.blob);
    appendFileSync(second.blob, 'more');
    const { problems } = await check({ quick: true, repair: true });
    expect(problems.map(({ ref, reason }) => [ref, reason]).sort()).toEqual(
      [
        [first.digest, 'is missing'],
        [second.digest, expect.stringMatching(/^has \d+ bytes, not \d+$/)],
      ].sort(),
    );
    await reload();
  });

  test('that is the config', async () => {
    flip(store.content.path(image.id));
    expect((await check({ repair: true })).pullAgain).toEqual(['app:1']);
    await reload();
  });
});

describe('an unpacked layer', () => {
  test.each<[string, (dir: string) => void, RegExp]>([
    ['with another content', dir => writeFileSync(join(dir, 'bin/sh'), '!#'), /\/bin\/sh has another content/],
    ['with another size', dir => writeFileSync(join(dir, 'etc/x'), 'base and more'), /\/etc\/x has 13 bytes, not 4/],
    ['with another mode', dir => chmodSync(join(dir, 'etc/x'), 0o4755), /\/etc\/x has mode 4755, not 640/],
    ['that lacks a file', dir => rmSync(join(dir, 'etc/x')), /\/etc\/x is missing/],
    ['that has one more', dir => writeFileSync(join(dir, 'etc/evil'), ''), /\/etc\/evil is not of this layer/],
    ['that is gone', dir => rmSync(dir, { recursive: true }), /is missing/],
  ])('%s is found, and unpacked anew from its blob', async (_, damage, words) => {
    const { dir } = await layer(0);
    damage(dir);
    const [problem] = (await check()).problems;
    expect(problem).toMatchObject({ kind: 'snapshot', images: ['app:1'], outcome: 'left' });
    expect(problem?.reason).toMatch(words);
    expect(await check({ repair: true })).toMatchObject({ problems: [{ outcome: 'repaired' }], pullAgain: [] });
    expect(await check()).toMatchObject({ problems: [] });
    expect(readFileSync(join(dir, 'etc/x'), 'utf8')).toBe('base');
  });

  test('that a container runs from is not taken away under it', async () => {
    const { dir } = await layer(0);
    writeFileSync(join(dir, 'etc/x'), 'more');
    running = ['c'.repeat(64)];
    const { problems } = await check({ repair: true });
    expect(problems).toMatchObject([{ outcome: 'left' }]);
    expect(problems[0]?.reason).toContain('in use by cccccccccccc');
    expect(readFileSync(join(dir, 'etc/x'), 'utf8')).toBe('more');
  });

  test('whose blob is broken as well goes, and the image is to be pulled again', async () => {
    const { dir, blob } = await layer(1);
    flip(blob);
    rmSync(dir, { recursive: true });
    const found = await check({ repair: true });
    expect(found.problems.map(({ kind, outcome }) => [kind, outcome])).toEqual([
      ['blob', 'removed'],
      ['snapshot', 'removed'],
    ]);
    expect(found.pullAgain).toEqual(['app:1']);
    await reload();
  });
});

test('a record that lies is found and taken away', async () => {
  const path = place.at('root', 'images', image.id.slice(7), 'record.json');
  const record = JSON.parse(readFileSync(path, 'utf8')) as { layers: object[] };
  writeFileSync(path, JSON.stringify({ ...record, layers: record.layers.slice(1) }));
  const found = await check({ repair: true });
  expect(found.problems).toMatchObject([{ kind: 'image', ref: image.id, outcome: 'removed' }]);
  expect(await images.list()).toEqual([]);
  await reload();
});

test('an abort ends a check', async () => {
  await expect(check({ signal: AbortSignal.abort('enough') })).rejects.toBe('enough');
});
