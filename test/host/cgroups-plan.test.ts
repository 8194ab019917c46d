import { describe, expect, test } from '@jest/globals';

import type { CgroupHost, Controller, Hierarchy } from '../../lib/host/cgroups.js';
import { planCgroups } from '../../lib/host/cgroups-plan.js';
import type { Resources } from '../../lib/types.js';

const every: readonly Controller[] = [
  'memory',
  'pids',
  'cpu',
  'cpuacct',
  'blkio',
  'freezer',
  'devices',
  'cpuset',
  'hugetlb',
];

function hostOf(mode: CgroupHost['mode'], hierarchies: readonly Hierarchy[], swap = true): CgroupHost {
  const controllers = new Map(
    hierarchies.flatMap(hierarchy => hierarchy.controllers.map(name => [name, hierarchy] as const)),
  );
  const missing = new Map(
    every.filter(name => !controllers.has(name)).map(name => [name, { reason: `no ${name}`, remedy: 'Get it' }]),
  );
  return { mode, hierarchies, controllers, missing, swap, cpuset: { cpus: '0-3', mems: '0' }, cpus: 4 };
}
const single = (name: Controller): Hierarchy => ({
  version: 1,
  mount: `/c/${name}`,
  base: `/c/${name}`,
  controllers: [name],
});
const v1 = hostOf('v1', every.map(single));
const v2 = hostOf('v2', [
  {
    version: 2,
    mount: '/c',
    base: '/c/user',
    controllers: ['memory', 'pids', 'cpu', 'cpuacct', 'blkio', 'cpuset', 'freezer'],
  },
]);

/** The writes as text, without the directories. */
function writes(host: CgroupHost, resources: Resources): string[] {
  return planCgroups(host, 'abc', resources).writes.map(
    write => `${write.path.slice(write.path.lastIndexOf('/') + 1)}=${write.value}`,
  );
}

describe('planCgroups', () => {
  test('on version 1 the first process enters one group per hierarchy through tasks, and cpuset only when asked', () => {
    const plan = planCgroups(v1, 'abc');
    const own = ['memory', 'pids', 'cpu', 'cpuacct', 'blkio', 'freezer'].map(name => `/c/${name}/tscontainer/abc`);
    expect([...plan.dirs].sort()).toEqual([...own].sort());
    expect([...plan.join].sort()).toEqual(
      [...own, '/c/devices/tscontainer/default-devices'].map(path => `${path}/tasks`).sort(),
    );
    expect(plan.remove).toEqual(plan.dirs);
    expect(plan.writes).toEqual([]);
    expect(plan.oom).toEqual({ path: '/c/memory/tscontainer/abc/memory.oom_control', key: 'oom_kill' });
    expect(plan.binds).toContainEqual({
      source: '/c/memory/tscontainer/abc',
      target: '/sys/fs/cgroup/memory',
      type: { name: 'cgroup', options: 'memory' },
    });
    expect(plan.devicesEnforced).toBe(true);
  });

  test('on version 2 there is one directory, entered by clone3 or cgroup.procs', () => {
    const plan = planCgroups(v2, 'abc');
    expect(plan.dirs).toEqual(['/c/user/tscontainer/abc']);
    expect(plan.into).toBe('/c/user/tscontainer/abc');
    expect(plan.join).toEqual(['/c/user/tscontainer/abc/cgroup.procs']);
    expect(plan.kill).toEqual({ file: '/c/user/tscontainer/abc/cgroup.kill' });
    expect(plan.devicesEnforced).toBe(false);
  });

  test('controllers that are mounted together share one directory', () => {
    const together = hostOf('v1', [
      single('memory'),
      { version: 1, mount: '/c/cpu,cpuacct', base: '/c/cpu,cpuacct', controllers: ['cpu', 'cpuacct'] },
    ]);
    expect(planCgroups(together, 'abc').dirs).toEqual(['/c/memory/tscontainer/abc', '/c/cpu,cpuacct/tscontainer/abc']);
  });

  test('devices mounted together with others get their rules per container', () => {
    const plan = planCgroups(
      hostOf('v1', [{ version: 1, mount: '/c/x', base: '/c/x', controllers: ['devices', 'freezer'] }]),
      'abc',
    );
    expect(plan.dirs).toEqual(['/c/x/tscontainer/abc']);
    expect(plan.writes[0]).toEqual({ path: '/c/x/tscontainer/abc/devices.deny', value: 'a', what: 'devices' });
    expect(plan.writes).toHaveLength(13);
  });

  test('extra devices get a group of their own, privileged ones none', () => {
    const extra = planCgroups(v1, 'abc', {}, { devices: ['c 10:229 rwm'] });
    expect(extra.dirs).toContain('/c/devices/tscontainer/abc');
    expect(extra.writes.at(-1)).toEqual({
      path: '/c/devices/tscontainer/abc/devices.allow',
      value: 'c 10:229 rwm',
      what: 'devices: c 10:229 rwm',
    });
    const all = planCgroups(v1, 'abc', {}, { devices: 'all' });
    expect(all.join.filter(path => path.includes('devices'))).toEqual([]);
    expect(all.devicesEnforced).toBe(false);
  });

  test('without cgroups the plan is empty and nothing fails', () => {
    const plan = planCgroups(hostOf('none', []), 'abc');
    expect([plan.dirs, plan.writes, plan.join, plan.remove, plan.binds]).toEqual([[], [], [], [], []]);
    expect([plan.oom, plan.freeze, plan.kill, plan.into]).toEqual([undefined, undefined, undefined, undefined]);
  });

  const MiB = 1024 * 1024;
  const cases: readonly [Resources, string[], string[]][] = [
    [
      { memoryBytes: 64 * MiB },
      ['memory.limit_in_bytes=67108864', 'memory.memsw.limit_in_bytes=134217728'],
      ['memory.max=67108864', 'memory.swap.max=67108864'],
    ],
    [
      { memoryBytes: 64 * MiB, memorySwapBytes: 64 * MiB },
      ['memory.limit_in_bytes=67108864', 'memory.memsw.limit_in_bytes=67108864'],
      ['memory.max=67108864', 'memory.swap.max=0'],
    ],
    [
      { memoryBytes: 64 * MiB, memorySwapBytes: -1 },
      ['memory.limit_in_bytes=67108864', 'memory.memsw.limit_in_bytes=-1'],
      ['memory.max=67108864', 'memory.swap.max=max'],
    ],
    [{ memoryReservationBytes: 8 * MiB }, ['memory.soft_limit_in_bytes=8388608'], ['memory.low=8388608']],
    [{ cpus: 1.5 }, ['cpu.cfs_period_us=100000', 'cpu.cfs_quota_us=150000'], ['cpu.max=150000 100000']],
    [
      { cpuQuotaMicros: 5000, cpuPeriodMicros: 10000 },
      ['cpu.cfs_period_us=10000', 'cpu.cfs_quota_us=5000'],
      ['cpu.max=5000 10000'],
    ],
    [{ cpuPeriodMicros: 10000 }, ['cpu.cfs_period_us=10000', 'cpu.cfs_quota_us=-1'], ['cpu.max=max 10000']],
    [{ cpuShares: 1024 }, ['cpu.shares=1024'], ['cpu.weight=39']],
    [{ maxProcesses: 20 }, ['pids.max=20'], ['pids.max=20']],
    [{ maxProcesses: -1 }, ['pids.max=max'], ['pids.max=max']],
    [
      { cpusetCpus: '0-1' },
      ['cpuset.cpus=0-3', 'cpuset.mems=0', 'cpuset.cpus=0-1', 'cpuset.mems=0'],
      ['cpuset.cpus=0-1'],
    ],
  ];
  test.each(cases)('%j', (resources, one, two) => {
    expect(writes(v1, resources)).toEqual(one);
    expect(writes(v2, resources)).toEqual(two);
  });

  test('a kernel that does not count swap gets the memory limit alone, and refuses one for swap', () => {
    const host = hostOf('v1', every.map(single), false);
    expect(writes(host, { memoryBytes: 64 * MiB })).toEqual(['memory.limit_in_bytes=67108864']);
    expect(() => planCgroups(host, 'abc', { memoryBytes: 64 * MiB, memorySwapBytes: -1 })).toThrow(
      /does not count swap/,
    );
  });

  test('a limit whose controller is missing is refused by the name of the option', () => {
    const bare = hostOf('v1', [single('freezer')]);
    expect(() => planCgroups(bare, 'abc', { maxProcesses: 3 })).toThrow(
      expect.objectContaining({
        code: 'CTR_UNSUPPORTED',
        feature: 'pidsLimit',
        reason: 'resources.maxProcesses: no pids. Get it',
      }),
    );
  });

  const wrong: readonly [Resources, string][] = [
    [{ memoryBytes: MiB }, 'resources.memoryBytes: 1048576 is below the minimum of 6291456'],
    [{ memoryBytes: Number.NaN }, 'resources.memoryBytes: expected a whole number, got NaN (number)'],
    [{ memoryBytes: 1.5 }, 'resources.memoryBytes: expected a whole number, got 1.5 (number)'],
    [{ cpus: 5 }, 'resources.cpus: 5 is above the maximum of 4, as many as this host has'],
    [{ cpus: 0 }, 'resources.cpus: 0 is below the minimum of 0.01'],
    [{ cpuPeriodMicros: 1 }, 'resources.cpuPeriodMicros: 1 is below the minimum of 1000'],
    [{ cpusetCpus: '0;rm' }, 'resources.cpusetCpus: expected a list like 0-2,7, got "0;rm"'],
    [
      { memorySwapBytes: 64 * MiB },
      'resources.memorySwapBytes is memory and swap together, so it needs resources.memoryBytes',
    ],
    [{ memoryBytes: 64 * MiB, memorySwapBytes: 32 * MiB }, 'cannot be below memoryBytes'],
    [{ memoryBytes: 64 * MiB, memoryReservationBytes: 65 * MiB }, 'cannot be above memoryBytes'],
    [{ cpus: 1, cpuQuotaMicros: 5000 }, 'give one or the other'],
    [{ memory: 3 } as unknown as Resources, 'resources.memory: there is no such limit'],
    [
      { memoryBytes: '512m' } as unknown as Resources,
      'resources.memoryBytes: expected a whole number, got 512m (string)',
    ],
  ];
  test.each(wrong)('%j is refused', (resources, message) => {
    expect(() => planCgroups(v1, 'abc', resources)).toThrow(message);
  });
});
