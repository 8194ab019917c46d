import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect } from '@jest/globals';

import { needs } from '../support/needs.js';
import { pack } from '../support/tar.js';
import { CommandLines, type Side, type Spoken } from './command-lines.js';
import { HostFixture, hostListing, layerFixtures, listing } from './file-sides.js';

const { describe, test } = needs('root', 'docker', 'cc');

const containers = {
  created: [],
  running: [],
  exited: [],
  readonly: ['--read-only'],
  owned: ['--user', 'ada'],
  volume: ['-v', '/t/volume/dir', '-v', '/t/volume-1/dir', '-v', '/t/volume-2/dir', '-v', '/t/volume-3/dir'],
  bound: [],
} as const satisfies Record<string, readonly string[]>;
type Name = keyof typeof containers;
const prefix = `tsc-files-${process.pid}`;

/** `c` is `CONTAINER:/t/CASE`, with the fixture in it; `h` a directory of the host, with the same. */
type Words = (c: string, h: string) => readonly string[];
type Case = readonly [title: string, container: Name, words: Words, input?: () => Promise<Buffer>];

const stream = (): Promise<Buffer> =>
  pack(
    { name: 'x', content: 'streamed', mode: 0o604, uid: 1000, gid: 29, mtime: 1_100_000_000_000_000_000n },
    { name: 'y', type: 'directory', mode: 0o711, uid: 5, gid: 6, mtime: 1_100_000_000_000_000_000n },
    { name: 'y/z', type: 'symlink', link: '../x', mode: 0o777, mtime: 1_100_000_000_000_000_000n },
  );
const clash = (): Promise<Buffer> => pack({ name: 'dir', content: 'a file where a directory is' });
const garbage = (): Promise<Buffer> => Promise.resolve(Buffer.alloc(2048, 'no archive '));

const inward: readonly Case[] = [
  ['file to a name', 'created', (c, h) => [`${h}/file`, `${c}/new`]],
  ['file over a file', 'created', (c, h) => [`${h}/file`, `${c}/file`]],
  ['file into a directory', 'created', (c, h) => [`${h}/file`, `${c}/dir`]],
  ['file into a directory with a slash', 'created', (c, h) => [`${h}/file`, `${c}/dir/`]],
  ['file to a name with a slash', 'created', (c, h) => [`${h}/file`, `${c}/new/`]],
  ['file over a file with a slash', 'created', (c, h) => [`${h}/file`, `${c}/file/`]],
  ['file below what is missing', 'created', (c, h) => [`${h}/file`, `${c}/no/where`]],
  ['file below a file', 'created', (c, h) => [`${h}/file`, `${c}/file/below`]],
  ['file over a link to a file', 'created', (c, h) => [`${h}/program`, `${c}/link`]],
  ['file over a link to a directory', 'created', (c, h) => [`${h}/file`, `${c}/dirlink`]],
  ['file over an absolute link', 'created', (c, h) => [`${h}/file`, `${c}/abslink`]],
  ['file over a link that dangles', 'created', (c, h) => [`${h}/file`, `${c}/dangling`]],
  ['file over a link to itself', 'created', (c, h) => [`${h}/file`, `${c}/loop`]],
  ['file over a pipe', 'created', (c, h) => [`${h}/file`, `${c}/pipe`]],
  ['file with all its rights', 'created', (c, h) => ['-a', `${h}/program`, `${c}/new`]],
  ['directory to a name', 'created', (c, h) => [`${h}/dir`, `${c}/new`]],
  ['directory into a directory', 'created', (c, h) => [`${h}/dir`, `${c}/empty`]],
  ['directory into one that has its name in it', 'created', (c, h) => [`${h}/dir`, `${c}`]],
  ['what is in a directory, to a name', 'created', (c, h) => [`${h}/dir/.`, `${c}/new`]],
  ['what is in a directory, into a directory', 'created', (c, h) => [`${h}/dir/.`, `${c}/dir`]],
  ['directory with a slash', 'created', (c, h) => [`${h}/dir/`, `${c}/empty`]],
  ['directory over a file', 'created', (c, h) => [`${h}/dir`, `${c}/file`]],
  ['directory to a name with a slash', 'created', (c, h) => [`${h}/dir`, `${c}/new/`]],
  ['directory with all its owners', 'created', (c, h) => ['-a', `${h}/dir`, `${c}/empty`]],
  ['link, as it is', 'created', (c, h) => [`${h}/link`, `${c}/new`]],
  ['link, followed', 'created', (c, h) => ['-L', `${h}/link`, `${c}/new`]],
  ['link into a directory, followed', 'created', (c, h) => ['-L', `${h}/link`, `${c}/empty`]],
  ['link to a directory, as it is', 'created', (c, h) => [`${h}/dirlink`, `${c}/new`]],
  ['link to a directory, followed', 'created', (c, h) => ['-L', `${h}/dirlink`, `${c}/empty`]],
  ['link to a directory, with a slash', 'created', (c, h) => [`${h}/dirlink/`, `${c}/empty`]],
  ['what is in a link to a directory', 'created', (c, h) => [`${h}/dirlink/.`, `${c}/empty`]],
  ['link that dangles', 'created', (c, h) => [`${h}/dangling`, `${c}/new`]],
  ['link that dangles, followed', 'created', (c, h) => ['-L', `${h}/dangling`, `${c}/new`]],
  ['what is missing', 'created', (c, h) => [`${h}/missing`, `${c}/new`]],
  ['file with a slash', 'created', (c, h) => [`${h}/file/`, `${c}/new`]],
  ['an archive', 'created', c => ['-', `${c}/empty`], stream],
  ['an archive, with owners', 'created', c => ['-a', '-', `${c}/empty`], stream],
  ['an archive to a file', 'created', c => ['-', `${c}/file`], stream],
  ['an archive to what is missing', 'created', c => ['-', `${c}/missing`], stream],
  ['an archive through a link', 'created', c => ['-', `${c}/dirlink`], stream],
  ['an archive with a file where a directory is', 'created', c => ['-', `${c}`], clash],
  ['what is no archive', 'created', c => ['-', `${c}/empty`], garbage],
  ['file, running', 'running', (c, h) => [`${h}/file`, `${c}/dir`]],
  ['directory, running', 'running', (c, h) => [`${h}/dir`, `${c}/empty`]],
  ['contents, running', 'running', (c, h) => [`${h}/dir/.`, `${c}/dir`]],
  ['archive, running', 'running', c => ['-', `${c}/abslink`], stream],
  ['up and out of it, running', 'running', (c, h) => [`${h}/file`, `${c}/../../../../t/../new`]],
  ['file, exited', 'exited', (c, h) => [`${h}/file`, `${c}/dir`]],
  ['directory, exited', 'exited', (c, h) => [`${h}/dir`, `${c}/empty`]],
  ['into a root that is read-only', 'readonly', (c, h) => [`${h}/file`, `${c}/new`]],
  ['file with all its rights, for a user', 'owned', (c, h) => ['-a', `${h}/program`, `${c}/new`]],
  ['directory with all its owners, for a user', 'owned', (c, h) => ['-a', `${h}/dir`, `${c}/empty`]],
  ['an archive with owners, for a user', 'owned', c => ['-a', '-', `${c}/empty`], stream],
  ['directory, where there is a user', 'owned', (c, h) => [`${h}/dir`, `${c}/empty`]],
  ['two containers', 'created', c => [`${c}/file`, `${c}/new`]],
  ['no container', 'created', (_, h) => [`${h}/file`, `${h}/new`]],
  ['a container that there is not', 'created', (_, h) => [`${h}/file`, `${prefix}-none:/new`]],
];

const outward: readonly Case[] = [
  ['out: file to a name', 'created', (c, h) => [`${c}/file`, `${h}/new`]],
  ['out: file over a file', 'created', (c, h) => [`${c}/file`, `${h}/file`]],
  ['out: file into a directory', 'created', (c, h) => [`${c}/program`, `${h}/dir`]],
  ['out: file to a name with a slash', 'created', (c, h) => [`${c}/file`, `${h}/new/`]],
  ['out: file below what is missing', 'created', (c, h) => [`${c}/file`, `${h}/no/where`]],
  ['out: file over a link to a directory', 'created', (c, h) => [`${c}/file`, `${h}/dirlink`]],
  ['out: file over a link that dangles', 'created', (c, h) => [`${c}/file`, `${h}/dangling`]],
  ['out: directory to a name', 'created', (c, h) => [`${c}/dir`, `${h}/new`]],
  ['out: directory into a directory', 'created', (c, h) => [`${c}/dir`, `${h}/empty`]],
  ['out: contents to a name', 'created', (c, h) => [`${c}/dir/.`, `${h}/new`]],
  ['out: contents into a directory', 'created', (c, h) => [`${c}/dir/.`, `${h}/dir`]],
  ['out: directory over a file', 'created', (c, h) => [`${c}/dir`, `${h}/file`]],
  ['out: with owners', 'created', (c, h) => ['-a', `${c}/dir`, `${h}/new`]],
  ['out: link, as it is', 'created', (c, h) => [`${c}/link`, `${h}/new`]],
  ['out: link, followed', 'created', (c, h) => ['-L', `${c}/link`, `${h}/new`]],
  ['out: link to a directory, followed', 'created', (c, h) => ['-L', `${c}/abslink`, `${h}/empty`]],
  ['out: link to a directory, with a slash', 'created', (c, h) => [`${c}/dirlink/`, `${h}/empty`]],
  ['out: what is missing', 'created', (c, h) => [`${c}/missing`, `${h}/new`]],
  ['out: file with a slash', 'created', (c, h) => [`${c}/file/`, `${h}/new`]],
  ['out: all of it', 'created', (c, h) => [`${c}`, `${h}/empty`]],
  ['out: file, running', 'running', (c, h) => [`${c}/file`, `${h}/new`]],
  ['out: directory, running', 'running', (c, h) => [`${c}/dir`, `${h}/new`]],
  ['out: directory, exited', 'exited', (c, h) => [`${c}/dir`, `${h}/new`]],
  ['out: from a root that is read-only', 'readonly', (c, h) => [`${c}/dir`, `${h}/new`]],
  ['out: directory as an archive', 'created', c => [`${c}/dir`, '-']],
  ['out: contents as an archive', 'created', c => [`${c}/dir/.`, '-']],
  ['out: file as an archive', 'running', c => [`${c}/file`, '-']],
  ['out: link as an archive', 'created', c => [`${c}/link`, '-']],
  ['out: link as an archive, followed', 'created', c => ['-L', `${c}/dirlink`, '-']],
  ['out: what is missing as an archive', 'created', c => [`${c}/missing`, '-']],
];

const overMounts: readonly Case[] = [
  ['file into a volume', 'volume', (c, h) => [`${h}/file`, `${c}/dir/new`]],
  ['directory with a volume in it', 'volume', (c, h) => [`${h}/dir`, `${c}`]],
  ['out: directory that is a volume', 'volume', (c, h) => [`${c}/dir`, `${h}/new`]],
  ['out: directory with a volume in it', 'volume', (c, h) => [`${c}`, `${h}/empty`]],
  ['file into a bind', 'bound', (_, h) => [`${h}/file`, `${prefix}-bound:/bound/new`]],
  ['file into a bind that is read-only', 'bound', (_, h) => [`${h}/file`, `${prefix}-bound:/bound-ro/new`]],
  ['out: a bind', 'bound', (_, h) => [`${prefix}-bound:/bound`, `${h}/new`]],
];

const all = [...inward, ...outward, ...overMounts];
/** Where the fixture of a case is: what is mounted over has names of its own. */
const places = new Map<string, string>();
for (const [title, container] of all) {
  const before = [...all.filter(each => each[1] === 'volume').keys()];
  const index = all.filter(each => each[1] === 'volume').findIndex(each => each[0] === title);
  places.set(
    title,
    container !== 'volume' ? `case-${places.size}` : before[index] === 0 ? 'volume' : `volume-${index}`,
  );
}

interface Outcome {
  readonly said: Record<Side, Spoken>;
  readonly host: Record<Side, Record<string, string>>;
}

describe('cp, diff, export', () => {
  let both: CommandLines;
  const outcomes = new Map<string, Outcome>();
  const trees = new Map<Name, Record<Side, Record<string, string>>>();
  const binds = { ours: '', theirs: '' };

  beforeAll(async () => {
    both = await CommandLines.of('files', { files: layerFixtures([...places.values()]) });
    for (const name of Object.keys(containers) as Name[]) {
      for (const side of ['ours', 'theirs'] as const) {
        if (name !== 'bound') continue;
        binds[side] = mkdtempSync(join(tmpdir(), 'tsc-bind-'));
        mkdirSync(join(binds[side], 'inner'), { mode: 0o711 });
      }
      const said = await both.speak(side => [
        ...['create', '--name', `${prefix}-${name}`, '--network', 'none', ...containers[name]],
        ...(name === 'bound' ? ['-v', `${binds[side]}:/bound`, '-v', `${binds[side]}:/bound-ro:ro`] : []),
        ...[both.tag, ...(name === 'exited' ? ['sh', '-c', 'echo x > /t/made; exit 3'] : ['sleep', '1000'])],
      ]);
      expect([said.ours.stderr, said.theirs.stderr]).toEqual(['', '']);
      if (name !== 'created' && name !== 'owned') await both.say('start', `${prefix}-${name}`);
      if (name === 'exited') await both.say('wait', `${prefix}-${name}`);
    }
    for (const [title, container, words, input] of all) {
      using ours = new HostFixture();
      using theirs = new HostFixture();
      const place = `${prefix}-${container}:/t/${places.get(title) ?? ''}`;
      const said = await both.speak(
        side => ['cp', ...words(place, { ours, theirs }[side].path)],
        input === undefined ? undefined : await input(),
      );
      const [a, b] = await Promise.all([hostListing(ours.path), hostListing(theirs.path)]);
      const same = (tree: object, path: string): Record<string, string> =>
        JSON.parse(JSON.stringify(tree).replaceAll(path, 'HOST')) as Record<string, string>;
      outcomes.set(title, { said, host: { ours: same(a, ours.path), theirs: same(b, theirs.path) } });
    }
    for (const name of Object.keys(containers) as Name[]) {
      const { ours, theirs } = await both.speak(() => ['export', `${prefix}-${name}`]);
      trees.set(name, { ours: await listing(ours.stdout), theirs: await listing(theirs.stdout) });
    }
  }, 900_000);

  afterAll(async () => {
    await both.say('rm', '-f', '-v', ...Object.keys(containers).map(name => `${prefix}-${name}`));
    for (const path of Object.values(binds)) rmSync(path, { recursive: true, force: true });
    await both[Symbol.asyncDispose]();
  });

  test.each(all.map(each => [each[0], each[1]] as const))('cp %s', async (title, container) => {
    const { said, host } = outcomes.get(title) as Outcome;
    expect([said.ours.exitCode, reason(said.ours)]).toEqual([said.theirs.exitCode, reason(said.theirs)]);
    if (container === 'volume') for (const tree of Object.values(host)) withoutDirectoryTimes(tree);
    expect(host.ours).toEqual(host.theirs);
    if (said.theirs.exitCode === 0) {
      expect(await listing(said.ours.stdout)).toEqual(await listing(said.theirs.stdout));
    }
    const tree = trees.get(container);
    const place = `t/${places.get(title) ?? ''}`;
    expect(below(tree?.ours ?? {}, place)).toEqual(below(tree?.theirs ?? {}, place));
  });

  test.each(Object.keys(containers) as Name[])('diff and export of %s', async name => {
    const { ours, theirs } = await both.say('diff', `${prefix}-${name}`);
    const lines = (text: string): string[] => text.trim().split('\n').sort();
    expect(lines(ours.stdout)).toEqual(lines(theirs.stdout));
    const tree = trees.get(name) as Record<Side, Record<string, string>>;
    for (const place of onlyTheirs) delete tree.theirs[place];
    for (const place of mounted) tree.theirs[place] = tree.theirs[place]?.replace('file 755', 'file 644') ?? '';
    expect(tree.ours).toEqual(tree.theirs);
  });

  test('what binds got', async () => {
    expect(await hostListing(binds.ours)).toEqual(await hostListing(binds.theirs));
  });
});

/** Places that Docker mounts on, and we need not. */
const onlyTheirs = ['dev/console', 'dev/pts', 'dev/shm'];
/** Empty files that others are mounted over. */
const mounted = ['etc/hosts', 'etc/hostname', 'etc/resolv.conf'];

function below(tree: Record<string, string>, place: string): Record<string, string> {
  return Object.fromEntries(Object.entries(tree).filter(([name]) => name === place || name.startsWith(`${place}/`)));
}

/** What Docker puts into a new volume has times of its own. */
function withoutDirectoryTimes(tree: Record<string, string>): void {
  for (const [name, line] of Object.entries(tree)) tree[name] = line.replace(/^(directory \d+ \d+:\d+) \w+/, '$1');
}

/** Why it was refused, in a word: the words of both are their own. */
function reason({ exitCode, stderr }: Spoken): string {
  if (exitCode === 0) return stderr;
  const reasons = {
    'no such container': /no such container|no container/i,
    'read-only': /read-only|readonly/i,
    'not a directory':
      /not a directory|ENOTDIR|is a file|cannot copy directory|must be a directory|into a directory|EISDIR|cannot overwrite/i,
    missing: /no such (file|directory)|could not find|no file|does not exist/i,
  };
  const [first = 'other'] = Object.entries(reasons).find(([, pattern]) => pattern.test(stderr)) ?? [];
  return first;
}
