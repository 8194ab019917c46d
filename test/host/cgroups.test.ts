import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, describe, expect, test } from '@jest/globals';

import { describeCgroups } from '../../lib/host/cgroups.js';
import {
  cgroupProcesses,
  createCgroups,
  freeze,
  isFrozen,
  killAll,
  oomKills,
  prepareCgroups,
  thaw,
} from '../../lib/host/cgroups-control.js';
import { defaultDeviceRules } from '../../lib/host/cgroups-devices.js';
import { planCgroups } from '../../lib/host/cgroups-plan.js';
import type { CgroupPlan } from '../../lib/host/cgroups-plan.js';
import { dropCgroups, removeCgroups, removeOnce, sweepCgroups } from '../../lib/host/cgroups-remove.js';
import { parseMountInfo, readMountInfo } from '../../lib/host/mountinfo.js';
import type { Resources } from '../../lib/types.js';

const host = describeCgroups();
const able = process.geteuid?.() === 0 && host.hierarchies.length > 0;
if (!able && process.env['CTR_MUST_WORK'] === '1') throw new Error('cgroups of this host cannot be used by this user');
const kernel = able ? describe : describe.skip;

const ours: { plan: CgroupPlan; children: ChildProcess[] }[] = [];

function make(resources: Resources = {}): { id: string; plan: CgroupPlan } {
  const id = randomBytes(32).toString('hex');
  const plan = planCgroups(host, id, resources);
  createCgroups(host, plan);
  ours.push({ plan, children: [] });
  return { id, plan };
}

/** A shell that enters the groups as a container's first process does, then runs the script. */
function enter(plan: CgroupPlan, script: string): ChildProcess {
  const joins = plan.join.map(path => `echo 0 > ${path}`).join('; ');
  const child = spawn('/bin/sh', ['-c', `${joins}; ${script}`], { stdio: ['pipe', 'pipe', 'pipe'] });
  ours.find(own => own.plan === plan)?.children.push(child);
  return child;
}

async function output(child: ChildProcess): Promise<string> {
  let text = '';
  child.stdout?.on('data', chunk => (text += String(chunk)));
  child.stderr?.on('data', chunk => (text += String(chunk)));
  await once(child, 'close');
  return text.trim();
}

afterEach(async () => {
  for (const { plan, children } of ours.splice(0)) {
    for (const child of children) if (child.exitCode === null) child.kill('SIGKILL');
    await removeCgroups(plan.remove);
    expect(plan.remove.filter(path => existsSync(path))).toEqual([]);
  }
});

kernel('cgroups of this kernel', () => {
  test('a limit is in force for whoever has entered', async () => {
    const { plan } = make({ maxProcesses: 1 });
    const text = await output(enter(plan, '/bin/true || echo refused'));
    expect(text).toMatch(/fork|refused/i);
  });

  test('a process that uses more than its memory is killed, and that is counted', async () => {
    const { plan } = make({ memoryBytes: 8 * 1024 * 1024, memorySwapBytes: 8 * 1024 * 1024 });
    expect(oomKills(plan)).toBe(0);
    const child = enter(plan, 'exec head -c 100000000 /dev/zero | tail');
    await once(child, 'close');
    expect(oomKills(plan)).toBeGreaterThan(0);
  });

  test('a limit that the kernel refuses names its option, and leaves no group', () => {
    const directory = mkdtempSync(join(tmpdir(), 'tsc-cgroups-'));
    try {
      // A node whose device nobody has.
      const path = join(directory, 'disk');
      execFileSync('mknod', [path, 'b', '250', '99']);
      const resources = { deviceReadBytes: [{ path, perSecond: 1 << 20 }] };
      const plan = planCgroups(host, randomBytes(32).toString('hex'), resources);
      expect(() => createCgroups(host, plan)).toThrow(
        expect.objectContaining({ code: 'CTR_SYSCALL', stage: 'resources.deviceReadBytes', errno: 'ENODEV' }),
      );
      expect(plan.dirs.filter(dir => existsSync(dir))).toEqual([]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test('frozen processes stand still until they are thawed', async () => {
    const { plan } = make();
    const child = enter(plan, 'while read line; do echo $line; done');
    child.stdin?.write('one\n');
    await once(child.stdout!, 'data');
    await freeze(plan);
    expect(isFrozen(plan)).toBe(true);
    child.stdin?.write('two\n');
    expect(readFileSync(`/proc/${child.pid}/stat`, 'utf8')).not.toMatch(/\) R /);
    const answer = once(child.stdout!, 'data');
    thaw(plan);
    expect(String(await answer)).toBe('two\n');
    expect(isFrozen(plan)).toBe(false);
  });

  test('killAll ends every process, also one that has left its session', async () => {
    const { plan } = make();
    const child = enter(plan, 'setsid sleep 1000 & echo ready; wait');
    await once(child.stdout!, 'data');
    await killAll(plan);
    await once(child, 'close');
    await removeCgroups(plan.remove);
    expect(existsSync(plan.dirs[0] ?? '')).toBe(false);
  });

  test('a group with processes is not removed, and says so', async () => {
    const { plan } = make();
    const child = enter(plan, 'echo ready; read line');
    await once(child.stdout!, 'data');
    await expect(removeCgroups(plan.remove, { patienceMs: 5 })).rejects.toMatchObject({ code: 'CTR_INVALID_STATE' });
  });

  test('groups that somebody made inside go too', () => {
    const { plan } = make();
    for (const path of plan.dirs) mkdirSync(join(path, 'a/b'), { recursive: true });
    expect(removeOnce(plan.remove)).toEqual([]);
  });

  test('the sweep takes dead groups and leaves the living, the unknown and the young', () => {
    const dead = make();
    const alive = make();
    const unknown = make();
    const states = new Map([
      [dead.id, false],
      [alive.id, true],
    ]);
    expect(sweepCgroups(host, id => states.get(id))).toEqual([dead.id]);
    expect(existsSync(alive.plan.dirs[0] ?? '')).toBe(true);
    expect(existsSync(unknown.plan.dirs[0] ?? '')).toBe(true);
  });

  test('what all containers share is prepared twice without harm', () => {
    prepareCgroups(host);
    prepareCgroups(host);
  });

  (host.controllers.has('devices') ? test : test.skip)('the default device rules keep out all but a few', async () => {
    const { plan } = make();
    const group = plan.groups.get('devices') ?? '';
    expect(readFileSync(join(group, 'devices.list'), 'utf8').trim().split('\n').sort()).toEqual(
      [...defaultDeviceRules].sort(),
    );
    const text = await output(
      enter(plan, 'echo x > /dev/null && echo null; (: < /dev/kmsg) 2>/dev/null || echo refused'),
    );
    expect(text.split('\n')).toEqual(['null', 'refused']);
  });
});

// A hybrid host has the tree of version 2 as well, without controllers, but freezing and killing are part of the tree itself.
const unified = readMountInfo().filter(mount => mount.type === 'cgroup2');
(able && unified.length > 0 ? describe : describe.skip)('cgroups of version 2', () => {
  const second = able && unified.length > 0 ? describeCgroups(unified) : host;
  afterAll(() => dropCgroups(second));

  test('are entered, frozen, thawed, killed and removed', async () => {
    const plan = planCgroups(second, randomBytes(32).toString('hex'));
    createCgroups(second, plan);
    ours.push({ plan, children: [] });
    const child = enter(plan, 'while read line; do echo $line; done');
    child.stdin?.write('one\n');
    await once(child.stdout!, 'data');
    expect(cgroupProcesses(plan)).toEqual([child.pid]);
    await freeze(plan);
    expect(isFrozen(plan)).toBe(true);
    thaw(plan);
    await killAll(plan);
    expect(await once(child, 'close')).toEqual([null, 'SIGKILL']);
    expect(oomKills(plan)).toBe(0);
    await removeCgroups(plan.remove);
  });

  test('a controller that is not handed down is missing, not an error', () => {
    expect(second.controllers.get('freezer')?.version).toBe(2);
    expect(second.missing.get('cpuset')?.reason).toContain('is not enabled');
  });
});

describe('describeCgroups', () => {
  test('a host without any says what to mount', () => {
    const none = describeCgroups([]);
    expect(none.mode).toBe('none');
    expect(none.missing.get('memory')?.reason).toBe('no cgroup file system is mounted');
  });

  test('a controller that is not mounted is a feature that is missing', () => {
    const bare = describeCgroups(parseMountInfo('35 31 0:32 / /nowhere/pids rw - cgroup cgroup rw,pids\n'));
    expect(bare.mode).toBe('v1');
    expect(bare.controllers.size).toBe(0);
    expect(bare.missing.get('pids')?.reason).toBe('/nowhere/pids is not writable for this user');
    expect(bare.missing.get('memory')?.remedy).toContain('mount -t cgroup -o memory');
  });

  kernel('here', () => {
    test('names every controller as there or missing', () => {
      expect(host.controllers.size + host.missing.size).toBe(9);
      for (const hierarchy of host.hierarchies) expect(existsSync(hierarchy.base)).toBe(true);
    });
  });
});
