import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';

import { afterAll, beforeAll, expect } from '@jest/globals';

import { Cli } from '../cli/cli.js';
import { Docker } from '../support/docker.js';
import { testEngine, type TestEngine } from '../support/engine.js';
import { needs, programPath } from '../support/needs.js';
import { baseLayer, dockerArchive } from './images.js';

const { describe } = needs('root', 'docker', 'cc');
import { since } from './sides.js';

const plain = 'tsc-inspect/plain:1';
const full = 'tsc-inspect/full:1';
const idle = ['/bin/probe', 'linger', '15', '0'];

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** What comes between the verb and the image, and whether it is started. */
interface Case {
  readonly verb: 'create' | 'run';
  readonly flags: readonly string[];
  readonly image?: string;
  readonly command?: readonly string[];
}

const created = (flags: string, more: Partial<Case> = {}): Case => ({ verb: 'create', flags: words(flags), ...more });
const running = (flags: string, more: Partial<Case> = {}): Case => ({
  verb: 'run',
  flags: ['-d', ...words(flags)],
  command: idle,
  ...more,
});

const cases: readonly Case[] = [
  created(''),
  created('', { image: full, command: [] }),
  created('-i'),
  created('-it'),
  created('--rm'),
  created('-e A=1 -e B= -l x=y -l z'),
  created('-e A=9 -l own=2', { image: full }),
  created('--entrypoint /bin/probe', { command: ['a', 'b c'] }),
  created('--entrypoint /bin/probe', { image: full, command: [] }),
  created('-u ada -w /home/ada'),
  created('-w /'),
  created('-h box --domainname example.org'),
  created('--stop-signal SIGINT --stop-timeout 3'),
  created('-m 64m'),
  created('-m 64m --memory-swap 96m --memory-reservation 32m'),
  created('-m 64m --memory-swap -1 --memory-swappiness 10 --oom-kill-disable'),
  created('--cpus 1.5 --cpu-shares 512'),
  created('--cpu-period 50000 --cpu-quota 25000 --cpuset-cpus 0 --cpuset-mems 0'),
  created('--pids-limit 50'),
  created('--pids-limit -1'),
  created('--read-only --shm-size 32m --init'),
  created('--cap-add net_admin --cap-drop CHOWN'),
  created('--cap-drop ALL --cap-add CAP_SYS_TIME'),
  created('--security-opt no-new-privileges --security-opt seccomp=unconfined'),
  created('--privileged'),
  created('--group-add audio --group-add 1234'),
  created('--device /dev/null:/dev/zilch:rw --device-cgroup-rule=c_1:3_r'.replaceAll('_', '\u00a0')),
  created('--ulimit nofile=100:200 --ulimit core=0'),
  created('--sysctl net.ipv4.ip_forward=1 --oom-score-adj 100'),
  created('--ipc shareable'),
  created('--ipc host --pid host --uts host --userns host'),
  created('--cgroupns private --cgroup-parent /tsc-inspect'),
  created('--network none'),
  created('--network host'),
  created('--dns 1.1.1.1 --dns-search example.org --dns-option ndots:2'),
  created('--add-host a:10.0.0.1 --add-host b:10.0.0.2'),
  created('-p 8080:80 -p 127.0.0.1:5353:53/udp --expose 90'),
  created('-p 80 -p 81-83'),
  created('-P', { image: full }),
  created('-v DIR:/bound -v DIR:/read:ro -v tsc-inspect-vol:/data -v /anonymous'),
  created('--mount type=bind,source=DIR,target=/bound,readonly'),
  created('--mount type=volume,source=tsc-inspect-vol,target=/data,volume-nocopy'),
  created('--mount type=tmpfs,target=/t,tmpfs-size=65536,tmpfs-mode=1700 --tmpfs /u:size=1m,mode=700 --tmpfs /w'),
  created('--log-driver none'),
  created('--log-opt max-size=1m --log-opt max-file=3'),
  created('--log-driver local'),
  created('--annotation one=1'),
  running(''),
  running('-t'),
  running('-i'),
  running('', { image: full, command: idle.slice(1) }),
  running('--expose 90 -p 127.0.0.1::80'),
  running('--network none'),
  running('--network host'),
  running('-m 32m -v tsc-inspect-vol:/data'),
  running('', { command: ['/bin/probe', 'exit', '3'] }),
];

describe('what inspect says of a container', () => {
  let engine: TestEngine;
  let docker: Docker;
  let cli: Cli;
  let directory: string;

  beforeAll(async () => {
    // Not below a directory of the engine's own: Docker would propagate mounts differently.
    directory = mkdtempSync(join('/var/tmp', 'tsc-inspect-'));
    docker = new Docker();
    engine = await testEngine();
    cli = new Cli(engine.place);
    const layers = [await baseLayer()];
    const Env = ['PATH=/usr/local/bin:/bin', 'C=3'];
    const archive = await dockerArchive([
      { tag: plain, layers, config: { Env: ['PATH=/bin'], Cmd: ['/bin/probe'] } },
      {
        tag: full,
        layers,
        config: {
          User: '1000',
          ExposedPorts: { '80/tcp': {}, '53/udp': {} },
          Env,
          Entrypoint: ['/bin/probe'],
          Cmd: ['linger', '15', '0'],
          Volumes: { '/image-volume': {} },
          WorkingDir: '/home/ada',
          Labels: { own: '1', image: '<&>' },
          StopSignal: 'SIGQUIT',
          Healthcheck: { Test: ['CMD', '/bin/probe', 'exit', '0'], Interval: 30_000_000_000, Retries: 3 },
          OnBuild: ['RUN true'],
          Shell: ['/bin/probe', '-c'],
        },
      },
    ]);
    await engine.images.load(Readable.from([archive]));
    await docker.load(archive);
  });

  afterAll(async () => {
    for (const tag of [plain, full]) await docker.removeImage(tag);
    await theirs('volume', 'rm', '-f', 'tsc-inspect-vol').catch(() => {});
    rmSync(directory, { recursive: true, force: true });
    await engine[Symbol.asyncDispose]();
  });

  for (const each of cases) {
    const { verb, flags, image = plain, command = idle } = each;
    const name = [verb, ...flags, image === full ? 'FULL' : '', ...(command === idle ? [] : command)].join(' ');
    since(28)(name, async () => {
      const argv = [
        verb,
        '--name',
        'tsc-inspect',
        ...flags.map(flag => flag.replaceAll('DIR', directory)),
        image,
        ...command,
      ];
      const answers: Json[] = [];
      for (const say of [theirs, (...said: readonly string[]) => cli.get(...said)]) {
        try {
          await say(...argv);
          if (command.includes('exit')) await say('wait', 'tsc-inspect');
          const [told] = JSON.parse(await say('inspect', '--type', 'container', 'tsc-inspect')) as Json[];
          answers.push(comparable(told ?? null));
        } finally {
          await say('rm', '-f', '-v', 'tsc-inspect').catch(() => {});
        }
      }
      expect(answers[1]).toEqual(answers[0]);
    });
  }
});

async function theirs(...argv: readonly string[]): Promise<string> {
  const child = spawn(programPath('docker') ?? 'docker', argv, {
    env: { ...process.env, DOCKER_HOST: process.env['TSC_TEST_DOCKER_HOST'] },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit') as Promise<[number | null]>,
  ]);
  if (code !== 0) throw new Error(`docker ${argv.join(' ')}: exited with ${code}: ${stderr}`);
  return stdout.trimEnd();
}

function words(text: string): string[] {
  return text
    .split(' ')
    .filter(word => word !== '')
    .map(word => word.replaceAll('\u00a0', ' '));
}

/** Names of things, times and places differ from one container to the next: what counts is whether there is one. */
const identities: readonly RegExp[] = [
  /^\.(Id|Created|ResolvConfPath|HostnamePath|HostsPath|LogPath)$/,
  /^\.State\.(Pid|StartedAt|FinishedAt)$/,
  /^\.Config\.Hostname$/,
  /^\.GraphDriver\.Data\.\w+$/,
  /^\.Mounts\.\d+\.(Name|Source)$/,
  /^\.NetworkSettings\.(SandboxID|SandboxKey|EndpointID|Gateway|IPAddress|IPPrefixLen|MacAddress)$/,
  /^\.NetworkSettings\.Networks\.\w+\.(NetworkID|EndpointID|Gateway|IPAddress|IPPrefixLen|MacAddress)$/,
  /^\.NetworkSettings\.Ports\..*\.HostPort$/,
];

/** What is known to differ: docs/differences.md says why. */
const different: readonly RegExp[] = [
  /^\.HostConfig\.Runtime$/,
  /^\.GraphDriver\.Data\.MergedDir$/,
  /^\.NetworkSettings\.Networks\.(host|none)\.(NetworkID|EndpointID)$/,
];

/** Docker's command line keeps these in maps, and tells them as they come. */
function inAnyOrder(items: readonly Json[], path: string): Json[] {
  if (path === '.Mounts') return [...items].sort(byDestination);
  return path === '.HostConfig.Binds' ? [...items].sort() : [...items];
}

function comparable(value: Json, path = ''): Json {
  if (different.some(pattern => pattern.test(path))) return 'differs';
  if (identities.some(pattern => pattern.test(path)))
    return ['', 0, null, '0001-01-01T00:00:00Z'].includes(value as string) ? 'none' : 'some';
  if (Array.isArray(value)) {
    const items = inAnyOrder(value as Json[], path);
    return items.map((item, index) => comparable(item, `${path}.${index}`));
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, comparable(item, `${path}.${key}`)]));
}

function byDestination(a: Json, b: Json): number {
  const at = (mount: Json): string => String((mount as { readonly Destination: string }).Destination);
  return at(a) < at(b) ? -1 : 1;
}
