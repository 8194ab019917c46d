import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from '@jest/globals';

import type { Snapshotter } from '../../lib/store/snapshots.js';
import type { Digest } from '../../lib/types.js';

/** A snapshotter for one test. */
export interface SnapshotterSubject extends AsyncDisposable {
  readonly snapshots: Snapshotter;
  /** Where its snapshots are. */
  readonly directory: string;
  /** Where the directories of containers are. */
  readonly containers: string;
  /** Does what the next open of the store would. */
  sweep(): Promise<void>;
  /** Resolves when nothing is being deleted any more. */
  idle(): Promise<void>;
}

const [a, b, c] = ['a', 'b', 'c'].map((digit): Digest => `sha256:${digit.repeat(64)}`) as [Digest, Digest, Digest];

/** What every snapshotter must do, whatever it is made of. */
export function describeSnapshotter(name: string, make: () => Promise<SnapshotterSubject>): void {
  describe(name, () => {
    test('a snapshot is not there until it is committed', async () => {
      await using subject = await make();
      const { snapshots } = subject;
      const preparation = await snapshots.prepare(a, undefined);
      writeFileSync(join(preparation.dir, 'file'), 'a');
      expect([snapshots.has(a), snapshots.list()]).toEqual([false, []]);
      await preparation.commit();
      expect([snapshots.has(a), snapshots.list()]).toEqual([true, [a]]);
      expect(readFileSync(join(snapshots.path(a), 'file'), 'utf8')).toBe('a');
    });

    test('the root of a layer has mode 755, whatever the umask', async () => {
      await using subject = await make();
      const before = process.umask(0o077);
      try {
        const preparation = await subject.snapshots.prepare(a, undefined);
        expect(statSync(preparation.dir).mode & 0o7777).toBe(0o755);
        await preparation.abort();
      } finally {
        process.umask(before);
      }
    });

    test('an aborted preparation leaves nothing', async () => {
      await using subject = await make();
      const preparation = await subject.snapshots.prepare(a, undefined);
      writeFileSync(join(preparation.dir, 'file'), 'a');
      await preparation.abort();
      expect(subject.snapshots.has(a)).toBe(false);
      expect(readdirSync(subject.directory)).toEqual([]);
    });

    test('of two preparations the first to commit stands', async () => {
      await using subject = await make();
      const [first, second] = await Promise.all([
        subject.snapshots.prepare(a, undefined),
        subject.snapshots.prepare(a, undefined),
      ]);
      writeFileSync(join(first.dir, 'file'), 'first');
      writeFileSync(join(second.dir, 'file'), 'second');
      await first.commit();
      await second.commit();
      expect(readFileSync(join(subject.snapshots.path(a), 'file'), 'utf8')).toBe('first');
      expect(readdirSync(subject.directory)).toHaveLength(1);
    });

    test('leaves alone what a living process prepares', async () => {
      await using subject = await make();
      const preparation = await subject.snapshots.prepare(a, undefined);
      writeFileSync(join(preparation.dir, 'file'), 'a');
      await subject.sweep();
      await preparation.commit();
      expect(subject.snapshots.has(a)).toBe(true);
    });

    test('sweeps what a dead process prepared', async () => {
      await using subject = await make();
      mkdirSync(join(subject.directory, 'new.4194304-1-00000000-1.ab', 'etc'), { recursive: true });
      await subject.sweep();
      expect(readdirSync(subject.directory)).toEqual([]);
    });

    test('a container sees the files of all layers, and has a tree of its own', async () => {
      await using subject = await make();
      const { snapshots } = subject;
      await layer(snapshots, a, undefined, dir => writeFileSync(join(dir, 'a'), 'a'));
      await layer(snapshots, b, a, dir => writeFileSync(join(dir, 'b'), 'b'));
      const active = await snapshots.active('c1', [a, b]);
      const trees = active.kind === 'overlay' ? active.lowers : [active.dir];
      expect(trees.flatMap(tree => readdirSync(tree)).sort()).toEqual(['a', 'b']);
      expect(readdirSync(subject.containers)).toEqual(['c1']);
      expect(await snapshots.active('c1', [a, b])).toEqual(active);
    });

    test('the root of a container has mode and owner of the top layer', async () => {
      await using subject = await make();
      await layer(subject.snapshots, a, undefined, dir => chmodSync(dir, 0o1711));
      const active = await subject.snapshots.active('c1', [a]);
      const stat = statSync(active.kind === 'overlay' ? active.upper : active.dir);
      expect([stat.mode & 0o7777, stat.uid]).toEqual([0o1711, process.getuid?.()]);
    });

    test('an image without layers has an empty root', async () => {
      await using subject = await make();
      const active = await subject.snapshots.active('c1', []);
      const trees = active.kind === 'overlay' ? active.lowers : [active.dir];
      expect(trees.map(tree => readdirSync(tree))).toEqual([[]]);
      expect(subject.snapshots.list()).toEqual([]);
    });

    test('a container whose image is not unpacked is refused', async () => {
      await using subject = await make();
      await expect((async () => subject.snapshots.active('c1', [a, b]))()).rejects.toMatchObject({
        code: 'CTR_NOT_FOUND',
        ref: b,
      });
    });

    test.each([['../c1'], [''], ['a/b'], ['.x']])('%j is no id', async id => {
      await using subject = await make();
      await expect((async () => subject.snapshots.active(id, []))()).rejects.toThrow(TypeError);
    });

    test('the tree of a removed container is out of sight at once, and its directory stays', async () => {
      await using subject = await make();
      const active = await subject.snapshots.active('c1', []);
      writeFileSync(join(subject.containers, 'c1', 'log'), '');
      const tree = active.kind === 'overlay' ? active.upper : active.dir;
      for (let n = 0; n < 50; n++) mkdirSync(join(tree, `d${n}`, 'e'), { recursive: true });
      // What it may leave: directories that nobody may write or enter.
      chmodSync(join(tree, 'd1'), 0o500);
      chmodSync(join(tree, 'd2'), 0o000);
      subject.snapshots.removeActive('c1');
      expect(readdirSync(join(subject.containers, 'c1'))).toEqual(['log']);
      await subject.idle();
      expect(
        existsSync(join(subject.containers, '..', 'trash')) && readdirSync(join(subject.containers, '..', 'trash')),
      ).toEqual([]);
    });

    test('removing the tree of a container that has none is nothing', async () => {
      await using subject = await make();
      expect(() => subject.snapshots.removeActive('c1')).not.toThrow();
    });

    test('a removed snapshot is gone', async () => {
      await using subject = await make();
      await layer(subject.snapshots, a, undefined, dir => mkdirSync(join(dir, 'x')));
      expect([subject.snapshots.remove(a), subject.snapshots.has(a), subject.snapshots.remove(a)]).toEqual([
        true,
        false,
        false,
      ]);
    });

    test('keeps hard links, times, xattrs and modes from layer to container', async () => {
      await using subject = await make();
      const { snapshots } = subject;
      const hasXattrs = await layer(snapshots, a, undefined, dir => {
        writeFileSync(join(dir, 'one'), 'x', { mode: 0o644 });
        linkSync(join(dir, 'one'), join(dir, 'two'));
        chmodSync(join(dir, 'one'), 0o4711);
        spawnSync('touch', ['-d', '2001-02-03 04:05:06.123456789Z', join(dir, 'one')]);
        return spawnSync('setfattr', ['-n', 'user.x', '-v', '0x00ff80', join(dir, 'one')]).status === 0;
      });
      await layer(snapshots, b, a, () => {});
      await layer(snapshots, c, b, () => {});
      const active = await snapshots.active('c1', [a, b, c]);
      const tree = active.kind === 'overlay' ? (active.lowers.at(-1) ?? '') : active.dir;
      const [one, two] = ['one', 'two'].map(file => lstatSync(join(tree, file), { bigint: true }));
      expect(one?.ino).toBe(two?.ino);
      expect(one?.mtimeNs).toBe(981_173_106_123_456_789n);
      expect(Number(one?.mode) & 0o7777).toBe(0o4711);
      const xattr = spawnSync('getfattr', ['-n', 'user.x', '-e', 'hex', '--only-values', join(tree, 'one')]);
      if (hasXattrs) expect(xattr.stdout).toEqual(Buffer.from([0x00, 0xff, 0x80]));
    });
  });
}

async function layer<T>(
  snapshots: Snapshotter,
  chainId: Digest,
  parent: Digest | undefined,
  fill: (dir: string) => T,
): Promise<T> {
  const preparation = await snapshots.prepare(chainId, parent);
  const result = fill(preparation.dir);
  await preparation.commit();
  return result;
}
