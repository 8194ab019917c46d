import { buffer } from 'node:stream/consumers';

import { writeTar, type TarInput } from '../../lib/archive/writer.js';
import { sha256 } from '../../lib/oci/digest.js';
import { archive, entry, pack, pax } from '../support/tar.js';
import { probe } from './probe.js';

/** An image of an archive for `docker load`. */
export interface Recipe {
  readonly tag: string;
  /** Whole tar archives, lowest first. */
  readonly layers: readonly Buffer[];
  /** What the image says of its containers. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** More of the configuration's own fields: `author`, `variant`. */
  readonly more?: Readonly<Record<string, unknown>>;
}

/** The archive, as `docker save` wrote it from 1.10 to 24. */
export async function dockerArchive(recipes: readonly Recipe[]): Promise<Buffer> {
  const files = new Map<string, TarInput>();
  const manifest = recipes.map(({ tag, layers, config = {}, more = {} }) => {
    const diffIds = layers.map(layer => sha256(layer));
    const created = '2024-02-29T12:34:56.123456789Z';
    const history = diffIds.map((_, index) => ({ created, created_by: `step ${index}` }));
    const text = JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      created,
      config,
      rootfs: { type: 'layers', diff_ids: diffIds },
      history,
      ...more,
    });
    const name = `${sha256(Buffer.from(text)).slice(7)}.json`;
    files.set(name, { name, content: text });
    const names = diffIds.map(diffId => `${diffId.slice(7)}/layer.tar`);
    names.forEach((path, index) => files.set(path, { name: path, content: layers[index] ?? '' }));
    return { Config: name, RepoTags: [tag], Layers: names };
  });
  return buffer(writeTar([...files.values(), { name: 'manifest.json', content: JSON.stringify(manifest) }]));
}

/** 2023-04-05T06:07:08 and some nanoseconds. */
const then = 1_680_674_828_123_456_789n;

const passwd = [
  'root:x:0:0:root:/root:/bin/sh',
  'daemon:x:1:1::/usr/sbin:/bin/false',
  'ada:x:1000:1000:Ada:/home/ada:/bin/sh',
  'grace:x:1001:100::/home/grace:',
  'homeless:x:1002:1002:::',
  'broken:x:notanumber:5::/',
  '1003:x:2003:2003:a name of digits:/digits:',
  '',
].join('\n');

const group = [
  'root:x:0:',
  'daemon:x:1:',
  'tty:x:5:',
  'users:x:100:ada',
  'wheel:x:10:root,ada',
  'audio:x:29:ada,grace',
  'ada:x:1000:',
  'staff:x:50:homeless, grace',
  '',
].join('\n');

/** The program and what users are looked up in: the least that every image of these tests has. */
export function baseLayer(): Promise<Buffer> {
  return pack(
    directory('bin'),
    { name: 'bin/probe', mode: 0o755, content: probe(), mtime: then },
    directory('etc'),
    { name: 'etc/passwd', content: passwd, mtime: then },
    { name: 'etc/group', content: group, mtime: then },
    directory('home'),
    { ...directory('home/ada'), uid: 1000, gid: 1000, mode: 0o700 },
    directory('root', 0o700),
    directory('tmp', 0o1777),
  );
}

function directory(name: string, mode = 0o755): TarInput {
  return { name: `${name}/`, type: 'directory', mode, mtime: then };
}

function file(name: string, more: Partial<TarInput> = {}): TarInput {
  return { name, content: `this is ${name}\n`, mtime: then, ...more };
}

/** Says of the file what the file's own entry says: all programs write it so, and Docker takes it from the last one. */
function hardLink(name: string, link: string, more: Partial<TarInput> = {}): TarInput {
  return { name, type: 'link', link, mtime: then, ...more };
}

/** VFS_CAP_REVISION_2 with cap_net_bind_service, effective: what `setcap` writes. */
const fileCapability = Buffer.from('0100000200040000000000000000000000000000', 'hex');

/** Three layers over the base with everything that archives of layers can hold. */
export async function treeLayers(): Promise<readonly Buffer[]> {
  return [await baseLayer(), await things(), await changes(), await changesOfChanges()];
}

async function things(): Promise<Buffer> {
  const long = 'n'.repeat(255);
  const deep = Array.from({ length: 12 }, (_, index) => `directory-number-${index}-with-a-name-of-some-length`);
  const entries: TarInput[] = [
    directory('modes'),
    ...[0o000, 0o400, 0o644, 0o755, 0o1644, 0o2755, 0o4755, 0o6711, 0o7777].map(mode =>
      file(`modes/${mode.toString(8)}`, { mode }),
    ),
    ...[0o000, 0o700, 0o1777, 0o2775, 0o4755].map(mode => directory(`modes/d${mode.toString(8)}`, mode)),
    { ...directory('owners'), uid: 1000, gid: 100 },
    file('owners/big', { uid: 3_000_000_000, gid: 4_000_000_000 }),
    { ...directory('owners/bigdir'), uid: 3_000_000_000, gid: 4_000_000_000 },
    { name: 'owners/biglink', type: 'symlink', link: 'big', uid: 3_000_000_000, gid: 7, mtime: then },
    file('owners/setuid', { uid: 1000, gid: 29, mode: 0o6755 }),
    directory('times'),
    file('times/epoch', { mtime: 0n }),
    file('times/one-nanosecond', { mtime: 1n }),
    file('times/y2106', { mtime: 4_300_000_000_999_999_999n }),
    file('times/seconds', { mtime: 1_600_000_000_000_000_000n }),
    { name: 'times/link', type: 'symlink', link: 'seconds', mtime: 1_234_567_890_987_654_321n },
    { ...directory('times/directory'), mtime: 1_234_567_890_000_000_001n },
    file('times/directory/inside', { mtime: 1n }),
    directory('links'),
    directory('links/other'),
    file('links/one'),
    hardLink('links/two', 'links/one'),
    hardLink('links/other/three', 'links/one'),
    hardLink('links/setuid-too', 'owners/setuid', { uid: 1000, gid: 29, mode: 0o6755 }),
    { name: 'links/relative', type: 'symlink', link: '../owners/big', mtime: then },
    { name: 'links/absolute', type: 'symlink', link: '/etc/passwd', mtime: then },
    { name: 'links/dangling', type: 'symlink', link: '/not/there', mtime: then },
    { name: 'links/outside', type: 'symlink', link: '../../../../../etc/shadow', mtime: then },
    { name: 'links/long', type: 'symlink', link: `/${'l/'.repeat(1000)}end`, mtime: then },
    hardLink('links/hard-to-symlink', 'links/relative', { mode: 0o777 }),
    directory('nodes'),
    { name: 'nodes/null', type: 'character', device: { major: 1, minor: 3 }, mode: 0o666, mtime: then },
    { name: 'nodes/loop', type: 'block', device: { major: 7, minor: 300 }, mode: 0o660, gid: 6, mtime: then },
    { name: 'nodes/pipe', type: 'fifo', mode: 0o620, uid: 5, mtime: then },
    directory('attributes'),
    file('attributes/capability', { mode: 0o755, xattrs: { 'security.capability': fileCapability } }),
    file('attributes/user', {
      xattrs: {
        'user.text': Buffer.from('value'),
        'user.empty': Buffer.alloc(0),
        'user.bytes': Buffer.from([0, 255, 10, 61, 0]),
      },
    }),
    { ...directory('attributes/directory'), xattrs: { 'user.directory': Buffer.from('yes') } },
    file('attributes/setuid-and-capability', {
      mode: 0o4755,
      uid: 1000,
      xattrs: { 'security.capability': fileCapability },
    }),
    directory('names'),
    file(`names/${long}`),
    ...deep.map((_, index) => directory(`names/${deep.slice(0, index + 1).join('/')}`)),
    file(`names/${deep.join('/')}/file`),
    ...[
      'ünïcødé',
      'cafe\u0301',
      '日本語',
      '😀',
      'with blank',
      'with\nnewline',
      'with\ttab',
      'back\\slash',
      '-dash',
      '.hidden',
      '"quotes"',
      '*',
      '...',
    ].map(name => file(`names/${name}`)),
    directory('contents'),
    file('contents/empty', { content: '' }),
    file('contents/megabyte', { content: Buffer.alloc(1 << 20, 'abcdefg') }),
    file('contents/block', { content: Buffer.alloc(512, 1) }),
    ...['whited', 'opaque', 'nested', 'nested/below', 'kept', 'swapped-to-file', 'becomes-link', 'real'].map(name =>
      directory(name),
    ),
    ...[
      'whited/a',
      'whited/b',
      'opaque/old',
      'nested/below/old',
      'nested/old',
      'kept/a',
      'kept/b',
      'swapped-to-file/inside',
      'swapped-to-directory',
      'becomes-link/inside',
      'real/file',
      'rewritten',
    ].map(name => file(name)),
    { name: 'alias', type: 'symlink', link: 'real', mtime: then },
    { name: 'link-to-directory', type: 'symlink', link: 'real', mtime: then },
    { ...directory('meta'), uid: 7, mode: 0o751 },
    file('meta/file'),
    { ...directory('implied', 0o711), uid: 5, gid: 6 },
    { ...directory('implied/deep', 0o2750), uid: 5, gid: 6 },
    file('implied/deep/old'),
  ];
  return Buffer.concat([await bodyOf(entries), sparse('contents/sparse'), archive()]);
}

async function changes(): Promise<Buffer> {
  const entries: TarInput[] = [
    directory('whited'),
    file('whited/.wh.a', { content: '' }),
    file('whited/.wh.never-was', { content: '' }),
    directory('opaque'),
    file('opaque/.wh..wh..opq', { content: '' }),
    file('opaque/new'),
    directory('nested'),
    directory('nested/below'),
    file('nested/below/new'),
    // After the entries of its own layer, which it does not hide.
    file('nested/below/.wh..wh..opq', { content: '' }),
    file('.wh.kept', { content: '' }),
    file('swapped-to-file', { mode: 0o600 }),
    directory('swapped-to-directory'),
    file('swapped-to-directory/inside'),
    file('.wh.becomes-link', { content: '' }),
    { name: 'becomes-link', type: 'symlink', link: 'real', mtime: then },
    { ...directory('link-to-directory', 0o755), uid: 9 },
    file('link-to-directory/inside'),
    file('rewritten', { content: 'once more', mode: 0o600, uid: 12 }),
    { ...directory('meta', 0o1777), uid: 8 },
    file('links/new-one'),
    hardLink('links/new-two', 'links/new-one'),
    { name: 'nodes/null', type: 'character', device: { major: 1, minor: 5 }, mode: 0o600, mtime: then },
    // No entry for the directories that it is in.
    file('fresh/implied/file'),
    file('attributes/user', { xattrs: { 'user.other': Buffer.from('only') } }),
  ];
  return pack(...entries);
}

async function changesOfChanges(): Promise<Buffer> {
  return pack(
    directory('kept'),
    file('kept/c'),
    file('links/.wh.new-two', { content: '' }),
    file('links/.wh.one', { content: '' }),
    file('opaque/.wh.new', { content: '' }),
    file('opaque/old'),
    file('whited/a', { content: 'back again' }),
    file('nested/.wh.below', { content: '' }),
    file('swapped-to-file/now', {}),
    { name: 'meta/file', type: 'symlink', link: '../alias', mtime: then },
  );
}

/** Without the two blocks that end an archive. */
async function bodyOf(entries: readonly TarInput[]): Promise<Buffer> {
  return (await pack(...entries)).subarray(0, -1024);
}

/** As GNU tar writes a file with holes, version 1.0: a map, padded to a block, then the pieces. */
function sparse(name: string): Buffer {
  const [at, size] = [3 * 4096, 10 * 4096];
  const piece = Buffer.alloc(4096, 'piece');
  const map = Buffer.alloc(512);
  map.write(`2\n${at}\n${piece.length}\n${size}\n0\n`);
  return Buffer.concat([
    pax({
      'GNU.sparse.major': '1',
      'GNU.sparse.minor': '0',
      'GNU.sparse.name': name,
      'GNU.sparse.realsize': String(size),
    }),
    entry({ name: `contents/GNUSparseFile.0/sparse`, mode: '0000640', body: Buffer.concat([map, piece]) }),
  ]);
}

/** Every field that a configuration can have, or nearly none. */
export const imageConfigs: Readonly<Record<string, Pick<Recipe, 'config' | 'more'>>> = {
  full: {
    config: {
      User: 'ada:audio',
      ExposedPorts: { '80/tcp': {}, '53/udp': {} },
      Env: ['PATH=/bin', 'B=2', 'A=1', 'EMPTY=', 'EQUALS=a=b', 'B=3'],
      Entrypoint: ['/bin/probe', 'exit'],
      Cmd: ['0'],
      Volumes: { '/data': {}, '/more/data': {} },
      WorkingDir: '/home/ada',
      Labels: { 'org.example.b': '2', 'org.example.a': '<&>"\u2028' },
      StopSignal: 'SIGQUIT',
      Healthcheck: { Test: ['CMD', '/bin/probe'], Interval: 30_000_000_000, Retries: 3 },
      OnBuild: ['RUN true'],
      Shell: ['/bin/probe', '-c'],
    },
    more: {
      author: 'Ada <ada@example.org>',
      comment: 'made for a test',
      docker_version: '24.0.7',
      variant: 'v2',
      'os.version': '1.2',
    },
  },
  bare: { config: {} },
  none: { config: { Cmd: null, Env: null, Entrypoint: [] } as Record<string, unknown> },
  shell: { config: { Cmd: ['/bin/probe'], ArgsEscaped: true, Env: [] } },
};
