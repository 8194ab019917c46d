import { afterAll, beforeAll, expect } from '@jest/globals';

import { needs } from '../support/needs.js';
import { CommandLines } from './command-lines.js';
import { REPORT, readReport } from './report.js';

const { describe, test } = needs('root', 'docker', 'cc');
const usual = ['--network', 'none', '--hostname', 'h'];

/** What is asked for, as it would be typed; all that a shell inside can tell is compared. */
const kept: readonly string[] = [
  '',
  '-m 64m',
  '-m 64m --memory-swap 128m',
  '-m 64m --memory-swap 64m',
  '-m 64m --memory-swap -1',
  '-m 64m --memory-swap 0',
  '-m 6m',
  '-m 0',
  '--memory-reservation 32m',
  '-m 64m --memory-reservation 32m',
  '--memory-swappiness 0',
  '--memory-swappiness 100',
  '--memory-swappiness -1',
  '-m 64m --oom-kill-disable',
  '--oom-score-adj 500',
  '--oom-score-adj 0',
  '--oom-score-adj 1000',
  '--cpus 0.5',
  '--cpus 1.25',
  '--cpus 2',
  '-c 512',
  '--cpu-shares 2',
  '--cpu-shares 262144',
  '--cpu-period 50000',
  '--cpu-quota 20000',
  '--cpu-period 20000 --cpu-quota 10000',
  '--cpu-quota -1',
  '--cpuset-cpus 0',
  '--cpuset-cpus 0-1',
  '--cpuset-cpus 1,0 --cpuset-mems 0',
  '--cpuset-mems 0',
  '--pids-limit 50',
  '--pids-limit -1',
  '--pids-limit 0',
  '--device-read-bps /dev/loop0:1mb',
  '--device-write-bps /dev/loop0:2mb --device-write-bps /dev/loop1:512',
  '--device-read-iops /dev/loop0:100',
  '--device-write-iops /dev/loop0:200',
  '--ulimit nofile=100',
  '--ulimit nofile=100:200',
  '--ulimit core=0 --ulimit nproc=77:88',
  '--ulimit cpu=10 --ulimit fsize=1000000 --ulimit data=-1 --ulimit stack=8192000:16384000',
  '--ulimit memlock=65536 --ulimit msgqueue=1000 --ulimit nice=0 --ulimit rtprio=0 --ulimit rttime=1000000',
  '--ulimit sigpending=100 --ulimit locks=10 --ulimit rss=100000',
  '--shm-size 1m',
  '--shm-size 1.5g',
  '--shm-size 0',
  '--sysctl kernel.shmmax=12345 --sysctl kernel.msgmax=4096',
  '--sysctl net.ipv4.ip_forward=1',
  '--sysctl fs.mqueue.msg_max=20',
  '--sysctl kernel.sem=250_32000_100_128',
];

/** What both refuse before anything runs. */
const refused: readonly string[] = [
  '-m 1m',
  '-m 5m',
  '-m -5m',
  '-m abc',
  '--memory-swap 128m',
  '-m 64m --memory-swap 32m',
  '-m 64m --memory-reservation 128m',
  '--memory-reservation 1m',
  '--memory-swappiness 101',
  '--memory-swappiness -2',
  '--oom-score-adj 1001',
  '--oom-score-adj -1001',
  '--cpus 100',
  '--cpus -1',
  '--cpus abc',
  '--cpus 0.5 --cpu-quota 1000',
  '--cpus 0.5 --cpu-period 1000',
  '--cpu-period 10',
  '--cpu-period 2000000',
  '--cpu-quota 10',
  '--cpu-shares 1',
  '--cpu-shares -1',
  '--cpuset-cpus 64',
  '--cpuset-cpus x',
  '--cpuset-cpus 1-0',
  '--cpuset-mems 9',
  '--blkio-weight-device /dev/loop0:5',
  '--device-read-bps /dev/null:1mb',
  '--device-read-bps /dev/nope:1mb',
  '--device-read-bps loop0:1mb',
  '--device-read-bps /dev/loop0:-1',
  '--device-write-iops /dev/loop0:1mb',
  '--ulimit nofile=10:5',
  '--ulimit nofiles=10',
  '--ulimit nofile=a',
  '--shm-size -1',
  '--shm-size abc',
  '--sysctl vm.swappiness=1',
  '--sysctl kernel.hostname=x',
  '--sysctl kernel.shmmax=1 --ipc host',
];

function words(flags: string): string[] {
  return flags
    .split(' ')
    .filter(word => word !== '')
    .map(word => word.replaceAll('_', word.startsWith('kernel.sem') ? ' ' : '_'));
}

describe('a limit is the same in both', () => {
  let lines: CommandLines;
  beforeAll(async () => {
    lines = await CommandLines.of('limits');
  });
  afterAll(async () => lines[Symbol.asyncDispose]());

  for (const flags of kept) {
    test(`run ${flags}`, async () => {
      const { ours, theirs } = await lines.run([...usual, ...words(flags)], ['sh', '-c', REPORT]);
      expect({ ...comparable(ours.stdout), exitCode: ours.exitCode }).toEqual({
        ...comparable(theirs.stdout),
        exitCode: theirs.exitCode,
      });
      expect(ours.exitCode).toBe(0);
    });
  }

  for (const flags of refused) {
    test(`run ${flags}: refused`, async () => {
      const { ours, theirs } = await lines.run([...usual, ...words(flags)], ['true']);
      // Its client takes whatever is not there for a command: 127.
      expect({ theirs: theirs.exitCode, ours: ours.exitCode }).toEqual({
        theirs: theirs.stderr.includes('no such file') ? 127 : 125,
        ours: 125,
      });
      expect(ours.stderr).not.toBe('');
    });
  }
});

/**
 * Without a difference that docs/differences.md gives the reason for: groups of cpuset are made where a limit asks for them.
 */
function comparable(stdout: string): Record<string, readonly string[]> {
  const report = readReport(stdout);
  const cgroups = (report['cgroups'] ?? []).filter(line => !/^cpuset\/.*:( 0-1| 0|)$/.test(line));
  return { ...report, cgroups };
}
