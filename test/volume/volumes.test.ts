import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { Store } from '../../lib/store/store.js';
import type { BindMount, ImageMount, Mount } from '../../lib/volume/mount.js';
import type { SettledMount } from '../../lib/volume/mounts.js';
import { VolumeCollection } from '../../lib/volume/volumes.js';

let place: string;
let store: Store;
let events: Record<string, unknown>[];
let mounted: Record<string, string[]>;
let volumes: VolumeCollection;

const open = async (): Promise<VolumeCollection> =>
  new VolumeCollection({
    store,
    emit: (type, event) => events.push({ type, ...event }),
    usedBy: name => mounted[name] ?? [],
  });

beforeEach(async () => {
  place = mkdtempSync(join(tmpdir(), 'volumes-'));
  store = await Store.open({ root: join(place, 'root'), runRoot: join(place, 'run') });
  events = [];
  mounted = {};
  volumes = await open();
});
afterEach(async () => {
  await store.close();
  rmSync(place, { recursive: true });
});

const prepare = {
  call: 'c',
  imageOf: (mount: ImageMount): SettledMount => ({ ...mount, image: 'sha256:1', chain: ['sha256:2'] }),
};
const specs = {
  call: 'c',
  layersOf: () => ({ kind: 'overlay', lowers: ['/store/2'] }) as const,
  scratch: (target: string) => ({ upper: `/scratch${target}/upper`, work: `/scratch${target}/work` }),
};

const names = async (): Promise<string[]> => (await volumes.list()).map(volume => volume.name);

test('a volume is made, found, described and removed with its content', async () => {
  const volume = await volumes.create({ name: 'data', labels: { tier: 'db' } });
  const info = await volume.inspect();
  expect(info).toMatchObject({ name: 'data', labels: { tier: 'db' }, anonymous: false, usedBy: [] });
  expect(info.path).toBe(join(store.root, 'volumes/data/_data'));
  writeFileSync(join(info.path, 'file'), 'x');
  expect((await volumes.get('data')).name).toBe('data');
  await volume.remove();
  expect(existsSync(join(store.root, 'volumes/data'))).toBe(false);
  await expect(volumes.get('data')).rejects.toMatchObject({ code: 'CTR_NOT_FOUND', kind: 'volume', ref: 'data' });
  await expect(volume.remove()).rejects.toMatchObject({ code: 'CTR_NOT_FOUND' });
  await volume.remove({ force: true });
  expect(events.map(event => [event['type'], event['id']])).toEqual([
    ['volume:create', 'data'],
    ['volume:remove', 'data'],
  ]);
});

test('creating one that is there is that one, and disposing of the handle leaves it alone', async () => {
  const first = await volumes.create({ name: 'data', labels: { a: '1' } });
  const second = await volumes.create({ name: 'data', labels: { a: '2' } });
  await second[Symbol.asyncDispose]();
  expect(await first.inspect()).toMatchObject({ labels: { a: '1' } });
  await first[Symbol.asyncDispose]();
  await first[Symbol.asyncDispose]();
  expect(await names()).toEqual([]);
});

test('at once, one of many makes it', async () => {
  const others = await Promise.all(Array.from({ length: 4 }, open));
  await Promise.all(others.map(other => other.create({ name: 'data' })));
  expect(events.filter(event => event['type'] === 'volume:create')).toHaveLength(1);
});

test('without a name it has 64 digits for one, and goes with its handle', async () => {
  const volume = await volumes.create();
  expect(volume.name).toMatch(/^[0-9a-f]{64}$/);
  await volume[Symbol.asyncDispose]();
  expect(await names()).toEqual([]);
});

test('one in use stays, and says who uses it', async () => {
  const volume = await volumes.create({ name: 'data' });
  mounted = { data: ['c1', 'c2'] };
  await expect(volume.remove()).rejects.toMatchObject({ code: 'CTR_CONFLICT', usedBy: ['c1', 'c2'] });
  await volume[Symbol.asyncDispose]();
  expect(events.at(-1)).toMatchObject({ type: 'warning', message: expect.stringContaining('data') as unknown });
  expect(await names()).toEqual(['data']);
});

test.each(['', 'a', '.a', '-a', 'a/b', '../a', 'ä1', 'x'.repeat(256)])('%j is no name', async name => {
  await expect(volumes.create({ name })).rejects.toMatchObject({ code: 'CTR_PARSE', source: name });
  expect(readdirSync(join(store.root, 'volumes'))).toEqual([]);
});

test('list goes by name, label and use', async () => {
  await volumes.create({ name: 'v1', labels: { a: '1' } });
  await volumes.create({ name: 'v2', labels: { a: '2' } });
  mounted = { v1: ['c'] };
  const list = async (...filter: Parameters<VolumeCollection['list']>): Promise<string[]> =>
    (await volumes.list(...filter)).map(volume => volume.name);
  expect(await list({ name: 'v1' })).toEqual(['v1']);
  expect(await list({ name: /^v/ })).toEqual(['v1', 'v2']);
  expect(await list({ labels: { a: '2' } })).toEqual(['v2']);
  expect(await list({ labels: { a: true } })).toEqual(['v1', 'v2']);
  expect(await list({ dangling: true })).toEqual(['v2']);
  expect(await list({ dangling: false })).toEqual(['v1']);
});

test('prune takes nameless ones, and with `all` named ones, but none in use', async () => {
  const { anonymous } = await volumes.prepare(
    [
      { type: 'volume', target: '/a' },
      { type: 'volume', source: 'named', target: '/b' },
      { type: 'volume', source: 'used', target: '/c' },
    ],
    [],
    prepare,
  );
  writeFileSync(join(volumes.path(anonymous[0] ?? ''), 'file'), Buffer.alloc(100_000));
  mounted = { used: ['c'] };
  const report = await volumes.prune();
  expect(report.removed).toEqual(anonymous);
  expect(report.reclaimedBytes).toBeGreaterThanOrEqual(100_000);
  expect((await volumes.prune({ all: true })).removed).toEqual(['named']);
  expect(await names()).toEqual(['used']);
});

test('what belonged to a dead process goes with the next sweep', async () => {
  await volumes.create({ name: 'kept' });
  await volumes.create({ name: 'mine', lifetime: 'process' });
  const record = { labels: {}, createdAt: new Date().toISOString(), anonymous: false, owner: '1-1-00000000-1' };
  store.records('volumes').put({ id: 'theirs', ...record });
  store.records('volumes').put({ id: 'mounted', ...record });
  mounted = { mounted: ['c'] };
  await volumes.sweep();
  expect(await names()).toEqual(['kept', 'mine', 'mounted']);
});

test('a container gets named volumes, nameless ones, and those of its image that it mounts nothing at', async () => {
  const mounts: Mount[] = [
    { type: 'volume', source: 'data', target: '/data/', readOnly: true },
    { type: 'volume', target: '/cache' },
    { type: 'tmpfs', target: '/tmp' },
  ];
  const { mounts: settled, anonymous } = await volumes.prepare(mounts, ['/data', '/var/lib/db'], prepare);
  expect(settled).toEqual([
    { type: 'volume', source: 'data', target: '/data', readOnly: true },
    { type: 'volume', source: anonymous[0], target: '/cache' },
    { type: 'tmpfs', target: '/tmp' },
    { type: 'volume', source: anonymous[1], target: '/var/lib/db' },
  ]);
  expect(anonymous).toHaveLength(2);
  expect((await names()).sort()).toEqual([...anonymous, 'data'].sort());
  await volumes.discard(anonymous[0] ?? '');
  await volumes.discard(anonymous[0] ?? '');
  expect(await names()).toHaveLength(2);
});

test('mounts are made parents first, as the helper takes them', async () => {
  const file = join(place, 'file');
  writeFileSync(file, '');
  const { mounts } = await volumes.prepare(
    [
      { type: 'bind', source: file, target: '/a/b/c', readOnly: true },
      { type: 'tmpfs', target: '/a', sizeBytes: 4096, mode: 0o700 },
      { type: 'volume', source: 'data', target: '/a/b' },
    ],
    [],
    prepare,
  );
  expect(volumes.mountSpecs(mounts, specs)).toEqual([
    { kind: 'filesystem', type: 'tmpfs', source: 'tmpfs', target: '/a', attributes: 14, options: 'size=4096,mode=700' },
    {
      kind: 'bind',
      source: volumes.path('data'),
      target: '/a/b',
      attributes: 0,
      recursive: false,
      shallow: false,
      propagation: 'private',
      create: 'like-source',
    },
    {
      kind: 'bind',
      source: file,
      target: '/a/b/c',
      attributes: 1,
      recursive: true,
      shallow: false,
      propagation: 'private',
      create: 'like-source',
    },
  ]);
});

test('the source of a bind mount must be there, unless it is to be made', async () => {
  const source = join(place, 'new/directory');
  const bind = { type: 'bind', source, target: '/a' } as const;
  await expect(volumes.prepare([{ type: 'volume', target: '/v' }, bind], [], prepare)).rejects.toMatchObject({
    code: 'CTR_NOT_FOUND',
    kind: 'file',
    ref: source,
  });
  expect(await names()).toEqual([]);
  const { mounts } = await volumes.prepare([{ ...bind, createSource: true }], [], prepare);
  expect(readdirSync(source)).toEqual([]);
  rmSync(source, { recursive: true });
  expect(() => volumes.mountSpecs([bind], specs)).toThrow('no such file');
  expect(volumes.mountSpecs(mounts, specs)).toHaveLength(1);
});

test('a subpath must be there and stay inside', async () => {
  await volumes.create({ name: 'data' });
  const spec = (subpath: string): unknown =>
    volumes.mountSpecs([{ type: 'volume', source: 'data', target: '/a', subpath }], specs);
  mkdirSync(join(volumes.path('data'), 'in/side'), { recursive: true });
  symlinkSync('/etc', join(volumes.path('data'), 'out'));
  symlinkSync('in', join(volumes.path('data'), 'link'));
  expect(spec('in/side')).toMatchObject([{ source: join(volumes.path('data'), 'in/side') }]);
  expect(spec('link/side')).toMatchObject([{ source: join(volumes.path('data'), 'in/side') }]);
  expect(() => spec('none')).toThrow(expect.objectContaining({ code: 'CTR_NOT_FOUND' }) as unknown as Error);
  expect(() => spec('out')).toThrow(expect.objectContaining({ code: 'CTR_PARSE' }) as unknown as Error);
});

test('a volume that was removed cannot be mounted', () => {
  expect(() => volumes.mountSpecs([{ type: 'volume', source: 'gone', target: '/a' }], specs)).toThrow('no such volume');
});

test.each<[string, unknown]>([
  ['target', { type: 'tmpfs', target: 'a' }],
  ['target', { type: 'tmpfs', target: '/' }],
  ['target', { type: 'tmpfs', target: '/a/../..' }],
  ['source', { type: 'bind', source: 'here', target: '/a' }],
  ['source', { type: 'volume', source: '/here', target: '/a' }],
  ['subpath', { type: 'volume', source: 'data', target: '/a', subpath: '../x' }],
  ['subpath', { type: 'volume', source: 'data', target: '/a', subpath: '/x' }],
  ['sizeBytes', { type: 'tmpfs', target: '/a', sizeBytes: -1 }],
  ['mode', { type: 'tmpfs', target: '/a', mode: 0o77777 }],
  ['type', { type: 'npipe', target: '/a' }],
])('a wrong %s is misuse: %j', async (field, mount) => {
  await expect(volumes.prepare([mount as Mount], [], { ...prepare, call: 'containers.create' })).rejects.toThrow(
    `containers.create: mounts[0].${field}: `,
  );
});

test('a target is mounted once', async () => {
  const mounts: Mount[] = [
    { type: 'tmpfs', target: '/a' },
    { type: 'tmpfs', target: '/a/.' },
  ];
  await expect(volumes.prepare(mounts, [], prepare)).rejects.toThrow('mounts[1].target: "/a" is mounted twice');
});

test('the options of the local driver say what is mounted in place of a directory of the store', async () => {
  const options = { type: 'tmpfs', device: 'tmpfs', o: 'size=1m,noexec,uid=5' };
  const memory = await volumes.create({ name: 'memory', driverOptions: options });
  await volumes.create({ name: 'bound', driverOptions: { type: 'none', device: place, o: 'bind' } });
  expect((await memory.inspect()).driverOptions).toEqual(options);
  const mounts = ['memory', 'bound'].map(source => ({ type: 'volume', source, target: `/${source}` }) as const);
  expect(volumes.mountSpecs(mounts, specs)).toMatchObject([
    { kind: 'filesystem', type: 'tmpfs', source: 'tmpfs', attributes: 8, options: 'size=1m,uid=5' },
    { kind: 'bind', source: place, target: '/bound' },
  ]);
  // By its name alone it is that one, as it is; with other options it is not.
  await volumes.create({ name: 'memory' });
  await expect(volumes.create({ name: 'memory', driverOptions: { ...options, o: 'size=2m' } })).rejects.toMatchObject({
    code: 'CTR_CONFLICT',
    kind: 'volume',
    ref: 'memory',
  });
});

test.each([
  [{ bar: 'foo' }, 'CTR_PARSE', 'has no option "bar"'],
  [{ type: 'tmpfs' }, 'CTR_PARSE', 'misses the option "device"'],
  [{ device: '/dev/vdb' }, 'CTR_PARSE', 'misses the option "type"'],
  [{ device: 'srv', o: 'bind' }, 'CTR_PARSE', 'no absolute path'],
  [{ size: '10m' }, 'CTR_INVALID_STATE', 'in memory'],
])('options that the local driver cannot take: %j', async (driverOptions, code, text) => {
  const creating = volumes.create({ name: 'data', driverOptions: driverOptions as Record<string, string> });
  await expect(creating).rejects.toMatchObject({ code, message: expect.stringContaining(text) as unknown });
  expect(await names()).toEqual([]);
});

test('what others lend is mounted where the container has nothing of its own, and before what the image asks for', async () => {
  const borrowed: SettledMount[] = [
    { type: 'volume', source: 'theirs', target: '/data' },
    { type: 'bind', source: '/srv', target: '/own' },
  ];
  const { mounts } = await volumes.prepare([{ type: 'volume', source: 'mine', target: '/own' }], ['/data', '/more'], {
    ...prepare,
    borrowed,
  });
  expect(mounts.map(({ target, ...mount }) => [target, 'source' in mount ? mount.source : ''])).toEqual([
    ['/data', 'theirs'],
    ['/own', 'mine'],
    ['/more', expect.stringMatching(/^[0-9a-f]{64}$/)],
  ]);
});

test('an image is layers that are only read, with a layer on top that nobody writes to', async () => {
  const { mounts } = await volumes.prepare(
    [{ type: 'image', source: 'tools', target: '/t', subpath: 'bin' }],
    [],
    prepare,
  );
  expect(volumes.mountSpecs(mounts, specs)).toEqual([
    {
      kind: 'overlay',
      target: '/t',
      attributes: 1,
      subpath: 'bin',
      base: '/',
      lowers: ['/store/2'],
      writable: { upper: '/scratch/t/upper', work: '/scratch/t/work' },
      options: '',
    },
  ]);
});

test.each<[Partial<BindMount>, RegExp]>([
  [{ recursive: 'readonly' }, /goes with readOnly/],
  [{ recursive: 'writable' }, /add readOnly/],
  [{ recursive: 'no' as 'disabled' }, /none of enabled, disabled/],
  [{ propagation: 'up' as 'slave' }, /none of private/],
  [{ overlay: true, readOnly: true }, /goes with no other option/],
])('a bind mount that cannot be: %j', async (options, message) => {
  const mount: Mount = { type: 'bind', source: place, target: '/a', ...options };
  await expect(volumes.prepare([mount], [], prepare)).rejects.toThrow(message);
});
