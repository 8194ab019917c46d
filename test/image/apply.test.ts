import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import { expect } from '@jest/globals';

import { sha256 } from '../../lib/oci/digest.js';
import { needs } from '../support/needs.js';
import { archive, Cell, chunks, entry, gnuExtract, gnuTar, pack, pax, treeOf } from '../support/tar.js';

const { describe, test } = needs('root', 'tar');

/** VFS_CAP_REVISION_2 with cap_setuid (0x80): bytes that are no UTF-8. */
const capability = Buffer.from('0100000280000000000000000000000000000000', 'hex');

/** A tree with one of everything that GNU tar can write. */
function makeTree(directory: string): void {
  const at = (name: string): string => join(directory, name);
  mkdirSync(at('dir/sub'), { recursive: true });
  writeFileSync(at('dir/plain'), 'plain\n');
  writeFileSync(at('empty'), '');
  writeFileSync(at('dir/sub/long-'.concat('n'.repeat(120))), 'a long name');
  mkdirSync(at(`deep/${'directory/'.repeat(25)}`), { recursive: true });
  writeFileSync(at(`deep/${'directory/'.repeat(25)}file`), 'a long path');
  writeFileSync(at('dir/ünï'), 'not ASCII');
  linkSync(at('dir/plain'), at('hard'));
  symlinkSync('plain', at('dir/soft'));
  symlinkSync('x'.repeat(200), at('longlink'));
  linkSync(at('dir/soft'), at('hard-to-soft'));
  execFileSync('mkfifo', ['-m', '0640', at('fifo')]);
  execFileSync('mknod', ['-m', '0660', at('char'), 'c', '10', '300']);
  execFileSync('mknod', ['-m', '0600', at('block'), 'b', '259', '1048575']);
  writeFileSync(at('setuid'), 'x');
  chownSync(at('setuid'), 1000, 50);
  chmodSync(at('setuid'), 0o6755);
  writeFileSync(at('bigowner'), 'x');
  chownSync(at('bigowner'), 3_000_000_000, 4_000_000_000);
  writeFileSync(at('unreadable'), 'x', { mode: 0 });
  mkdirSync(at('sticky'));
  chmodSync(at('sticky'), 0o1777);
  mkdirSync(at('setgid/inside'), { recursive: true });
  chownSync(at('setgid'), 0, 77);
  chmodSync(at('setgid'), 0o2775);
  writeFileSync(at('setgid/file'), 'root:root in a setgid directory');
  chownSync(at('setgid/file'), 0, 0);
  chownSync(at('setgid/inside'), 0, 0);
  chmodSync(at('setgid/inside'), 0o755);
  const fd = openSync(at('sparse'), 'w');
  for (let i = 0; i < 30; i++) writeSync(fd, Buffer.alloc(4096, 65 + i), 0, 4096, i * 65_536);
  truncateSync(at('sparse'), 40 * 65_536);
  writeFileSync(at('hole'), '');
  truncateSync(at('hole'), 1 << 18);
  mkdirSync(at('readonly'));
  writeFileSync(at('readonly/file'), 'x');
  chmodSync(at('readonly'), 0o555);
  execFileSync('touch', ['-d', '2001-02-03 04:05:06.123456789', at('dir/plain'), at('sticky'), at('dir')]);
  execFileSync('touch', ['-h', '-d', '2001-02-03 04:05:06.987654321', at('dir/soft')]);
  execFileSync('touch', ['-d', '2200-01-01 00:00:00.5', at('empty')]);
  lutimesSync(at('longlink'), 1, 2);
}

describe('a layer is unpacked as GNU tar unpacks it', () => {
  for (const [what, args] of Object.entries({
    'PAX with nanoseconds and attributes': ['--format=pax', '--xattrs', '--xattrs-include=*'],
    'PAX with sparse files 1.0': ['--format=pax', '--sparse'],
    'PAX with sparse files 0.1': ['--format=pax', '--sparse', '--sparse-version=0.1'],
    'PAX with sparse files 0.0': ['--format=pax', '--sparse', '--sparse-version=0.0'],
    'GNU with long names and large numbers': ['--format=gnu'],
    'GNU with sparse files': ['--format=gnu', '--sparse'],
  })) {
    test(what, async () => {
      using source = new Cell();
      makeTree(source.root);
      const bytes = gnuTar(source.root, '--sort=name', '--numeric-owner', ...args, '.');
      using theirs = new Cell();
      using ours = new Cell();
      gnuExtract(bytes, theirs.root);
      const applied = await ours.apply(bytes);
      const blocks = args.includes('--sparse');
      expect(await treeOf(ours.root, { blocks })).toEqual(await treeOf(theirs.root, { blocks }));
      expect(applied.diffId).toBe(sha256(bytes));
    });
  }

  test('ustar, for what it can say', async () => {
    using source = new Cell();
    mkdirSync(join(source.root, 'p'.repeat(90), 'q'.repeat(60)), { recursive: true });
    writeFileSync(join(source.root, 'p'.repeat(90), 'q'.repeat(60), 'f'.repeat(90)), 'split');
    const bytes = gnuTar(source.root, '--format=ustar', '.');
    using theirs = new Cell();
    using ours = new Cell();
    gnuExtract(bytes, theirs.root);
    await ours.apply(bytes);
    expect(await treeOf(ours.root)).toEqual(await treeOf(theirs.root));
  });

  test('v7', async () => {
    using source = new Cell();
    mkdirSync(source.path('dir'));
    writeFileSync(source.path('dir/file'), 'old');
    using cell = new Cell();
    await cell.apply(gnuTar(source.root, '--format=v7', '.'));
    expect(cell.read('dir/file')).toBe('old');
  });
});

describe('what a layer says of a file is kept', () => {
  test('binary extended attributes, of files, directories and symlinks', async () => {
    using cell = new Cell();
    const bytes = await pack(
      {
        name: 'ping',
        mode: 0o755,
        content: 'x',
        xattrs: { 'security.capability': capability, 'user.bytes': Buffer.from([0, 255, 10, 61]) },
      },
      { name: 'dir', type: 'directory', xattrs: { 'user.of': Buffer.from('a directory') } },
      { name: 'soft', type: 'symlink', link: 'ping', xattrs: { 'trusted.of': Buffer.from('a symlink') } },
      { name: 'fifo', type: 'fifo', xattrs: { 'trusted.of': Buffer.from('a fifo') } },
    );
    const applied = await cell.apply(bytes);
    const tree = await treeOf(cell.root);
    expect(tree['./ping']).toContain(`security.capability=${capability.toString('hex')} user.bytes=00ff0a3d`);
    expect(tree['./dir/']).toContain(`user.of=${Buffer.from('a directory').toString('hex')}`);
    expect(tree['./soft']).toContain(`trusted.of=${Buffer.from('a symlink').toString('hex')}`);
    expect(applied.skippedXattrs).toBe(0);
  });

  test('capabilities of a file that is owned by another, and setuid', async () => {
    using cell = new Cell();
    await cell.apply(
      await pack({
        name: 'su',
        mode: 0o4755,
        uid: 1000,
        gid: 1000,
        content: 'x',
        xattrs: { 'security.capability': capability },
      }),
    );
    const stat = statSync(cell.path('su'));
    expect([stat.mode & 0o7777, stat.uid]).toEqual([0o4755, 1000]);
    expect((await treeOf(cell.root))['./su']).toContain('security.capability=');
  });

  test('an attribute that the kernel does not take there is left out and counted', async () => {
    using cell = new Cell();
    const applied = await cell.apply(
      await pack({
        name: 'soft',
        type: 'symlink',
        link: 'x',
        xattrs: { 'user.of': Buffer.from('a symlink'), 'nonsense.of': Buffer.from('x') },
      }),
    );
    expect(applied).toMatchObject({ skippedXattrs: 2, entries: 1 });
  });

  test('the times of directories, although files come into them later', async () => {
    using cell = new Cell();
    const mtime = 1_000_000_000_123_456_789n;
    await cell.apply(
      await pack(
        { name: '.', type: 'directory', mtime },
        { name: 'dir', type: 'directory', mtime },
        { name: 'dir/file', content: 'x', mtime: 5n },
        { name: 'dir/sub', type: 'directory', mtime },
        { name: 'dir/sub/file', content: 'x' },
      ),
    );
    for (const name of ['', 'dir', 'dir/sub']) expect(statSync(cell.path(name), { bigint: true }).mtimeNs).toBe(mtime);
    expect(statSync(cell.path('dir/file'), { bigint: true }).mtimeNs).toBe(5n);
  });

  test('owner and mode of the root', async () => {
    using cell = new Cell();
    await cell.apply(await pack({ name: './', type: 'directory', mode: 0o1711, uid: 12, gid: 34 }));
    const { mode, uid, gid } = statSync(cell.root);
    expect([mode & 0o7777, uid, gid]).toEqual([0o1711, 12, 34]);
  });

  test('parents that it does not mention belong to root, whatever the umask', async () => {
    using cell = new Cell();
    const before = process.umask(0o077);
    try {
      await cell.apply(await pack({ name: 'a/b/c', content: 'x' }));
    } finally {
      process.umask(before);
    }
    for (const name of ['a', 'a/b']) expect(statSync(cell.path(name)).mode & 0o7777).toBe(0o755);
  });

  test('the bytes of its files, the number of its entries, and its digest', async () => {
    using cell = new Cell();
    const bytes = await pack(
      { name: 'a', content: 'four' },
      { name: 'b', content: 'sixsix' },
      { name: 'c', type: 'link', link: 'a' },
    );
    await expect(cell.apply(bytes)).resolves.toEqual({
      bytes: 10,
      tarBytes: bytes.length,
      entries: 3,
      diffId: sha256(bytes),
      opaque: [],
      skippedXattrs: 0,
      skippedDevices: 0,
    });
  });
});

describe('a later entry takes the place of an earlier one', () => {
  const kinds = {
    file: { name: 'x', content: 'a file' },
    directory: { name: 'x', type: 'directory' },
    symlink: { name: 'x', type: 'symlink', link: 'nowhere' },
    fifo: { name: 'x', type: 'fifo' },
    link: { name: 'x', type: 'link', link: 'other' },
  } as const;
  for (const [before, first] of Object.entries(kinds)) {
    for (const [after, second] of Object.entries(kinds)) {
      test(`${after} over ${before}`, async () => {
        using cell = new Cell();
        const full = before === 'directory' ? [{ name: 'x/child', content: 'y' }] : [];
        await cell.apply(await pack({ name: 'other', content: 'other' }, first, ...full, second));
        const stat = lstatSync(cell.path('x'));
        const kind = stat.isFIFO()
          ? 'fifo'
          : stat.isSymbolicLink()
            ? 'symlink'
            : stat.isDirectory()
              ? 'directory'
              : stat.nlink > 1
                ? 'link'
                : 'file';
        expect(kind).toBe(after);
        // A directory over a directory changes attributes only.
        expect(existsSync(cell.path('x/child'))).toBe(before === 'directory' && after === 'directory');
      });
    }
  }
});

describe('whiteouts for overlayfs', () => {
  test('are character devices 0/0, and opaque directories are marked and told', async () => {
    using cell = new Cell();
    const applied = await cell.apply(
      await pack(
        { name: 'etc/.wh.gone' },
        { name: 'var/.wh..wh..opq' },
        { name: 'var/new', content: 'x' },
        { name: '.wh..wh.plnk', type: 'directory' },
      ),
    );
    const stat = lstatSync(cell.path('etc/gone'));
    expect([stat.isCharacterDevice(), stat.rdev]).toEqual([true, 0]);
    expect(applied.opaque).toEqual(['var']);
    expect((await treeOf(cell.root))['./var/']).toContain('trusted.overlay.opaque=79');
    expect(readdirSync(cell.root).sort()).toEqual(['etc', 'var']);
  });

  test('in a user namespace the mark is user.overlay.opaque', async () => {
    using cell = new Cell();
    await cell.apply(await pack({ name: 'var/.wh..wh..opq' }), { userXattrs: true });
    expect((await treeOf(cell.root))['./var/']).toContain('user.overlay.opaque=79');
  });

  test('of the root mark the root', async () => {
    using cell = new Cell();
    await expect(cell.apply(await pack({ name: '.wh..wh..opq' }))).resolves.toMatchObject({ opaque: [''] });
  });

  for (const [what, order] of [
    ['before', [0, 1]],
    ['behind', [1, 0]],
  ] as const) {
    test(`${what} an entry of the same name leave the entry`, async () => {
      using cell = new Cell();
      const entries = [{ name: '.wh.file' }, { name: 'file', content: 'new' }];
      await cell.apply(await pack(...order.map(i => entries[i] ?? { name: 'x' })));
      expect(cell.read('file')).toBe('new');
    });

    test(`${what} a directory of the same name make it opaque: what was below is gone`, async () => {
      for (const directory of [
        { name: 'dir', type: 'directory' as const },
        { name: 'dir/file', content: 'new' },
      ]) {
        using cell = new Cell();
        const entries = [{ name: '.wh.dir' }, directory];
        const applied = await cell.apply(await pack(...order.map(i => entries[i] ?? { name: 'x' })));
        expect(lstatSync(cell.path('dir')).isDirectory()).toBe(true);
        expect(applied.opaque).toEqual(['dir']);
      }
    });
  }
});

describe('whiteouts that are carried out', () => {
  const lower = [
    { name: 'dir', type: 'directory' },
    { name: 'dir/old', content: 'old' },
    { name: 'dir/sub/old', content: 'old' },
    { name: 'dir/sub/both', content: 'old' },
    { name: 'file', content: 'old' },
  ] as const;
  const listing = (cell: Cell): string[] => readdirSync(cell.root, { recursive: true }).map(String).sort();

  test('take away files and whole directories', async () => {
    using cell = new Cell();
    await cell.apply(await pack(...lower), { whiteouts: 'delete' });
    await cell.apply(
      await pack({ name: '.wh.dir' }, { name: '.wh.file' }, { name: '.wh.never-was' }, { name: 'no/such/.wh.x' }),
      { whiteouts: 'delete' },
    );
    expect(listing(cell)).toEqual([]);
  });

  for (const [what, order] of [
    ['first', (opaque: object, rest: object[]) => [opaque, ...rest]],
    ['last', (opaque: object, rest: object[]) => [...rest, opaque]],
  ] as const) {
    test(`an opaque mark that comes ${what} leaves what its own layer wrote`, async () => {
      using cell = new Cell();
      await cell.apply(await pack(...lower), { whiteouts: 'delete' });
      const rest = [
        { name: 'dir/new', content: 'new' },
        { name: 'dir/sub/both', content: 'new' },
      ];
      await cell.apply(await pack(...(order({ name: 'dir/.wh..wh..opq' }, rest) as { name: string }[])), {
        whiteouts: 'delete',
      });
      expect(listing(cell)).toEqual(['dir', 'dir/new', 'dir/sub', 'dir/sub/both', 'file']);
      expect(cell.read('dir/sub/both')).toBe('new');
    });

    test(`a whiteout that comes ${what} leaves what its own layer wrote`, async () => {
      using cell = new Cell();
      await cell.apply(await pack(...lower), { whiteouts: 'delete' });
      const rest = [
        { name: 'dir/new', content: 'new' },
        { name: 'file', content: 'new' },
      ];
      const entries = order({ name: '.wh.dir' }, order({ name: '.wh.file' }, rest)) as { name: string }[];
      await cell.apply(await pack(...entries), { whiteouts: 'delete' });
      expect(listing(cell)).toEqual(['dir', 'dir/new', 'file']);
      expect(cell.read('file')).toBe('new');
    });
  }

  test('through a symlinked parent count as well', async () => {
    using cell = new Cell();
    await cell.apply(await pack(...lower, { name: 'alias', type: 'symlink', link: 'dir' }), { whiteouts: 'delete' });
    await cell.apply(
      await pack({ name: 'alias/new', content: 'new' }, { name: 'dir/.wh.new' }, { name: 'alias/.wh.old' }),
      { whiteouts: 'delete' },
    );
    expect(readdirSync(cell.path('dir')).sort()).toEqual(['new', 'sub']);
  });

  test('a file of a lower layer that has another name keeps its content', async () => {
    using cell = new Cell();
    await cell.apply(await pack({ name: 'a', content: 'old' }, { name: 'b', type: 'link', link: 'a' }), {
      whiteouts: 'delete',
    });
    await cell.apply(await pack({ name: 'a', content: 'new' }), { whiteouts: 'delete' });
    expect([cell.read('a'), cell.read('b')]).toEqual(['new', 'old']);
  });
});

describe('compressed layers', () => {
  const content = { name: 'file', content: Buffer.from('0123456789'.repeat(50_000)) };

  test('gzip, in one member and in several, in any pieces', async () => {
    const bytes = await pack(content);
    const members = Buffer.concat([
      gzipSync(bytes.subarray(0, 1000)),
      gzipSync(bytes.subarray(1000, 1000)),
      gzipSync(bytes.subarray(1000), { level: 1 }),
    ]);
    for (const compressed of [gzipSync(bytes), members, Buffer.concat([members, Buffer.alloc(700)])]) {
      for (const size of [13, 999, 1 << 20]) {
        using cell = new Cell();
        await expect(cell.apply(chunks(compressed, size))).resolves.toMatchObject({ diffId: sha256(bytes) });
        expect(statSync(cell.path('file')).size).toBe(500_000);
      }
    }
  });

  for (const program of ['zstd', 'xz', 'bzip2']) {
    needs('root', program).test(program, async () => {
      const bytes = await pack(content);
      const compressed = execFileSync(program, ['-c'], { input: bytes, stdio: ['pipe', 'pipe', 'ignore'] });
      using cell = new Cell();
      await expect(cell.apply(compressed)).resolves.toMatchObject({ diffId: sha256(bytes) });
      using half = new Cell();
      await expect(half.apply(compressed.subarray(0, compressed.length - 8))).rejects.toMatchObject({
        code: 'CTR_PARSE',
      });
    });
  }
});

describe('a layer that cannot be unpacked', () => {
  test('on a full disk says so, with what would help', async () => {
    using cell = new Cell();
    const script = 'mount -t tmpfs -o size=1m none "$1" && exec "$2" "$3" "$4"';
    const child = `
      import { applyLayer } from ${JSON.stringify(new URL('../../lib/image/apply.js', import.meta.url).href)};
      const content = (async function* () { for (;;) yield Buffer.alloc(1 << 16); })();
      const header = Buffer.from(${JSON.stringify(entry({ name: 'large', size: '00100000000' }).toString('latin1'))}, 'latin1');
      const all = (async function* () { yield header; yield* content; })();
      await applyLayer({ content: all, target: ${JSON.stringify(cell.root)}, whiteouts: 'overlay', call: 'images.pull' })
        .catch(error => console.log(JSON.stringify({ code: error.code, errno: error.errno, message: error.message })));`;
    const out = execFileSync(
      'unshare',
      [
        '--mount',
        '--propagation',
        'private',
        'sh',
        '-c',
        script,
        'sh',
        cell.root,
        process.execPath,
        '--input-type=module',
        `--eval=${child}`,
      ],
      { encoding: 'utf8' },
    );
    expect(JSON.parse(out)).toMatchObject({ code: 'CTR_SYSCALL', errno: 'ENOSPC' });
    expect(out).toContain('large');
    expect(out).toContain('free some space');
  });

  test('because its source fails throws what the source threw', async () => {
    using cell = new Cell();
    const failure = new Error('the line broke');
    const broken = (async function* () {
      yield entry({ name: 'x' });
      await Promise.resolve();
      throw failure;
    })();
    await expect(cell.apply(broken)).rejects.toBe(failure);
  });

  test('because it was aborted throws the reason, and waits for nobody', async () => {
    using cell = new Cell();
    const controller = new AbortController();
    const stalled = (async function* () {
      yield entry({ name: 'x' });
      controller.abort('enough');
      await new Promise(() => {});
    })();
    await expect(cell.apply(stalled, { signal: controller.signal })).rejects.toBe('enough');
    await expect(cell.apply(archive(), { signal: controller.signal })).rejects.toBe('enough');
  });

  test('does not wait for the rest of a source that goes on for ever', async () => {
    using cell = new Cell();
    const endless = (async function* () {
      yield entry({ name: '../evil' });
      await new Promise(() => {});
    })();
    await expect(cell.apply(endless)).rejects.toMatchObject({ code: 'CTR_PARSE' });
  });

  test('because its target is not there says which', async () => {
    using cell = new Cell();
    await expect(cell.apply(archive(), { target: join(cell.home, 'nowhere') })).rejects.toMatchObject({
      code: 'CTR_SYSCALL',
      errno: 'ENOENT',
      path: join(cell.home, 'nowhere'),
    });
  });

  test('because its target is a symlink is not led astray', async () => {
    using cell = new Cell();
    symlinkSync(cell.outside, join(cell.home, 'link'));
    await expect(cell.apply(archive(), { target: join(cell.home, 'link') })).rejects.toMatchObject({
      code: 'CTR_SYSCALL',
    });
    expect(readlinkSync(join(cell.home, 'link'))).toBe(cell.outside);
  });
});

describe('in a user namespace with a single id', () => {
  needs('unshare').test('owners and devices are left out, overlayfs is told in user.*', () => {
    using cell = new Cell();
    const hostile = archive(
      entry({ name: 'dir/', type: '5', mode: '0000755', uid: '0001750' }),
      entry({ name: 'null', type: '3', device: ['0000001', '0000003'] }),
      entry({ name: 'dir/.wh..wh..opq' }),
      entry({ name: '.wh.gone' }),
      entry({ name: 'dir/file', uid: '0001750', body: 'x' }),
    );
    const script = `
      import { applyLayer } from ${JSON.stringify(new URL('../../lib/image/apply.js', import.meta.url).href)};
      const content = (async function* () { yield Buffer.from(${JSON.stringify(hostile.toString('base64'))}, 'base64'); })();
      const options = { whiteouts: 'overlay', call: 'images.pull', userXattrs: true, ignoreOwners: true };
      console.log(JSON.stringify(await applyLayer({ content, target: ${JSON.stringify(cell.root)}, ...options })));`;
    const node = [process.execPath, '--input-type=module', '--eval', script];
    const applied: unknown = JSON.parse(
      execFileSync('unshare', ['--user', '--map-root-user', ...node], { encoding: 'utf8' }),
    );
    expect(applied).toMatchObject({ entries: 5, skippedDevices: 1, opaque: ['dir'] });
    expect(statSync(cell.path('dir/file')).uid).toBe(process.getuid?.());
    expect(lstatSync(cell.path('gone')).isCharacterDevice()).toBe(true);
  });
});

describe('ids', () => {
  const range = (
    inside: number,
    outside: number,
    count: number,
  ): { inside: number; outside: number; count: number } => ({ inside, outside, count });

  test('are mapped by ranges', async () => {
    using cell = new Cell();
    const ranges = [range(0, 100_000, 1000), range(1000, 5, 1)];
    await cell.apply(await pack({ name: 'root', content: 'x' }, { name: 'user', uid: 1000, gid: 999, content: 'x' }), {
      idMaps: { uids: ranges, gids: ranges },
    });
    const ids = ['root', 'user'].map(name => [statSync(cell.path(name)).uid, statSync(cell.path(name)).gid]);
    expect(ids).toEqual([
      [100_000, 100_000],
      [5, 100_999],
    ]);
  });

  test('outside of all ranges are refused, with what would help', async () => {
    using cell = new Cell();
    const idMaps = { uids: [range(0, 100_000, 1000)], gids: [] };
    await expect(
      cell.apply(archive(pax({ uid: '4000000' }), entry({ name: 'file' })), { idMaps }),
    ).rejects.toMatchObject({
      code: 'CTR_SYSCALL',
      errno: 'EOVERFLOW',
      message: expect.stringContaining('map more ids'),
    });
  });
});
