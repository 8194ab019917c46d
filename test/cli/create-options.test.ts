import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { runFlags } from '../../lib/cli/commands/run-flags.js';
import { toCreateOptions } from '../../lib/cli/create-options.js';
import { parseEnvFile, readEnvironment } from '../../lib/cli/env-file.js';
import { parseArguments } from '../../lib/cli/parse.js';

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'tsc-cli-'));
});

afterAll(() => rmSync(directory, { recursive: true }));

function options(argv: readonly string[]): Record<string, unknown> {
  const { flags, args } = parseArguments(runFlags, [...argv, 'img'], { passThrough: true });
  return { ...toCreateOptions(flags, args) };
}

const nothing = options([]);

describe('flags become options', () => {
  test('without flags the engine decides', () => {
    expect(nothing).toEqual({
      image: 'img',
      labels: {},
      extraHosts: {},
      dns: [],
      readOnly: false,
      capabilities: { add: [], drop: [] },
      init: false,
      sysctls: {},
      env: {},
      tty: false,
      stdin: false,
      mounts: [],
      ports: [],
      resources: {},
    });
  });

  test.each<[argv: string, expected: Record<string, unknown>]>([
    ['--name web -h host', { name: 'web', hostname: 'host' }],
    ['-it', { tty: true, stdin: true }],
    ['--privileged --domainname corp', { privileged: true, domainname: 'corp' }],
    ['--pid host --ipc shareable --uts host', { pidMode: 'host', ipcMode: 'shareable', utsMode: 'host' }],
    ['--pid container:a --ipc container:b', { pidMode: 'container:a', ipcMode: 'container:b' }],
    ['--userns host --cgroupns private', { userNamespace: 'host', cgroupNamespace: 'private' }],
    ['--group-add 77 --group-add audio', { groups: ['77', 'audio'] }],
    [
      '--ulimit nofile=1:2 --ulimit core=-1',
      { ulimits: { nofile: { soft: 1, hard: 2 }, core: { soft: -1, hard: -1 } } },
    ],
    ['--oom-score-adj -5 --cgroup-parent a/b', { oomScoreAdj: -5, cgroupParent: 'a/b' }],
    [
      '--device /dev/fuse --device /dev/a:r',
      { devices: [{ hostPath: '/dev/fuse' }, { hostPath: '/dev/a', permissions: 'r' }] },
    ],
    ['--device /dev/a:/dev/b:rw', { devices: [{ hostPath: '/dev/a', containerPath: '/dev/b', permissions: 'rw' }] }],
    ['--annotation __proto__=x', { annotations: Object.fromEntries([['__proto__', 'x']]) }],
    ['--security-opt systempaths=unconfined', { maskedPaths: [], readOnlyPaths: [] }],
    ['--security-opt apparmor=mine --security-opt writable-cgroups=true', { appArmor: 'mine', writableCgroups: true }],
    ['--memory-swappiness 10 --oom-kill-disable', { resources: { memorySwappiness: 10, oomKillDisable: true } }],
    ['--memory-swappiness -1 --blkio-weight 0 --shm-size 0', { resources: {} }],
    [
      '--blkio-weight 300 --blkio-weight-device /dev/a:20',
      { resources: { blkioWeight: 300, blkioWeightDevices: [{ path: '/dev/a', weight: 20 }] } },
    ],
    ['--device-read-bps /dev/a:1mb', { resources: { deviceReadBytes: [{ path: '/dev/a', perSecond: 1 << 20 }] } }],
    ['--device-write-bps /dev/a:5', { resources: { deviceWriteBytes: [{ path: '/dev/a', perSecond: 5 }] } }],
    ['--device-read-iops /dev/a:7', { resources: { deviceReadOps: [{ path: '/dev/a', perSecond: 7 }] } }],
    ['--device-write-iops /dev/a:9', { resources: { deviceWriteOps: [{ path: '/dev/a', perSecond: 9 }] } }],
    ['-u 1000:1000 -w /srv', { user: '1000:1000', cwd: '/srv' }],
    ['-e A=1 -eB=2 -e A=3', { env: { A: '3', B: '2' } }],
    ['--label a=b --label c -l d=e=f', { labels: { a: 'b', c: '', d: 'e=f' } }],
    ['--entrypoint sh', { entrypoint: ['sh'] }],
    ['--entrypoint=', { entrypoint: [] }],
    ['--cap-add NET_ADMIN --cap-drop ALL', { capabilities: { add: ['NET_ADMIN'], drop: ['ALL'] } }],
    ['--read-only --init', { readOnly: true, init: true }],
    ['--shm-size 1g', { shmSizeBytes: 2 ** 30 }],
    ['--stop-signal quit --stop-timeout 3', { stopSignal: 'SIGQUIT', stopGraceMs: 3000 }],
    ['--stop-signal 9', { stopSignal: 'SIGKILL' }],
    [
      '--add-host a:10.0.0.1 --add-host b=::1 --add-host c:host-gateway',
      { extraHosts: { a: '10.0.0.1', b: '::1', c: 'host-gateway' } },
    ],
    ['--dns 1.1.1.1 --dns 8.8.8.8', { dns: ['1.1.1.1', '8.8.8.8'] }],
    ['--sysctl net.core.somaxconn=1024', { sysctls: { 'net.core.somaxconn': '1024' } }],
    ['--platform linux/arm64', { platform: 'linux/arm64' }],
    ['--network none', { networks: [{ network: 'none' }] }],
    ['--network default', { networks: [{ network: 'bridge' }] }],
    ['--network a --network b', { networks: [{ network: 'a' }, { network: 'b' }] }],
    ['--network a --network-alias x --ip 10.0.0.5', { networks: [{ network: 'a', aliases: ['x'], ip: '10.0.0.5' }] }],
    [
      '--network name=a,alias=x,alias=y,ip=10.0.0.5',
      { networks: [{ network: 'a', aliases: ['x', 'y'], ip: '10.0.0.5' }] },
    ],
    ['--ip 172.17.0.9', { networks: [{ network: 'bridge', ip: '172.17.0.9' }] }],
    ['--security-opt seccomp=unconfined', { seccomp: 'unconfined' }],
    ['--security-opt no-new-privileges', { noNewPrivileges: true }],
    ['--security-opt no-new-privileges:false', { noNewPrivileges: false }],
    ['--security-opt no-new-privileges=true --security-opt seccomp=builtin', { noNewPrivileges: true }],
    ['--log-driver none', { log: { driver: 'none' } }],
    [
      '--log-opt max-size=10m --log-opt max-file=3',
      { log: { driver: 'json-file', maxBytes: 10_000_000, maxFiles: 3 } },
    ],
    [
      '-m 512m --memory-swap -1 --memory-reservation 256m',
      { resources: { memoryBytes: 2 ** 29, memorySwapBytes: -1, memoryReservationBytes: 2 ** 28 } },
    ],
    ['--cpus 1.5 -c 512 --cpuset-cpus 0-1', { resources: { cpus: 1.5, cpuShares: 512, cpusetCpus: '0-1' } }],
    ['--pids-limit -1', { resources: { maxProcesses: -1 } }],
    ['-m 0 --cpus 0 --pids-limit 0', { resources: {} }],
  ])('%s', (argv, expected) => {
    expect(options(argv.split(' '))).toEqual({ ...nothing, ...expected });
  });

  test('mounts keep their order within each kind', () => {
    const { mounts } = options(['--mount', 'type=tmpfs,dst=/c', '-v', '/a:/b:ro', '-v', 'n:/d', '--tmpfs', '/t']);
    expect(mounts).toEqual([
      { type: 'bind', source: '/a', createSource: true, target: '/b', readOnly: true },
      { type: 'volume', source: 'n', target: '/d' },
      { type: 'tmpfs', target: '/c' },
      { type: 'tmpfs', target: '/t' },
    ]);
  });

  test.each<[argv: string, expected: Record<string, unknown>]>([
    ['-p 8080:80 -p 127.0.0.1::53/udp', { ports: ['8080:80', '127.0.0.1::53/udp'] }],
    ['-p 8000-8010:80', { ports: ['8000-8010:80'] }],
    ['-P --expose 90', { publishAll: true, expose: ['90'] }],
    ['--network a --ip 10.0.0.5 --ip6 fd00::5', { networks: [{ network: 'a', ip: '10.0.0.5', ip6: 'fd00::5' }] }],
    ['--mac-address 02:42:ac:11:00:09', { networks: [{ network: 'bridge', mac: '02:42:ac:11:00:09' }] }],
    [
      '--network name=a,mac-address=02:00:00:00:00:01,gw-priority=-2,ip6=fd00::6',
      { networks: [{ network: 'a', mac: '02:00:00:00:00:01', gatewayPriority: -2, ip6: 'fd00::6' }] },
    ],
    ['--link db:database', { links: ['db:database'] }],
    ['--network a --link db:database', { networks: [{ network: 'a', links: ['db:database'] }] }],
    [
      '--add-host a:10.0.0.1 --add-host a=fd00::1 --add-host b:host-gateway',
      { extraHosts: { a: ['10.0.0.1', 'fd00::1'], b: 'host-gateway' } },
    ],
    [
      '--dns 9.9.9.9 --dns-search . --dns-option ndots:2 --dns-opt rotate',
      { dns: ['9.9.9.9'], dnsSearch: ['.'], dnsOptions: ['ndots:2', 'rotate'] },
    ],
  ])('%s is of the network', (argv, expected) => {
    expect(options(argv.split(' '))).toMatchObject(expected);
  });

  test('the command is what follows the image', () => {
    const { flags, args } = parseArguments(runFlags, ['img', 'sh', '-c', 'x'], { passThrough: true });
    expect(toCreateOptions(flags, args)).toMatchObject({ image: 'img', command: ['sh', '-c', 'x'] });
  });

  test.each([
    ['--security-opt seccomp=/no/such/file', 'opening seccomp profile (/no/such/file) failed: ENOENT'],
    ['--security-opt magic', 'Invalid --security-opt: "magic"'],
    ['--security-opt systempaths=some', 'invalid --security-opt 1: "systempaths=some"'],
    ['--security-opt init --security-opt foo', 'Invalid --security-opt: "init"'],
    ['--security-opt no-new-privileges=maybe', 'invalid --security-opt 1: "no-new-privileges=maybe"'],
    ['--security-opt label=type:svirt_t', '--security-opt label=type:svirt_t: SELinux labels are not supported'],
    ['--security-opt __proto__=x', 'Invalid --security-opt: "__proto__=x"'],
    ['--ulimit nofile=10:5', 'ulimit soft limit must be less than or equal to hard limit: 10 > 5'],
    ['--ulimit nofiles=10', 'invalid ulimit type: nofiles'],
    ['--ulimit constructor=10', 'invalid ulimit type: constructor'],
    ['--ulimit nofile', 'invalid ulimit argument: nofile'],
    ['--ulimit nofile=1:2:3', 'too many limit value arguments - 1:2:3'],
    ['--device vda', 'vda is not an absolute path'],
    ['--device /dev/vda:/dev/x:q', 'bad mode specified: q'],
    ['--device /dev/vda:/dev/x:rr', 'bad mode specified: rr'],
    ['--device /dev/vda:/a:/b', 'invalid device specification: /dev/vda:/a:/b'],
    ['--device-cgroup-rule foo', "invalid device cgroup format 'foo'"],
    ['--device-read-bps /dev/vda', 'bad format: /dev/vda'],
    ['--device-read-bps vda:1mb', 'bad format for device path: vda:1mb'],
    ['--device-read-bps /dev/vda:x', 'invalid rate for device: /dev/vda:x'],
    ['--device-write-iops /dev/vda:1mb', 'invalid rate for device: /dev/vda:1mb'],
    ['--blkio-weight-device /dev/vda:5', 'invalid weight for device: /dev/vda:5'],
    ['--sysctl vm.swappiness=1', "sysctl 'vm.swappiness=1' is not allowed"],
    ['--sysctl kernel.hostname=x', "sysctl 'kernel.hostname=x' is not allowed"],
    ['--pid private', '--pid: invalid PID mode'],
    ['--pid container:', '--pid: invalid PID mode'],
    ['--ipc foo', 'invalid IPC mode: foo'],
    ['--uts private', '--uts: invalid UTS mode'],
    ['--userns private', '--userns: invalid USER mode'],
    ['--cgroupns foo', '--cgroupns: invalid CGROUP mode'],
    ['--log-driver syslog', 'error looking up logging plugin syslog: plugin "syslog" not found'],
    ['--log-opt foo=1', "unknown log opt 'foo' for json-file log driver"],
    ['--log-opt max-size=x', "invalid value for max-size: invalid size: 'x'"],
    ['--log-opt max-file=0', 'max-file cannot be less than 1'],
    ['--network alias=x', 'no name set for network'],
    ['--network name=a,foo=b', 'invalid field key foo in --network name=a,foo=b'],
    ['--network name=a,gw-priority=x', 'invalid gw-priority (x)'],
    ['--network name=a,ip=10.0.0.1 --ip 10.0.0.2', 'cannot specify both --ip and per-network ip'],
    ['-p x:80', 'publish: x:80: "x" is no host port or range'],
    ['--env-file /no/such/file', 'open /no/such/file: ENOENT'],
    ['--stop-signal FOO', 'there is no signal "FOO"'],
  ])('%s is refused', (argv, message) => {
    expect(() => options(argv.split(' '))).toThrow(message);
  });

  test('files of labels, of variables and of a seccomp profile are read', () => {
    const [labels, env, profile] = ['labels', 'env', 'profile'].map(name => join(directory, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(labels, '# comment\n\na=1\nb\n');
    writeFileSync(env, 'A=file\nB=file\n');
    writeFileSync(profile, '{"defaultAction":"SCMP_ACT_ALLOW"}');
    expect(
      options([
        '--label-file',
        labels,
        '--label',
        'a=2',
        '--env-file',
        env,
        '-e',
        'B=flag',
        '--security-opt',
        `seccomp=${profile}`,
      ]),
    ).toMatchObject({
      labels: { a: '2', b: '' },
      env: { A: 'file', B: 'flag' },
      seccomp: { defaultAction: 'SCMP_ACT_ALLOW' },
    });
    writeFileSync(profile, '{');
    expect(() => options(['--security-opt', `seccomp=${profile}`])).toThrow('parsing seccomp profile');
  });
});

describe('variables', () => {
  test('a name alone takes its value from the caller, if he has one', () => {
    expect(readEnvironment(['HOME', 'MISSING', 'EMPTY='], [], { HOME: '/root' })).toEqual({ HOME: '/root', EMPTY: '' });
  });

  test.each([
    ['A=1\nB=2\n', ['A=1', 'B=2']],
    ['\uFEFFA=1', ['A=1']],
    ['A=1\r\nB=2\r\n', ['A=1', 'B=2']],
    ['  # comment\n\n  A= 1 # kept\n', ['A= 1 # kept']],
    ['A="1"\nB', ['A="1"', 'B']],
    ['A=b=c', ['A=b=c']],
  ])('a file of %j', (text, entries) => {
    expect(parseEnvFile(text, 'env')).toEqual(entries);
  });

  test('a file that cannot be meant is refused', () => {
    expect(() => parseEnvFile('=x', 'env')).toThrow("env: no variable name on line '=x'");
    expect(() => parseEnvFile('A B=x', 'env')).toThrow("env: variable 'A B' contains whitespaces");
  });
});
