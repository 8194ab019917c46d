import { afterAll, beforeAll, expect } from '@jest/globals';

import { needs } from '../support/needs.js';
import { sections, type Ask, type Outcome, type Side } from './ask.js';
import { baseLayer } from './images.js';
import { peerVersion, Sides } from './sides.js';

const { describe, test } = needs('root', 'docker', 'cc');

const asks: Readonly<Record<string, Ask>> = {
  'by default': {},
  'on a bridge': { network: 'bridge', hostname: 'box', extraHosts: { db: '10.1.2.3' }, dns: ['9.9.9.9'] },
  'of another user': { user: 'ada', cwd: '/home/ada', env: { A: '1', HOME: '/elsewhere', PATH: '/bin' } },
  'with a read-only root': { readOnly: true, tmpfs: '/scratch' },
  'with limits': {
    resources: { memoryBytes: 64 << 20, maxProcesses: 33, cpus: 0.5, cpusetCpus: '0' },
    shmSizeBytes: 1 << 20,
  },
  'with other privileges': { capabilities: { add: ['SYS_PTRACE'], drop: ['CHOWN', 'MKNOD'] }, noNewPrivileges: true },
  'without a filter': { seccomp: 'unconfined', capabilities: { drop: ['ALL'] } },
  'with a terminal': { tty: true },
  'with a first process of its own': { init: true },
};

const lingering: Ask = { command: ['linger'], env: { A: '1' }, resources: { maxProcesses: 30 } };

const compared = [
  'streams',
  'status',
  'environment',
  'names',
  'directory',
  'limits',
  'process',
  'mounts',
  'devices',
  'cgroup',
  'hosts',
  'hostname',
  'resolv.conf',
  'interfaces',
  'sysctls',
  'limits of the group',
];

describe('a process in both', () => {
  let sides: Sides;

  beforeAll(async () => {
    sides = await Sides.of([
      {
        tag: 'tsc-test/process:1',
        layers: [await baseLayer()],
        config: { Entrypoint: ['/bin/probe'], Env: ['FROM_IMAGE=yes', 'PATH=/bin:/usr/bin'] },
      },
    ]);
  });
  afterAll(async () => sides[Symbol.asyncDispose]());

  function compare(name: string, look: (side: Side) => Promise<Outcome>): void {
    describe(name, () => {
      let both: { ours: Record<string, string>; theirs: Record<string, string> };

      beforeAll(async () => {
        const { ours, theirs } = await sides.both(look);
        both = { ours: view(ours), theirs: view(theirs) };
      });
      for (const section of compared) {
        test(`sees the same: ${section}`, () => {
          expect(both.ours[section]?.split('\n')).toEqual(both.theirs[section]?.split('\n'));
        });
      }
    });
  }

  for (const [name, ask] of Object.entries(asks)) {
    compare(name, side => side.run({ ...ask, command: ['view'] }));
  }
  const again = ['/bin/probe', 'view'];
  compare('that is one more in a container', side => side.exec(lingering, again));
  compare('that is one more, of another user', side =>
    side.exec(lingering, again, { user: 'ada', cwd: '/tmp', env: { B: '2' } }),
  );
  compare('that is one more, with a terminal', side => side.exec(lingering, again, { tty: true }));
});

/** Sections without what is another in every container: its id, its address, its processes' sizes. */
function view(outcome: Outcome): Record<string, string> {
  expect({ ...outcome, stdout: '' }).toEqual({ exitCode: 0, oomKilled: false, stdout: '', stderr: '' });
  const seen = sections(outcome.stdout.replaceAll('\r\n', '\n'));
  const name = seen['hostname']?.trim() ?? '';
  const old = peerVersion > 0 && peerVersion < 28 ? asBefore : same;
  return Object.fromEntries(
    Object.entries(seen).map(([section, text]) => [
      section,
      (normal[section] ?? same)(old(text)).replaceAll(name, 'NAME'),
    ]),
  );
}

/** What Docker masks, writes and sets otherwise since 28. */
function asBefore(text: string): string {
  return linesOf(text, line => !/ \/proc\/interrupts |disable_ipv6/.test(line)).replace(/^(f[ef]00::)0\t/gm, '$1\t');
}

function same(text: string): string {
  return text;
}

// What is left out here is a difference that docs/differences.md gives the reason for.
const normal: Readonly<Record<string, (text: string) => string>> = {
  status: text =>
    linesOf(text, line =>
      /^(Umask|Uid|Gid|Groups|Threads|Sig[A-P]\w+|Shd\w+|Cap\w+|NoNewPrivs|Seccomp|Cpus_allowed)\b/.test(line),
    ),
  mounts: text =>
    text
      .trimEnd()
      .split('\n')
      .map(mountOf)
      .filter(line => !/^\/sys\/fs\/cgroup(\/(cpuset|systemd))? |^\/sbin\/docker-init /.test(line))
      .sort()
      .join('\n'),
  cgroup: text =>
    linesOf(text, line => !/^(0:|\d+:(name=systemd|cpuset|devices):)/.test(line)).replace(
      /\/(docker|tscontainer)\/[0-9a-f]{64}/g,
      '/ENGINE/ID',
    ),
  'limits of the group': text =>
    linesOf(text, line => !line.includes('/cpuset/')).replace(/^.*devices\.list: [^]*?(?=\/sys)/m, rules =>
      rules.replace('/sys/fs/cgroup/devices/devices.list: ', '').split('\n').sort().join('\n'),
    ),
  process: text =>
    text
      .replace(/^death-signal \d+/m, 'death-signal ANY')
      .replace(/^pid (\d+) .*/m, (line, pid: string) =>
        line.replace(new RegExp(`\\b${pid}\\b`, 'g'), pid === '1' ? '1' : 'PID'),
      ),
  streams: text => text.replace(/^0 \/dev\/null flags=[02]/m, '0 /dev/null flags=ANY'),
  hosts: text => text.replace(/^172\.\d+\.\d+\.\d+/gm, 'ADDRESS'),
  // Where its settings came from is said in comments.
  'resolv.conf': text => linesOf(text, line => line !== '' && !line.startsWith('#')),
  interfaces: text =>
    linesOf(text, line => !/tx_queue_len|eth0\/disable_ipv6/.test(line)).replace(
      /^(\w+\t)[0-9A-F]{8}\t[0-9A-F]{8}/gm,
      '$1NETWORK\tGATEWAY',
    ),
};

function linesOf(text: string, wanted: (line: string) => boolean): string {
  return text.split('\n').filter(wanted).join('\n');
}

/** Where, what, and how: without numbers, sources, and what a file system says of the engine's own directories. */
function mountOf(line: string): string {
  const [, , , root = '', target, options] = line.split(' ');
  const [type, , superOptions = ''] = line.slice(line.indexOf(' - ') + 3).split(' ');
  const told = type === 'tmpfs' || type === 'devpts' || type === 'mqueue' ? superOptions.replace(/^r[ow],?/, '') : '';
  return [target, type, options, told, type === 'proc' || type === 'tmpfs' ? root : ''].join(' ');
}
