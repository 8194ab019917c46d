import { existsSync } from 'node:fs';

import { signalNumber } from '../runtime/signals.js';
import type { ImageRunConfig } from '../oci/image-spec.js';
import type { SettledMount } from '../volume/mounts.js';
import { dockerHostConfig } from './docker-host-config.js';
import { dockerNetworkSettings, type DockerEndpoint } from './docker-network-settings.js';
import type { ContainerInfo } from './inspect.js';
import type { ContainerRecord, SettledHealthcheck } from './record.js';

/** What Docker prints where there is no time. */
const NEVER = '0001-01-01T00:00:00Z';

/** All that is told of a container. */
export interface DockerInspectInput {
  readonly info: ContainerInfo;
  readonly record: ContainerRecord;
  /** What its image says; `undefined` when that was removed. */
  readonly image: ImageRunConfig | undefined;
  readonly endpoints: readonly DockerEndpoint[];
  /** Ids of the networks that it has been on. */
  readonly networks: ReadonlyMap<string, string>;
  readonly cgroups: 'v1' | 'v2' | 'hybrid' | 'none';
  readonly paths: {
    readonly log: string;
    /** Where hosts, hostname and resolv.conf are. */
    readonly files: string;
    /** Of its layers, as overlayfs takes them; `undefined` for a plain copy. */
    readonly lower?: string;
    readonly home: string;
    readonly volume: (name: string) => string;
  };
  /** What it has written and, with the files of its image, in all. */
  readonly sizes?: { readonly written: number; readonly whole: number };
}

/** A container in the words of `GET /containers/{id}/json`, which are those of `docker inspect`. */
export function dockerInspect(input: DockerInspectInput): Record<string, unknown> {
  const { info, record, paths, sizes } = input;
  const { config } = record;
  const [path = '', ...args] = info.command;
  const file = (name: string): string => (existsSync(`${paths.files}/${name}`) ? `${paths.files}/${name}` : '');
  return {
    Id: info.id,
    Created: record.createdAt,
    Path: path,
    Args: args,
    State: state(input),
    Image: info.image,
    ResolvConfPath: file('resolv.conf'),
    HostnamePath: file('hostname'),
    HostsPath: file('hosts'),
    LogPath: config.log.driver === 'json-file' && info.startedAt !== undefined ? paths.log : '',
    Name: `/${info.name}`,
    RestartCount: info.restartCount,
    Driver: paths.lower === undefined ? 'vfs' : 'overlay2',
    Platform: 'linux',
    MountLabel: '',
    ProcessLabel: '',
    AppArmorProfile: config.appArmor ?? '',
    ExecIDs: null,
    HostConfig: dockerHostConfig(record, { cgroups: input.cgroups }),
    GraphDriver: graphDriver(input),
    ...(sizes === undefined ? {} : { SizeRw: sizes.written, SizeRootFs: sizes.whole }),
    Mounts: mountPoints(record, paths.volume),
    Config: containerConfig(input),
    NetworkSettings: dockerNetworkSettings(record, info, input),
  };
}

function state({ info, record }: DockerInspectInput): Record<string, unknown> {
  const { state: name, exit } = info;
  const health = record.config.healthcheck !== undefined && info.startedAt !== undefined;
  return {
    Status: name,
    Running: name === 'running' || name === 'paused' || name === 'restarting',
    Paused: name === 'paused',
    Restarting: name === 'restarting',
    OOMKilled: exit?.oomKilled ?? false,
    Dead: name === 'dead',
    Pid: info.pid ?? 0,
    ExitCode: exit === undefined ? 0 : (exit.exitCode ?? 128 + signalNumber(exit.signal ?? 'SIGKILL')),
    Error: '',
    StartedAt: info.startedAt?.toISOString() ?? NEVER,
    FinishedAt: info.finishedAt?.toISOString() ?? NEVER,
    ...(health ? { Health: healthOf(info) } : {}),
  };
}

function healthOf(info: ContainerInfo): Record<string, unknown> {
  const { health, failingStreak, healthLog } = info;
  return {
    // Before the first result there is none; one that has ended is not well.
    Status: health !== 'none' ? health : info.pid === undefined ? 'unhealthy' : 'starting',
    FailingStreak: failingStreak,
    Log: healthLog.map(({ start, end, exitCode, output }) => ({
      Start: start.toISOString(),
      End: end.toISOString(),
      ExitCode: exitCode,
      Output: output,
    })),
  };
}

function graphDriver({ info, paths: { lower, home } }: DockerInspectInput): Record<string, unknown> {
  if (lower === undefined) return { Data: { ID: info.id }, Name: 'vfs' };
  const Data = {
    ID: info.id,
    LowerDir: lower,
    // Mounted where nobody else sees it; by its first process it can be looked into all the same.
    MergedDir: info.pid === undefined ? '' : `/proc/${info.pid}/root`,
    UpperDir: `${home}/upper`,
    WorkDir: `${home}/work`,
  };
  return { Data, Name: 'overlay2' };
}

/** As Docker: what `--tmpfs` asked for is not among them, what `--mount` did is. */
function mountPoints(record: ContainerRecord, volumePath: (name: string) => string): Record<string, unknown>[] {
  const { config, asked } = record;
  const tmpfs = asked?.tmpfs ?? {};
  return config.mounts
    .filter(mount => mount.type !== 'tmpfs' || !Object.hasOwn(tmpfs, mount.target))
    .map(mount => mountPoint(mount, record, volumePath));
}

function mountPoint(
  mount: SettledMount,
  { asked, anonymousVolumes }: ContainerRecord,
  volumePath: (name: string) => string,
): Record<string, unknown> {
  const { type, target } = mount;
  const readOnly = type === 'image' || mount.readOnly === true;
  const text = (asked?.binds ?? []).map(bind => bind.split(':')).find(([, at]) => at === target);
  const Mode = text?.[2] ?? '';
  const common = { Destination: target, Mode, RW: !readOnly };
  switch (type) {
    case 'bind':
      return { Type: type, Source: mount.source, ...common, Propagation: mount.propagation ?? 'rprivate' };
    case 'volume':
      return {
        Type: type,
        Name: mount.source,
        Source: volumePath(mount.source),
        Driver: 'local',
        ...common,
        // What Docker makes of a named volume that says nothing.
        Mode: Mode === '' && !anonymousVolumes.includes(mount.source) ? 'z' : Mode,
        Propagation: '',
      };
    case 'tmpfs':
    case 'image':
      return { Type: type, Source: type === 'image' ? mount.source : '', ...common, Propagation: '' };
  }
}

function containerConfig({ info, record, image = {} }: DockerInspectInput): Record<string, unknown> {
  const { config, asked = {} } = record;
  const { attach = [] } = asked;
  const exposed = config.exposed ?? config.ports.map(port => `${port.container}/${port.protocol}`);
  const volumes = [...(image.Volumes ?? []), ...(asked.volumes ?? [])];
  const byName = (names: readonly string[]): object => Object.fromEntries(names.map(name => [name, {}]));
  return {
    Hostname: config.hostname,
    Domainname: config.domainname ?? '',
    User: config.user,
    AttachStdin: attach.includes('stdin'),
    AttachStdout: attach.includes('stdout'),
    AttachStderr: attach.includes('stderr'),
    ...(exposed.length === 0 ? {} : { ExposedPorts: byName(exposed) }),
    Tty: config.tty,
    OpenStdin: config.stdin,
    StdinOnce: config.stdin && attach.includes('stdin'),
    Env: config.env,
    Cmd: config.command.length === 0 ? null : config.command,
    ...(config.healthcheck === undefined ? {} : { Healthcheck: healthcheck(config.healthcheck) }),
    Image: info.imageRef,
    Volumes: volumes.length === 0 ? null : byName(volumes),
    WorkingDir: config.cwd === '/' ? (asked.cwd ?? image.WorkingDir ?? '') : config.cwd,
    Entrypoint: config.entrypoint.length === 0 ? null : config.entrypoint,
    // Of the image; a container has none.
    OnBuild: null,
    Labels: info.labels,
    ...(config.stopSignalGiven === true ? { StopSignal: config.stopSignal } : {}),
    ...(asked.stopTimeout === undefined ? {} : { StopTimeout: asked.stopTimeout }),
  };
}

function healthcheck(check: SettledHealthcheck): Record<string, unknown> {
  const times = Object.entries({
    Interval: check.intervalMs * 1e6,
    Timeout: check.timeoutMs * 1e6,
    StartPeriod: check.startPeriodMs * 1e6,
    StartInterval: check.startIntervalMs * 1e6,
    Retries: check.retries,
  });
  return { Test: check.test, ...Object.fromEntries(times.filter(([, value]) => value !== 0)) };
}
