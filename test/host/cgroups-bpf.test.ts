import { randomBytes } from 'node:crypto';
import { mkdtempSync, mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, describe, expect, test } from '@jest/globals';

import { deviceProgram } from '../../lib/host/cgroups-bpf.js';
import { describeCgroups } from '../../lib/host/cgroups.js';
import { holdCgroups } from '../../lib/host/cgroups-control.js';
import { defaultDeviceRules, parseDeviceRule } from '../../lib/host/cgroups-devices.js';
import { planCgroups } from '../../lib/host/cgroups-plan.js';
import { Helper } from '../../lib/host/helper.js';
import { readMountInfo } from '../../lib/host/mountinfo.js';
import { capabilitySets } from '../../lib/runtime/capabilities.js';
import { defaultDevices } from '../../lib/runtime/defaults.js';
import { MonitoredProcess } from '../../lib/runtime/monitor.js';
import { containerPlan } from '../../lib/runtime/plan.js';
import { needs } from '../support/needs.js';

/** What the kernel would do with the program, for the few instructions that it is made of. */
function ask(program: Buffer, type: 'b' | 'c', major: number, minor: number, access: string): boolean {
  const bits = (access.includes('m') ? 1 : 0) | (access.includes('r') ? 2 : 0) | (access.includes('w') ? 4 : 0);
  const context = [(bits << 16) | (type === 'b' ? 1 : 2), major, minor];
  const r: number[] = [];
  for (let at = 0; at < program.length / 8; at++) {
    const [code, both] = [program.readUInt8(at * 8), program.readUInt8(at * 8 + 1)];
    const [dst, src] = [both & 15, both >> 4];
    const [offset, immediate] = [program.readInt16LE(at * 8 + 2), program.readInt32LE(at * 8 + 4)];
    const value = r[dst] ?? 0;
    if (code === 0x61) r[dst] = context[offset / 4] ?? NaN;
    else if (code === 0xbf) r[dst] = r[src] ?? NaN;
    else if (code === 0xb7) r[dst] = immediate;
    else if (code === 0x57) r[dst] = value & immediate;
    else if (code === 0x77) r[dst] = value >>> immediate;
    else if (code === 0x55) at += value === immediate ? 0 : offset;
    else if (code === 0x5d) at += value === r[src] ? 0 : offset;
    else if (code === 0x95) return r[0] === 1;
    else throw new Error(`instruction ${code} at ${at}`);
  }
  throw new Error('it ran off its end');
}

describe('deviceProgram', () => {
  test.each<[type: 'b' | 'c', major: number, minor: number, access: string, allowed: boolean]>([
    ['c', 1, 3, 'rw', true],
    ['c', 1, 3, 'rwm', true],
    ['c', 1, 1, 'm', true],
    ['c', 1, 1, 'r', false],
    ['c', 1, 1, 'mr', false],
    ['b', 8, 0, 'm', true],
    ['b', 8, 0, 'r', false],
    ['b', 1, 3, 'rw', false],
    ['c', 136, 77, 'rw', true],
    ['c', 10, 200, 'rw', true],
    ['c', 10, 201, 'rw', false],
  ])('by default: %s %i:%i %s: %s', (type, major, minor, access, allowed) => {
    expect(ask(deviceProgram(), type, major, minor, access)).toBe(allowed);
  });

  test('rules for the same devices are one', () => {
    const program = deviceProgram(['b 8:* r', 'b 8:* w']);
    expect(ask(program, 'b', 8, 5, 'rw')).toBe(true);
    expect(ask(program, 'b', 8, 5, 'm')).toBe(false);
    expect(ask(program, 'b', 9, 5, 'r')).toBe(false);
  });

  test('a rule for all permits all, and none permit nothing', () => {
    expect(ask(deviceProgram(['a *:* rwm']), 'b', 8, 0, 'rwm')).toBe(true);
    expect(ask(deviceProgram([]), 'c', 1, 3, 'r')).toBe(false);
  });

  test('a rule that is none is refused', () => {
    for (const rule of ['', 'c 1:3', 'd 1:3 r', 'c 1:3 x', 'c 5000:0 r', 'c 1:3 rwmr', 'c 1:3 rwm\n', 'c a:3 r'])
      expect(parseDeviceRule(rule)).toBeUndefined();
    expect(parseDeviceRule('b *:7 mr')).toEqual({ type: 'b', major: undefined, minor: 7, access: 'rm' });
  });
});

const unified = readMountInfo().filter(mount => mount.type === 'cgroup2');
const rooted = needs('root', 'mknod');
const kernel = unified.length > 0 ? rooted.test : test.skip;

// The tree of version 2 is there on a hybrid host too, and takes programs there as everywhere.
describe('devices on version 2', () => {
  const directory = mkdtempSync(join(tmpdir(), 'tsc-bpf-'));
  afterAll(() => rmSync(directory, { recursive: true }));

  async function inside(script: string, devices: 'default' | 'all' | readonly string[]): Promise<string> {
    const host = describeCgroups(unified);
    const release = holdCgroups(host, `test-${process.pid}`);
    const helper = new Helper(directory);
    const id = randomBytes(32).toString('hex');
    const [mountpoint, runDir] = [join(directory, 'mnt'), join(directory, id.slice(0, 12))];
    mkdirSync(mountpoint, { recursive: true });
    try {
      const cgroups = planCgroups(host, id, {}, { devices });
      expect(cgroups.devices === undefined).toBe(devices === 'all');
      const plan = containerPlan({
        lifetime: 'process',
        runDir,
        exitFile: join(directory, `${id}.json`),
        attach: true,
        namespaces: ['mnt', 'pid', 'ipc', 'uts', 'net'],
        joins: [],
        cgroupNamespace: true,
        mountpoint,
        root: { kind: 'plain', dir: '/' },
        readOnlyRoot: false,
        mounts: [
          { kind: 'filesystem', type: 'tmpfs', source: 'tmpfs', target: '/dev', attributes: 0, options: 'mode=755' },
        ],
        devices: defaultDevices,
        symlinks: [],
        maskedPaths: [],
        readOnlyPaths: [],
        sysctls: {},
        cgroups,
        network: [],
        process: {
          argv: ['sh', '-c', script],
          env: [`PATH=${process.env['PATH'] ?? ''}`],
          cwd: '/',
          createCwd: false,
          uid: 0,
          gid: 0,
          groups: [],
          capabilities: capabilitySets({ privileged: true }),
          noNewPrivileges: false,
          rlimits: [],
          stdin: false,
          init: false,
          merged: false,
        },
      });
      const monitored = new MonitoredProcess(await helper.send(plan, { outlives: true }));
      let output = '';
      monitored.connection.on('stdout', bytes => (output += bytes.toString()));
      monitored.connection.on('stderr', bytes => (output += bytes.toString()));
      await monitored.holding(monitored.started);
      await monitored.holding(monitored.closed);
      return output;
    } finally {
      helper.close();
      release();
    }
  }

  const script = [
    'echo x > /dev/null && echo null',
    'mknod /dev/disk b 7 0 && echo made',
    '(: < /dev/disk) 2>/dev/null && echo read || echo unread',
    '(: > /dev/disk) 2>/dev/null && echo written || echo unwritten',
  ].join('; ');

  kernel('the default rules let any node be made, and only a few be opened', async () => {
    expect(await inside(script, 'default')).toBe('null\nmade\nunread\nunwritten\n');
  });

  kernel('what was asked for can be opened, as it was asked for', async () => {
    expect(await inside(script, ['b 7:0 r'])).toBe('null\nmade\nread\nunwritten\n');
  });

  kernel('one that is privileged can open all', async () => {
    expect(await inside(script, 'all')).toBe('null\nmade\nread\nwritten\n');
  });

  test('are no longer than the kernel takes', () => {
    const rules = Array.from({ length: 300 }, (_, minor) => `b 8:${minor} r`);
    expect(deviceProgram([...defaultDeviceRules, ...rules]).length / 8).toBeLessThan(4096);
  });
});
