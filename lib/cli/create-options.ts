import { readFileSync } from 'node:fs';

import type { CreateContainerOptions, Healthcheck, RestartPolicy } from '../container/options.js';
import { parseSignal } from '../runtime/signals.js';
import type { PlatformString, Resources } from '../types.js';
import type { createFlags } from './commands/run-flags.js';
import { BadValue, type Values } from './flags.js';
import { toLogOptions } from './log-options.js';
import { checkLabel, toPair } from './pairs.js';
import { modes } from './isolation-options.js';
import { securityOptions } from './security-options.js';
import { parseTmpfs, parseVolume, parseVolumesFrom } from './mounts.js';
import { readEnvironment } from './env-file.js';
import { networkOptions } from './network-options.js';
import { parseRestart } from './restart.js';
import { UsageError } from './usage-error.js';

type CreateFlags = Values<typeof createFlags>;
type Loose<T> = { readonly [K in keyof T]?: T[K] | undefined };
type Wishes = Loose<Omit<CreateContainerOptions, 'image'>>;

/** What the flags of `run` and `create` ask for, in the engine's words. */
export function toCreateOptions(
  flags: CreateFlags,
  [image = '', ...command]: readonly string[],
): CreateContainerOptions & { readonly image: string } {
  return defined<CreateContainerOptions & { readonly image: string }>({
    image,
    command: command.length === 0 ? undefined : command,
    ...identity(flags),
    ...isolation(flags),
    ...ending(flags),
    env: readEnvironment(flags.env, flags['env-file']),
    cwd: flags.workdir,
    user: flags.user,
    tty: flags.tty,
    stdin: flags.interactive,
    // `--entrypoint ''` takes the image's away.
    entrypoint: flags.entrypoint === undefined ? undefined : flags.entrypoint === '' ? [] : [flags.entrypoint],
    mounts: [...flags.volume.map(parseVolume), ...flags.mount, ...flags.tmpfs.map(parseTmpfs)],
    volumesFrom: some(flags['volumes-from'].map(parseVolumesFrom)),
    ...networkOptions(flags),
    resources: resources(flags),
    log: toLogOptions(flags['log-driver'], flags['log-opt']),
    platform: flags.platform as PlatformString | undefined,
  });
}

function identity(flags: CreateFlags): Wishes {
  return {
    name: flags.name,
    hostname: flags.hostname,
    labels: Object.fromEntries([...flags['label-file'].flatMap(readLabels), ...flags.label].map(toPair)),
  };
}

function isolation(flags: CreateFlags): Wishes {
  return {
    readOnly: flags['read-only'],
    capabilities: { add: flags['cap-add'], drop: flags['cap-drop'] },
    init: flags.init,
    sysctls: Object.fromEntries(flags.sysctl),
    shmSizeBytes: unlessZero(flags['shm-size']),
    ...securityOptions(flags['security-opt']),
    ...modes(flags),
    domainname: flags.domainname,
    privileged: flags.privileged ? true : undefined,
    groups: some(flags['group-add']),
    devices: some(flags.device),
    deviceRules: some(flags['device-cgroup-rule']),
    ulimits: entries(flags.ulimit),
    oomScoreAdj: unlessZero(flags['oom-score-adj']),
    cgroupParent: flags['cgroup-parent'],
    annotations: entries(flags.annotation),
  };
}

function ending(flags: CreateFlags): Wishes {
  const { 'stop-signal': signal, 'stop-timeout': seconds } = flags;
  return {
    stopSignal: signal === undefined ? undefined : parseSignal(signal, 'containers.create').name,
    stopGraceMs: seconds === undefined ? undefined : graceMs(seconds),
    restart: restart(flags),
    healthcheck: healthcheck(flags),
  };
}

function restart({ restart: policy, rm }: CreateFlags): RestartPolicy | undefined {
  const parsed = policy === undefined ? 'no' : parseRestart(policy);
  if (parsed !== 'no' && rm) throw new UsageError('conflicting options: cannot specify both --restart and --rm');
  return parsed === 'no' ? undefined : parsed;
}

function healthcheck(flags: CreateFlags): Healthcheck | false | undefined {
  const given = defined<Healthcheck>({
    command: flags['health-cmd'] || undefined,
    intervalMs: span(flags, 'health-interval'),
    timeoutMs: span(flags, 'health-timeout'),
    startPeriodMs: span(flags, 'health-start-period'),
    startIntervalMs: span(flags, 'health-start-interval'),
    retries: span(flags, 'health-retries'),
    onFailure: flags['health-on-failure'] as Healthcheck['onFailure'],
  });
  const isGiven = Object.keys(given).length > 0;
  if (flags['no-healthcheck'] && isGiven) throw new UsageError('--no-healthcheck conflicts with --health-* options');
  return flags['no-healthcheck'] ? false : isGiven ? given : undefined;
}

type Span = 'health-interval' | 'health-timeout' | 'health-start-period' | 'health-start-interval' | 'health-retries';

/** To Docker, 0 is not given. */
function span(flags: CreateFlags, name: Span): number | undefined {
  const value = flags[name];
  if (value !== undefined && value < 0) throw new UsageError(`--${name} cannot be negative`);
  return value === 0 ? undefined : value;
}

/** Seconds as Docker takes them, where -1 is to wait for ever. */
export function graceMs(seconds: number): number {
  // The longest that a timer of Node can be, 24 days.
  return seconds < 0 ? 2 ** 31 - 1 : seconds * 1000;
}

function resources(flags: CreateFlags): Resources {
  return defined<Resources>({
    memoryBytes: unlessZero(flags.memory),
    memorySwapBytes: unlessZero(flags['memory-swap']),
    memoryReservationBytes: unlessZero(flags['memory-reservation']),
    cpus: unlessZero(flags.cpus),
    cpuShares: unlessZero(flags['cpu-shares']),
    cpuPeriodMicros: unlessZero(flags['cpu-period']),
    cpuQuotaMicros: unlessZero(flags['cpu-quota']),
    cpusetCpus: flags['cpuset-cpus'],
    cpusetMems: flags['cpuset-mems'],
    maxProcesses: unlessZero(flags['pids-limit']),
    memorySwappiness: flags['memory-swappiness'] === -1 ? undefined : flags['memory-swappiness'],
    oomKillDisable: flags['oom-kill-disable'] ? true : undefined,
    blkioWeight: unlessZero(flags['blkio-weight']),
    blkioWeightDevices: some(flags['blkio-weight-device']),
    deviceReadBytes: some(flags['device-read-bps']),
    deviceWriteBytes: some(flags['device-write-bps']),
    deviceReadOps: some(flags['device-read-iops']),
    deviceWriteOps: some(flags['device-write-iops']),
  });
}

function entries<K extends string, V>(pairs: readonly (readonly [K, V])[]): Record<K, V> | undefined {
  return pairs.length === 0 ? undefined : (Object.fromEntries(pairs) as Record<K, V>);
}

function some<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : list;
}

/** To Docker, 0 is not given. */
function unlessZero(value: number | undefined): number | undefined {
  return value === 0 ? undefined : value;
}

function asked<T>(option: string, value: string, parse: (value: string) => T): T {
  try {
    return parse(value);
  } catch (error) {
    if (error instanceof BadValue) throw new UsageError(`invalid value for ${option}: ${error.reason}`);
    throw error;
  }
}

function readLabels(path: string): string[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '' && !line.startsWith('#'))
    .map(line => asked('label-file', line, checkLabel));
}

/** The engine tells what was left out from what is `undefined`. */
function defined<T extends object>(fields: Loose<T>): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}
