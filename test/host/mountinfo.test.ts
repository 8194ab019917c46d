import { describe, expect, test } from '@jest/globals';

import { mountOf, parseMountInfo, readMountInfo } from '../../lib/host/mountinfo.js';

describe('mountinfo', () => {
  test('optional fields, escapes and a file system without options are read', () => {
    const [first, second] = parseMountInfo(
      '36 35 98:0 /mnt1 /mnt\\040two\\134x rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue\n' +
        '40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n',
    );
    expect(first).toEqual({
      id: 36,
      parent: 35,
      device: '98:0',
      root: '/mnt1',
      target: '/mnt two\\x',
      options: ['rw', 'noatime'],
      optional: ['master:1', 'shared:7'],
      type: 'ext3',
      source: '/dev/root',
      superOptions: ['rw', 'errors=continue'],
    });
    expect(second?.superOptions).toEqual(['rw', 'name=systemd']);
  });

  test('a path lies on the mount with the longest target, and of equal ones on the last', () => {
    const mounts = parseMountInfo(
      '1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / /var rw - ext4 b rw\n3 2 8:3 / /var rw - xfs c rw\n4 1 8:4 / /variant rw - ext4 d rw\n',
    );
    expect(mountOf('/var/lib', mounts)?.source).toBe('c');
    expect(mountOf('/variant', mounts)?.source).toBe('d');
    expect(mountOf('/varied', mounts)?.source).toBe('a');
  });

  test('lines that are none are left out', () => {
    expect(parseMountInfo('\nnonsense\n1 2 3\n')).toEqual([]);
  });

  test("the kernel's own file has /proc in it", () => {
    expect(readMountInfo().find(mount => mount.target === '/proc')?.type).toBe('proc');
  });
});
