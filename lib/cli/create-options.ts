import { readFileSync } from 'node:fs';

import type { CreateContainerOptions } from '../container/options.js';
import { parseSignal } from '../runtime/signals.js';
import type { PlatformString, Resources } from '../types.js';
import type { createFlags } from './commands/run-flags.js';
import { BadValue, type Values } from './flags.js';
import { toLogOptions } from './log-options.js';
import { checkLabel, toPair } from './pairs.js';
import { readEnvironment } from './env-file.js';
import { networkOptions } from './network-options.js';
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
    mounts: [...flags.volume, ...flags.mount, ...flags.tmpfs],
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
    shmSizeBytes: flags['shm-size'],
    ...security(flags['security-opt']),
  };
}

function ending(flags: CreateFlags): Wishes {
  const { 'stop-signal': signal, 'stop-timeout': seconds } = flags;
  return {
    stopSignal: signal === undefined ? undefined : parseSignal(signal, 'containers.create').name,
    stopGraceMs: seconds === undefined ? undefined : graceMs(seconds),
  };
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
  });
}

/** To Docker, 0 is not given. */
function unlessZero(value: number | undefined): number | undefined {
  return value === 0 ? undefined : value;
}

function security(options: readonly string[]): { seccomp?: 'unconfined' | object; noNewPrivileges?: boolean } {
  const found: { seccomp?: 'unconfined' | object; noNewPrivileges?: boolean } = {};
  for (const option of options) {
    const [, key = '', value] = /^([^=:]+)(?:[=:](.*))?$/s.exec(option) ?? [];
    if (key === 'no-new-privileges' && [undefined, 'true', 'false'].includes(value))
      found.noNewPrivileges = value !== 'false';
    else if (key === 'seccomp' && value === 'unconfined') found.seccomp = 'unconfined';
    else if (key === 'seccomp' && value === 'builtin') delete found.seccomp;
    else if (key === 'seccomp' && value !== undefined) found.seccomp = readProfile(value);
    // What Docker does where the module is not in the kernel's list: nothing.
    else if (option !== 'apparmor=unconfined' && option !== 'label=disable' && option !== 'label:disable')
      throw new UsageError(`Invalid --security-opt: ${JSON.stringify(option)}`);
  }
  return found;
}

function readProfile(path: string): object {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(`opening seccomp profile (${path}) failed: ${(error as Error).message}`);
  }
  try {
    return JSON.parse(text) as object;
  } catch (error) {
    throw new UsageError(`parsing seccomp profile (${path}) failed: ${(error as Error).message}`);
  }
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
