import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect } from '@jest/globals';

import type { Said } from '../cli/cli.js';
import { needs } from '../support/needs.js';
import { CommandLines } from './command-lines.js';
import { REPORT, readReport } from './report.js';

const { describe, test } = needs('root', 'docker', 'cc');
const alone = ['--network', 'none'];

/** What is asked for, as it would be typed; all that a shell inside can tell is compared. */
const kept: readonly string[] = [
  '--cap-add SYS_ADMIN',
  '--cap-add sys_ptrace --cap-add CAP_NET_ADMIN',
  '--cap-add ALL',
  '--cap-drop ALL',
  '--cap-drop ALL --cap-add CHOWN',
  '--cap-add ALL --cap-drop SYS_ADMIN',
  '--cap-drop CHOWN --cap-drop mknod',
  '-u 1000 --cap-add NET_ADMIN',
  '-u ada',
  '--privileged',
  '--privileged -u 1000',
  '--privileged --cap-drop ALL',
  '--privileged --security-opt no-new-privileges',
  '--privileged --security-opt seccomp=PROFILE',
  '--privileged --security-opt systempaths=unconfined',
  '--privileged --device /dev/loop0:/dev/mine:r',
  '--privileged --read-only',
  '--security-opt no-new-privileges',
  '--security-opt no-new-privileges=true',
  '--security-opt no-new-privileges:true',
  '--security-opt no-new-privileges=false',
  '--security-opt seccomp=unconfined',
  '--security-opt seccomp:unconfined',
  '--security-opt seccomp=builtin',
  '--security-opt seccomp=PROFILE',
  '--security-opt apparmor=unconfined',
  '--security-opt label=disable',
  '--security-opt label:disable',
  '--security-opt systempaths=unconfined',
  '--security-opt no-new-privileges --security-opt seccomp=unconfined --cap-drop ALL',
  '--read-only',
  '--read-only --tmpfs /tmp',
  '--device /dev/loop0',
  '--device /dev/loop0:/dev/mine',
  '--device /dev/loop0:/dev/mine:r',
  '--device /dev/loop0:/dev/more/mine:rm --device /dev/loop1:w',
  '--device /dev/null:/dev/null:r',
  '--device /dev/net',
  '--device-cgroup-rule c_42:*_rwm',
  '--device-cgroup-rule b_7:0_r --device-cgroup-rule a_*:*_rwm',
  '--group-add 77',
  '--group-add audio --group-add 0',
  '-u 1000 --group-add audio --group-add 77 --group-add 77',
  '-u 1000:29 --group-add 78',
  '--domainname corp.example',
  '--hostname web --domainname corp',
  '--ipc private',
  '--ipc shareable',
  '--ipc none',
  '--ipc host',
  '--pid host',
  '--uts host',
  '--userns host',
  '--cgroupns private',
  '--cgroupns host',
  '--pid host --ipc host --uts host',
  '--init',
  '--init --pid host',
  '--annotation a=b',
  '-e __proto__=polluted --label __proto__=polluted --annotation __proto__=polluted -e constructor=x',
];

/** What both refuse before anything runs. */
const refused: readonly string[] = [
  '--cap-add FOO',
  '--cap-drop SYS_ADMINS',
  '--security-opt foo',
  '--security-opt no-new-privileges=maybe',
  '--security-opt seccomp=/not/there',
  '--security-opt seccomp=BROKEN',
  '--security-opt systempaths=some',
  '--device /dev/not-there',
  '--device loop0',
  '--device /dev/loop0:/dev/x:q',
  '--device-cgroup-rule foo',
  '--group-add nobody-knows',
  '--hostname a --uts host',
  '--domainname a --uts host',
  '--pid foo',
  '--pid container:not-there',
  '--ipc foo',
  '--ipc container:not-there',
  '--uts foo',
  '--userns foo',
  '--cgroupns foo',
];

describe('confinement is the same in both', () => {
  let lines: CommandLines;
  let directory: string;
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'tsc-security-'));
    const syscalls = [{ names: ['chmod', 'fchmodat'], action: 'SCMP_ACT_ERRNO' }];
    writeFileSync(join(directory, 'profile.json'), JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls }));
    writeFileSync(join(directory, 'broken.json'), '{"defaultAction":');
    lines = await CommandLines.of('security');
  });
  afterAll(async () => {
    rmSync(directory, { recursive: true });
    await lines[Symbol.asyncDispose]();
  });

  function words(flags: string): string[] {
    return flags.split(' ').map(word =>
      word
        .replace('PROFILE', join(directory, 'profile.json'))
        .replace('BROKEN', join(directory, 'broken.json'))
        .replace(/^([abc])_(\S+)_([rwm]+)$/, '$1 $2 $3'),
    );
  }

  for (const flags of kept) {
    test(`run ${flags}`, async () => {
      const named = /--hostname|--uts/.test(flags) ? [] : ['--hostname', 'h'];
      const script = `${REPORT}; echo "== chmod"; chmod 600 /etc/group && echo changed || echo refused`;
      const both = await lines.run([...alone, ...named, ...words(flags)], ['sh', '-c', script]);
      const [ours, theirs] = [withoutIds(both.ours), withoutIds(both.theirs)];
      expect({ ...comparable(ours.stdout), exitCode: ours.exitCode }).toEqual({
        ...comparable(theirs.stdout),
        exitCode: theirs.exitCode,
      });
      expect(ours.exitCode).toBe(0);
    });
  }

  for (const flags of refused) {
    test(`run ${flags}: refused`, async () => {
      const { ours, theirs } = await lines.run([...alone, ...words(flags)], ['true']);
      expect({ theirs: theirs.exitCode, ours: ours.exitCode }).toEqual({
        // Its client takes whatever is not there for a command.
        theirs: /no such file/.test(theirs.stderr) && !/seccomp/.test(theirs.stderr) ? 127 : 125,
        ours: 125,
      });
      expect(ours.stderr).not.toBe('');
    });
  }

  for (const flags of ['', '--privileged', '--cap-add SYS_ADMIN', '--security-opt no-new-privileges', '-u 1000']) {
    test(`run ${flags}: every system call is answered alike`, async () => {
      const { ours, theirs } = await lines.run([...alone, ...words(flags).filter(Boolean)], ['/bin/probe', 'syscalls']);
      expect(ours).toEqual(theirs);
      expect(ours.stdout.split('\n').length).toBeGreaterThan(400);
    });
  }
});

/** The name of a container that was given none is its id. */
function withoutIds(said: Said): Said {
  return { ...said, stdout: said.stdout.replace(/^(HOSTNAME=)?[0-9a-f]{12}$/gm, '$1ID') };
}

/** Without the groups of cpuset and the program of `--init`, which docs/differences.md gives the reason for. */
function comparable(stdout: string): Record<string, readonly string[]> {
  const report = readReport(stdout);
  const cgroups = (report['cgroups'] ?? []).filter(line => !/^cpuset\/.*:( 0-1| 0|)$/.test(line));
  const mounts = (report['mounts'] ?? []).filter(line => !line.startsWith('/sbin/docker-init'));
  return { ...report, cgroups, mounts };
}
