import { describe, expect, test } from '@jest/globals';

import { defaultDeviceRules } from '../../lib/host/cgroups-devices.js';
import { defaultDevices, defaultMounts, maskedPaths } from '../../lib/runtime/defaults.js';

describe('defaults', () => {
  test('a mount never comes before the one that it lies on', () => {
    const targets = defaultMounts().map(mount => mount.target);
    expect(targets).toEqual(['/proc', '/dev', '/dev/pts', '/sys', '/dev/mqueue', '/dev/shm']);
  });

  test('every default device may be opened', () => {
    for (const { major, minor } of defaultDevices) expect(defaultDeviceRules).toContain(`c ${major}:${minor} rwm`);
  });

  test('terminals keep the owner of their maker where group 5 is not mapped', () => {
    const options = defaultMounts({ ttyGid: undefined }).flatMap(mount =>
      mount.kind === 'filesystem' && mount.type === 'devpts' ? mount.options : [],
    );
    expect(options).toEqual(['newinstance,ptmxmode=0666,mode=0620']);
  });

  test('shared ipc brings its own shared memory', () => {
    const shm = (sharedMemory: 'host' | 'none' | { pid: number; startTime: number }): object | undefined =>
      defaultMounts({ sharedMemory }).find(mount => mount.target === '/dev/shm');
    expect(shm('none')).toBeUndefined();
    expect(shm('host')).toMatchObject({ kind: 'bind', source: '/dev/shm' });
    expect(shm({ pid: 7, startTime: 8 })).toMatchObject({ kind: 'bind-of', peer: { pid: 7, startTime: 8 } });
  });

  test('what leaks from the host is masked', () => {
    expect(maskedPaths()).toEqual(
      expect.arrayContaining([
        '/proc/kcore',
        '/proc/keys',
        '/proc/interrupts',
        '/sys/firmware',
        '/sys/devices/virtual/powercap',
      ]),
    );
  });
});
