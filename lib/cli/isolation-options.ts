import type { CreateContainerOptions, DeviceMapping, UlimitName } from '../container/options.js';
import { parseDeviceRule } from '../host/cgroups-devices.js';
import { ulimitNumbers } from '../runtime/ulimits.js';
import type { DeviceRate } from '../types.js';
import { BadValue } from './flags.js';
import { parseBytes } from './units.js';
import { UsageError } from './usage-error.js';

/** A limit of `--ulimit`, by its name. */
export type UlimitPair = readonly [name: UlimitName, limit: { readonly soft: number; readonly hard: number }];

/**
 * Reads `--ulimit`: `nofile=1024:2048`, `nofile=1024` for both, -1 for no limit.
 *
 * @throws {@link BadValue}
 */
export function parseUlimit(text: string): UlimitPair {
  const [, name = '', values = ''] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
  if (values === '') throw new BadValue(`invalid ulimit argument: ${text}`);
  if (!Object.hasOwn(ulimitNumbers, name)) throw new BadValue(`invalid ulimit type: ${name}`);
  const parts = values.split(':');
  if (parts.length > 2)
    throw new BadValue(`too many limit value arguments - ${values}, can only have up to two, \`soft[:hard]\``);
  const [soft = 0, hard = soft] = parts.map(parseLimit);
  if (hard !== -1 && (soft === -1 || soft > hard))
    throw new BadValue(`ulimit soft limit must be less than or equal to hard limit: ${soft} > ${hard}`);
  return [name as UlimitName, { soft, hard }];
}

function parseLimit(text: string): number {
  if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(Number(text))) throw new BadValue(`invalid ulimit value: ${text}`);
  return Number(text);
}

/**
 * Reads `--device`: `/dev/sda`, `/dev/sda:/dev/xvda`, `/dev/sda:r`, `/dev/sda:/dev/xvda:rw`.
 *
 * @throws {@link BadValue}
 */
export function parseDevice(text: string): DeviceMapping {
  const [hostPath = '', ...rest] = text.split(':');
  const last = rest.at(-1);
  if (rest.length > 2 || last === '') throw new BadValue(`invalid device specification: ${text}`);
  const isMode = (word: string | undefined): word is string => word !== undefined && !word.includes('/');
  const permissions = isMode(last) ? last : undefined;
  const containerPath = rest.find(word => word.includes('/'));
  if (permissions !== undefined && !isPermissions(permissions))
    throw new BadValue(`bad mode specified: ${permissions}`);
  if (rest.length === 2 && (permissions === undefined || containerPath === undefined))
    throw new BadValue(`invalid device specification: ${text}`);
  for (const path of [hostPath, containerPath ?? hostPath])
    if (!path.startsWith('/')) throw new BadValue(`${path} is not an absolute path`);
  return {
    hostPath,
    ...(containerPath === undefined ? {} : { containerPath }),
    ...(permissions === undefined ? {} : { permissions }),
  };
}

function isPermissions(text: string): boolean {
  return /^[rwm]{1,3}$/.test(text) && new Set(text).size === text.length;
}

/**
 * Checks `--device-cgroup-rule`: `c 1:3 rwm`.
 *
 * @throws {@link BadValue}
 */
export function checkDeviceRule(text: string): string {
  if (parseDeviceRule(text) === undefined) throw new BadValue(`invalid device cgroup format '${text}'`);
  return text;
}

/** Reads `/dev/sda:1mb`, a rate in bytes. @throws {@link BadValue} */
export function parseByteRate(text: string): DeviceRate {
  const unit = 'Number must be a positive integer. Unit is optional and can be kb, mb, or gb';
  return deviceValue(text, parseBytes, `The correct format is <device-path>:<number>[<unit>]. ${unit}`);
}

/** Reads `/dev/sda:100`, a rate in operations. @throws {@link BadValue} */
export function parseOperationRate(text: string): DeviceRate {
  return deviceValue(
    text,
    parseCount,
    'The correct format is <device-path>:<number>. Number must be a positive integer',
  );
}

/** Reads `/dev/sda:300`, a weight. @throws {@link BadValue} */
export function parseWeight(text: string): { path: string; weight: number } {
  const { path, perSecond: weight } = deviceValue(text, parseCount, 'It is <device-path>:<weight>', 'weight');
  if (weight < 10 || weight > 1000) throw new BadValue(`invalid weight for device: ${text}`);
  return { path, weight };
}

function deviceValue(
  text: string,
  parse: (value: string) => number,
  remedy: string,
  what: 'rate' | 'weight' = 'rate',
): DeviceRate {
  const [path = '', value, ...more] = text.split(':');
  if (value === undefined || more.length > 0) throw new BadValue(`bad format: ${text}`);
  if (!path.startsWith('/dev/')) throw new BadValue(`bad format for device path: ${text}`);
  try {
    const perSecond = parse(value);
    if (perSecond > 0) return { path, perSecond };
  } catch (error) {
    if (!(error instanceof BadValue)) throw error;
  }
  throw new BadValue(`invalid ${what} for device: ${text}. ${remedy}`);
}

function parseCount(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new BadValue(text);
  return Number(text);
}

/**
 * Checks a `--sysctl`.
 *
 * @throws {@link BadValue} for one that is not the container's own.
 */
export function checkSysctl(pair: readonly [name: string, value: string]): readonly [string, string] {
  const [name, value] = pair;
  const known =
    /^kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)$/.test(name) ||
    /^(net|fs\.mqueue)\./.test(name);
  if (!known) throw new BadValue(`sysctl '${name}=${value}' is not allowed`);
  return pair;
}

/** What these flags hold. */
export interface ModeFlags {
  readonly pid: string | undefined;
  readonly ipc: string | undefined;
  readonly uts: string | undefined;
  readonly userns: string | undefined;
  readonly cgroupns: string | undefined;
}

type Modes = Pick<CreateContainerOptions, 'pidMode' | 'ipcMode' | 'utsMode' | 'userNamespace' | 'cgroupNamespace'>;

/** Whose namespaces, in the engine's words; an empty value is as none. */
export function modes(flags: ModeFlags): { readonly [K in keyof Modes]?: Modes[K] | undefined } {
  const peer = /^container:.+$/s;
  return {
    pidMode: mode(flags.pid, text => text === 'host' || peer.test(text), '--pid: invalid PID mode'),
    ipcMode: mode(
      flags.ipc,
      text => ['none', 'private', 'shareable', 'host'].includes(text) || peer.test(text),
      `invalid IPC mode: ${flags.ipc ?? ''}`,
    ),
    utsMode: mode(flags.uts, text => text === 'host', '--uts: invalid UTS mode'),
    userNamespace: mode(flags.userns, text => text === 'host', '--userns: invalid USER mode'),
    cgroupNamespace: mode(
      flags.cgroupns,
      text => text === 'host' || text === 'private',
      '--cgroupns: invalid CGROUP mode',
    ),
  } as { readonly [K in keyof Modes]?: Modes[K] | undefined };
}

function mode(text: string | undefined, isKnown: (text: string) => boolean, otherwise: string): string | undefined {
  if (text === undefined || text === '') return undefined;
  if (!isKnown(text)) throw new UsageError(otherwise);
  return text;
}
