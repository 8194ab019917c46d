import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { describe, expect, test } from '@jest/globals';

import { defaultRoot, defaultRunRoot } from '../../lib/store/paths.js';
import { Place } from './place.js';

describe('opening', () => {
  test('makes a store where there is none, which others may pass through but not read', async () => {
    await using place = new Place();
    const before = process.umask(0o077);
    try {
      await place.open();
    } finally {
      process.umask(before);
    }
    expect(statSync(place.at('root')).mode & 0o777).toBe(0o711);
    for (const name of ['blobs', 'snapshots', 'containers', 'volumes'])
      expect(statSync(place.at('root', name)).mode & 0o077).toBe(0);
  });

  test('by many at once is the same as by one', async () => {
    await using place = new Place();
    const stores = await Promise.all(Array.from({ length: 8 }, () => place.open()));
    expect(new Set(stores.map(store => store.root)).size).toBe(1);
  });

  test('by two names gives one store', async () => {
    await using place = new Place();
    const store = await place.open();
    symlinkSync(place.at('root'), place.at('link'));
    expect((await place.open({ root: place.at('link') })).root).toBe(store.root);
  });

  test('a store of a newer version is refused, and stays as it is', async () => {
    await using place = new Place();
    await place.open();
    writeFileSync(place.at('root', 'format.json'), '{"format":"tscontainer-store","version":2}');
    await expect(place.open()).rejects.toMatchObject({
      code: 'CTR_PARSE',
      message: expect.stringContaining('newer version'),
    });
  });

  test.each([['no JSON'], ['{"format":"other"}'], ['null']])('%j for a format is refused', async text => {
    await using place = new Place();
    mkdirSync(place.at('root'));
    writeFileSync(place.at('root', 'format.json'), text);
    await expect(place.open()).rejects.toMatchObject({ code: 'CTR_PARSE', source: place.at('root', 'format.json') });
  });

  test('under a file is an error that names it', async () => {
    await using place = new Place();
    writeFileSync(place.at('file'), '');
    await expect(place.open({ root: place.at('file', 'root') })).rejects.toMatchObject({
      code: 'CTR_SYSCALL',
      errno: 'ENOTDIR',
    });
  });

  test('a store with 1,000 containers reads none of them', async () => {
    await using place = new Place();
    const first = await place.open();
    const records = first.records('containers');
    for (let n = 0; n < 1000; n++) records.put({ id: `c${n}` }, { durable: false });
    for (let n = 0; n < 1000; n++) writeFileSync(place.at('root', 'containers', `c${n}`, 'record.json'), 'broken');
    const since = performance.now();
    await place.open();
    expect(performance.now() - since).toBeLessThan(30);
    expect(place.warnings).toEqual([]);
  });
});

test('a sweep removes unfinished files of dead processes, and asks whoever wants to be asked', async () => {
  await using place = new Place();
  const store = await place.open();
  writeFileSync(place.at('root', 'tmp', 'record.json.tmp-4194304-ab'), '');
  writeFileSync(place.at('root', 'tmp', `record.json.tmp-${process.pid}-ab`), '');
  mkdirSync(place.at('root', 'trash', 'x', 'y'), { recursive: true });
  let asked = 0;
  store.onSweep(() => void asked++);
  await store.sweep();
  await store.close();
  expect(asked).toBe(1);
  expect([readdirSync(place.at('root', 'tmp')), readdirSync(place.at('root', 'trash'))]).toEqual([
    [`record.json.tmp-${process.pid}-ab`],
    [],
  ]);
});

test('what cannot be deleted is told, and tried again at the next open', async () => {
  await using place = new Place();
  const store = await place.open();
  mkdirSync(place.at('root', 'trash', 'x'));
  writeFileSync(place.at('root', 'trash', 'x', 'file'), '');
  const immutable = (flag: string): boolean =>
    spawnSync('chattr', [flag, place.at('root', 'trash', 'x', 'file')]).status === 0;
  if (!immutable('+i')) return skip('chattr +i does not work here');
  try {
    await store.sweep();
    await store.close();
    expect(place.warnings).toEqual([expect.stringContaining('could not be deleted')]);
  } finally {
    immutable('-i');
  }
  await (await place.open()).close();
  expect(readdirSync(place.at('root', 'trash'))).toEqual([]);
});

describe('locks of users', () => {
  test('exclude each other by name', async () => {
    await using place = new Place();
    const store = await place.open();
    const held = await store.lock('ipam');
    await (await store.lock('other'))[Symbol.asyncDispose]();
    await expect(store.lock('ipam', { signal: AbortSignal.timeout(5) })).rejects.toMatchObject({
      name: 'TimeoutError',
    });
    await held[Symbol.asyncDispose]();
  });
});

describe('the default paths', () => {
  test('are told apart by the root, and short enough for a socket', () => {
    const [one, two] = [defaultRunRoot('/a'), defaultRunRoot('/b')];
    expect(one).not.toBe(two);
    expect(one).toBe(defaultRunRoot('/x/../a'));
    expect(one.length).toBeLessThan(40);
    expect(defaultRoot()).toMatch(/\/tscontainer$/);
  });
});

describe('a file system that refuses', () => {
  test.each([
    ['full', 'ENOSPC', 'prune'],
    ['read-only', 'EROFS', 'remount'],
  ])('because it is %s gives %s and what to do', (state, errno, remedy) => {
    if (process.getuid?.() !== 0) return skip('mounting a tmpfs needs root');
    const program = fileURLToPath(new URL('./children/refused.js', import.meta.url));
    // In a mount namespace of its own, so that nothing of it is left.
    const said = execFileSync('unshare', ['--mount', process.execPath, program, state], { encoding: 'utf8' });
    for (const line of said.trim().split('\n')) expect(line).toMatch(new RegExp(`CTR_SYSCALL ${errno} .*${remedy}`));
    expect(said.trim().split('\n').length).toBeGreaterThan(3);
  });
});

function skip(reason: string): void {
  if (process.env['CTR_MUST_WORK'] === '1') throw new Error(reason);
  console.warn(`skipped: ${reason}`);
}
