import { mkdirSync, readFileSync, readdirSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';

import { afterAll, beforeAll, describe as jestDescribe, expect, test as jestTest } from '@jest/globals';

import type { Engine, Image, RunOptions } from '../../lib/index.js';
import { testEngine, type TestEngine } from '../support/engine.js';
import { needs, programPath } from '../support/needs.js';

const { describe, test } = needs('root');
const left = jestTest.skip;
const MiB = 1 << 20;
const PROGRAMS = 'sh cat dd nproc sleep tail head true grep mknod env';

/** A test of version 1 of cgroups, which this is when there is a file that only it has. */
const v1 = isThere('/sys/fs/cgroup/memory/memory.limit_in_bytes');
const onV1 = v1 ? test : left;

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function meminfo(name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? 0) * 1024;
}

/** The disk under a directory, where that is one that can be throttled. */
function diskOf(directory: string): string | undefined {
  const { dev } = statSync(directory);
  const [major, minor] = [(dev >>> 8) & 0xfff, (dev & 0xff) | ((dev >>> 12) & 0xfff00)];
  const path = `/sys/dev/block/${major}:${minor}`;
  if (!isThere(path) || isThere(`${path}/partition`)) return undefined;
  return `/dev/${/^DEVNAME=(.*)$/m.exec(readFileSync(`${path}/uevent`, 'utf8'))?.[1]}`;
}

describe('a limit bites', () => {
  let engine: TestEngine;
  let image: Image;
  beforeAll(async () => {
    engine = await testEngine();
    const binaries = PROGRAMS.split(' ').map(programPath);
    image = await engine.images.fromHost({ binaries: binaries.filter(path => path !== undefined) });
  });
  afterAll(async () => engine[Symbol.asyncDispose]());

  const sh = (script: string, options: RunOptions): ReturnType<Engine['run']> =>
    engine.run(image, ['sh', '-c', script], { networks: ['none'], reject: false, ...options });
  /** `dd` takes one buffer of that size, and fills it. */
  const take = (mebibytes: number): string => `dd if=/dev/zero of=/dev/null bs=${mebibytes}M count=1 && echo kept`;

  // As in Docker's documentation: 200 MB of memory and 100 MB of swap.
  const scenario = { memoryBytes: 200 * MiB, memorySwapBytes: 300 * MiB };
  // What is above the memory has to go somewhere.
  (meminfo('SwapFree') > 128 * MiB ? test : left)('memory and swap: 280 MB are survived', async () => {
    expect(await sh(take(280), { resources: scenario })).toMatchObject({ stdout: 'kept\n', oomKilled: false });
  });

  test('memory and swap: 180 MB are survived, 310 MB are not', async () => {
    expect(await sh(take(180), { resources: scenario })).toMatchObject({ stdout: 'kept\n', oomKilled: false });
    expect(await sh(`exec ${take(310)}`, { resources: scenario })).toMatchObject({ stdout: '', oomKilled: true });
  });

  test('without a limit for swap, it is twice the memory', async () => {
    const file = v1 ? 'memory/memory.memsw.limit_in_bytes' : 'memory.swap.max';
    const { stdout } = await sh(`cat /sys/fs/cgroup/${file}`, { resources: { memoryBytes: 64 * MiB } });
    expect(Number(stdout)).toBe(v1 ? 128 * MiB : 64 * MiB);
  });

  onV1('with the killer disabled, a process waits for memory and is not killed', async () => {
    await using container = await engine.launch(image, {
      command: ['sh', '-c', take(64)],
      networks: ['none'],
      resources: { memoryBytes: 16 * MiB, memorySwapBytes: 16 * MiB, oomKillDisable: true },
    });
    const control = `/sys/fs/cgroup/memory/tscontainer/${container.id}/memory.oom_control`;
    while (!readFileSync(control, 'utf8').includes('under_oom 1')) await delay(10);
    expect(readFileSync(control, 'utf8')).toMatch(/^oom_kill 0$/m);
    expect((await container.inspect()).state).toBe('running');
  });

  onV1('2048 shares get twice the time of 1024 on one processor', async () => {
    const spin = (cpuShares: number): Parameters<Engine['launch']>[1] => ({
      command: ['sh', '-c', 'while :; do :; done'],
      networks: ['none'],
      resources: { cpuShares, cpusetCpus: '0' },
    });
    await using many = await engine.launch(image, spin(2048));
    await using few = await engine.launch(image, spin(1024));
    const usage = (id: string): number =>
      Number(readFileSync(`/sys/fs/cgroup/cpuacct/tscontainer/${id}/cpuacct.usage`, 'utf8')) / 1e6;
    const before = [usage(many.id), usage(few.id)] as const;
    const spent = (): readonly [number, number] => [usage(many.id) - before[0], usage(few.id) - before[1]];
    // Others use that processor as well: what counts is the time that these two got.
    while (spent()[0] + spent()[1] < 2000) await delay(50);
    const [more, less] = spent();
    expect(more / less).toBeGreaterThan(1.5);
    expect(more / less).toBeLessThan(2.5);
  });

  onV1('a quota of a fifth gets no more than that', async () => {
    await using container = await engine.launch(image, {
      command: ['sh', '-c', 'while :; do :; done'],
      networks: ['none'],
      resources: { cpuPeriodMicros: 50_000, cpuQuotaMicros: 10_000 },
    });
    const usage = (): number =>
      Number(readFileSync(`/sys/fs/cgroup/cpuacct/tscontainer/${container.id}/cpuacct.usage`, 'utf8')) / 1e6;
    const [used, at] = [usage(), performance.now()];
    await delay(1000);
    expect((usage() - used) / (performance.now() - at)).toBeLessThan(0.28);
    const stat = readFileSync(`/sys/fs/cgroup/cpu/tscontainer/${container.id}/cpu.stat`, 'utf8');
    expect(Number(/^nr_throttled (\d+)/m.exec(stat)?.[1])).toBeGreaterThan(0);
  });

  test('a cpuset is all that sched_getaffinity knows of', async () => {
    const { stdout } = await sh('nproc; grep Cpus_allowed_list /proc/self/status', { resources: { cpusetCpus: '0' } });
    expect(stdout).toBe('1\nCpus_allowed_list:\t0\n');
  });

  test('a limit of processes: fork fails with EAGAIN', async () => {
    const { stderr } = await sh('for i in 1 2 3 4 5 6 7 8; do sleep 5 & done', { resources: { maxProcesses: 4 } });
    expect(stderr).toMatch(/Cannot fork|Resource temporarily unavailable/);
  });

  const disk = diskOf(tmpdir());
  const onDisk = disk === undefined ? left : test;
  const write = 'dd if=/dev/zero of=/file oflag=direct conv=notrunc';
  onDisk('bytes per second to a disk', async () => {
    const resources = { deviceWriteBytes: [{ path: disk ?? '', perSecond: MiB }] };
    const { durationMs, stderr, exitCode } = await sh(`${write} bs=256k count=12`, { resources });
    // Three at one a second; the first comes at once.
    expect({ stderr, exitCode }).toMatchObject({ exitCode: 0 });
    expect(durationMs).toBeGreaterThan(1900);
  });

  onDisk('operations per second to a disk', async () => {
    const resources = { deviceWriteOps: [{ path: disk ?? '', perSecond: 10 }] };
    const { durationMs } = await sh(`${write} bs=4k count=30`, { resources });
    expect(durationMs).toBeGreaterThan(1900);
  });

  onDisk('bytes per second from a disk', async () => {
    const resources = { deviceReadBytes: [{ path: disk ?? '', perSecond: MiB }] };
    const script = `${write} bs=1M count=3; dd if=/file of=/dev/null iflag=direct bs=256k`;
    const { durationMs } = await sh(script, { resources });
    expect(durationMs).toBeGreaterThan(1900);
  });

  test('open files: EMFILE', async () => {
    const open = 'for i in 3 4 5 6 7 8 9; do eval "exec $i</dev/null"; done; echo all';
    const { stdout, stderr } = await sh(open, { ulimits: { nofile: { soft: 6 } } });
    expect(stdout).toBe('');
    expect(stderr).toMatch(/Too many open files|Bad file descriptor/);
  });

  test('the size of a file: SIGXFSZ', async () => {
    const options = { ulimits: { fsize: { soft: 10_000 } } } as const;
    // A first process would not be killed by it.
    const { stdout } = await sh('dd if=/dev/zero of=/file bs=1k count=100; echo $?', options);
    expect(stdout).toBe(`${128 + constants.signals.SIGXFSZ}\n`);
  });

  test('processor time: SIGXCPU', async () => {
    const { stdout } = await sh("sh -c 'while :; do :; done'; echo $?", { ulimits: { cpu: { soft: 1, hard: 5 } } });
    expect(stdout).toBe(`${128 + constants.signals.SIGXCPU}\n`);
  });

  test('a hard limit that may not be raised stays, the container starts, and that is said', async () => {
    const [hard = ''] =
      /^Max open files\s+\S+\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.slice(1) ?? [];
    const most = 1_000_000_000;
    const warnings: string[] = [];
    const hear = ({ message }: { message: string }): void => void warnings.push(message);
    engine.on('warning', hear);
    const asked = { ulimits: { nofile: { soft: 100, hard: most } } };
    const { stdout } = await sh('ulimit -n; ulimit -Hn', asked);
    engine.off('warning', hear);
    const caps = BigInt(`0x${/^CapEff:\s+(\w+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]}`);
    const may = ((caps >> 24n) & 1n) === 1n;
    expect(stdout).toBe(`100\n${may || hard === 'unlimited' ? most : hard}\n`);
    if (!may && hard !== 'unlimited') expect(warnings.join()).toContain('lacks CAP_SYS_RESOURCE');
  });

  test('the size of /dev/shm: ENOSPC', async () => {
    const { stderr } = await sh('dd if=/dev/zero of=/dev/shm/x bs=1M count=3', { shmSizeBytes: 2 * MiB });
    expect(stderr).toContain('No space left on device');
  });

  test('a namespaced setting is in force inside, and nowhere else', async () => {
    const path = '/proc/sys/kernel/msgmax';
    const before = readFileSync(path, 'utf8');
    const { stdout } = await sh(`cat ${path}`, { sysctls: { 'kernel.msgmax': '4242' } });
    expect(stdout).toBe('4242\n');
    expect(readFileSync(path, 'utf8')).toBe(before);
  });

  onV1('the limits of a parent cgroup bite those below it, which are gone afterwards', async () => {
    const parent = `tsc-test-${process.pid}`;
    mkdirSync(`/sys/fs/cgroup/pids/${parent}`);
    try {
      writeFileSync(`/sys/fs/cgroup/pids/${parent}/pids.max`, '3');
      const options = { cgroupParent: `${parent}/inner` };
      const { stderr, stdout } = await sh('cat /proc/self/cgroup; for i in 1 2 3 4 5; do sleep 5 & done', options);
      expect(stdout).toMatch(new RegExp(`^\\d+:pids:/${parent}/inner/[0-9a-f]{64}$`, 'm'));
      expect(stderr).toMatch(/Cannot fork|Resource temporarily unavailable/);
    } finally {
      // It was named by us, so it is ours to remove; what was below it has to be gone.
      for (const name of readdirSync('/sys/fs/cgroup')) {
        for (const path of [`/sys/fs/cgroup/${name}/${parent}/inner`, `/sys/fs/cgroup/${name}/${parent}`])
          if (isThere(path)) rmdirSync(path);
      }
    }
  });

  onV1('in a cgroup namespace of its own a container is at the root, and finds its limits there', async () => {
    const script = 'cat /proc/self/cgroup; cat /sys/fs/cgroup/pids/pids.max';
    const options = { cgroupNamespace: 'private', resources: { maxProcesses: 77 } } as const;
    const { stdout } = await sh(script, options);
    expect(stdout).toMatch(/^\d+:pids:\/$/m);
    expect(stdout).toMatch(/^77$/m);
  });

  test('who is killed first when memory is short', async () => {
    const { stdout } = await sh('cat /proc/self/oom_score_adj', { oomScoreAdj: 777 });
    expect(stdout).toBe('777\n');
  });
});

jestDescribe('what no container can have is refused before anything is made', () => {
  const cases: readonly [options: object, what: string, kind: string][] = [
    [{ resources: { memoryBytes: 5 * MiB } }, 'resources.memoryBytes', 'CTR_LIMIT'],
    [{ resources: { memorySwapBytes: 64 * MiB } }, 'resources.memorySwapBytes', 'TypeError'],
    [{ resources: { memorySwappiness: 101 } }, 'resources.memorySwappiness', 'CTR_LIMIT'],
    [{ resources: { oomKillDisable: 1 } }, 'resources.oomKillDisable', 'TypeError'],
    [{ resources: { cpusetCpus: '4000' } }, 'resources.cpusetCpus', 'CTR_LIMIT'],
    [{ resources: { cpusetCpus: '0-99999999999' } }, 'resources.cpusetCpus', 'TypeError'],
    [{ resources: { cpusetCpus: `${'0,'.repeat(50_000)}x` } }, 'resources.cpusetCpus', 'TypeError'],
    [{ resources: { blkioWeight: 5 } }, 'resources.blkioWeight', 'CTR_LIMIT'],
    [{ resources: { deviceReadBytes: [{ path: '/dev/null', perSecond: 1 }] } }, 'no block device', 'TypeError'],
    [{ resources: { deviceReadOps: [{ path: '/dev/nope', perSecond: 1 }] } }, '/dev/nope', 'CTR_NOT_FOUND'],
    [{ resources: { deviceWriteOps: [{ path: '/dev/loop0', perSecond: 0 }] } }, 'deviceWriteOps', 'CTR_LIMIT'],
    [{ resources: { hugePageBytes: { '3MB': 1 } } }, 'there are no pages of 3MB', 'CTR_UNSUPPORTED'],
    [{ resources: JSON.parse('{"__proto__": 1}') as object }, 'there is no such limit', 'TypeError'],
    [{ oomScoreAdj: 1001 }, 'oomScoreAdj', 'CTR_LIMIT'],
    [{ ulimits: { nofile: { soft: 10, hard: 5 } } }, 'ulimits.nofile', 'CTR_LIMIT'],
    [{ ulimits: { nofiles: { soft: 10 } } }, 'ulimits', 'TypeError'],
    [{ ulimits: { nofile: { soft: -2 } } }, 'ulimits.nofile', 'CTR_LIMIT'],
    [{ shmSizeBytes: -1 }, 'shmSizeBytes', 'TypeError'],
    [{ sysctls: { 'vm.swappiness': '1' } }, 'sysctls', 'TypeError'],
    [{ sysctls: { 'net.ipv4/../../kernel/core_pattern': 'x' } }, 'sysctls', 'TypeError'],
    [{ sysctls: { 'net.core.somaxconn': '1' }, networks: ['host'] }, 'sysctls', 'TypeError'],
    [{ sysctls: { 'kernel.shmmax': '1' }, ipcMode: 'host' }, 'sysctls', 'TypeError'],
    [{ cgroupParent: '/a/../../b' }, 'cgroupParent', 'TypeError'],
    [{ cgroupNamespace: 'own' }, 'cgroupNamespace', 'TypeError'],
    [{ pidMode: 'hosts' }, 'pidMode', 'TypeError'],
    [{ pidMode: 'container:' }, 'pidMode', 'TypeError'],
    [{ pidMode: 'container:nobody' }, 'nobody', 'CTR_NOT_FOUND'],
    [{ ipcMode: 'container:nobody' }, 'nobody', 'CTR_NOT_FOUND'],
    [{ utsMode: 'host', hostname: 'a' }, 'hostname', 'TypeError'],
    [{ userNamespace: 'private' }, 'userNamespace', 'TypeError'],
    [{ domainname: 'a b' }, 'domainname', 'TypeError'],
    [{ devices: [{ hostPath: '/dev/nope' }] }, '/dev/nope', 'CTR_NOT_FOUND'],
    [{ devices: [{ hostPath: '/etc/passwd' }] }, 'no device', 'TypeError'],
    [{ devices: [{ hostPath: '/dev/null', containerPath: '/dev/../x' }] }, 'devices', 'TypeError'],
    [{ devices: [{ hostPath: '/dev/null', permissions: 'x' }] }, 'devices', 'TypeError'],
    [{ deviceRules: ['c 1:3'] }, 'deviceRules', 'TypeError'],
    [{ capabilities: { add: ['FOO'] } }, 'FOO', 'TypeError'],
    [{ groups: ['a:b'] }, 'groups', 'TypeError'],
    [{ maskedPaths: ['proc'] }, 'maskedPaths', 'TypeError'],
    [{ readOnlyPaths: ['/proc/../x'] }, 'readOnlyPaths', 'TypeError'],
    [{ seccomp: { defaultAction: 'ALLOW' } }, 'defaultAction', 'CTR_PARSE'],
    [{ seccomp: 'default' }, 'seccomp', 'TypeError'],
    [{ appArmor: 'not a name' }, 'appArmor', 'TypeError'],
  ];
  let engine: TestEngine;
  let image: Image;
  const { test: rooted } = needs('root');
  beforeAll(async () => {
    engine = await testEngine();
    image = await engine.images.fromHost({ binaries: [programPath('true') ?? ''] });
  });
  afterAll(async () => engine[Symbol.asyncDispose]());

  for (const [options, what, kind] of cases) {
    rooted(JSON.stringify(options).slice(0, 100), async () => {
      const made = engine.containers.create({ networks: ['none'], command: ['true'], ...options, image });
      await expect(made).rejects.toMatchObject({
        [kind.startsWith('CTR_') ? 'code' : 'name']: kind,
        message: expect.stringContaining(what),
      });
      expect(await engine.containers.list()).toEqual([]);
    });
  }
});
