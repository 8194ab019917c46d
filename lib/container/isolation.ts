import { statSync } from 'node:fs';

import { LimitError, NotFoundError, UnsupportedError, errorCode } from '../errors.js';
import { appArmorMissing } from '../host/apparmor.js';
import { ordered, parseDeviceRule } from '../host/cgroups-devices.js';
import { checkSeccompProfile } from '../runtime/seccomp-profile.js';
import { capabilitySets } from '../runtime/capabilities.js';
import { ulimitNumbers } from '../runtime/ulimits.js';
import type { CreateContainerOptions, DeviceMapping, Ulimit } from './options.js';
import type { Isolation, NetworkMode } from './record.js';

const DOMAIN_NAME = /^[a-zA-Z0-9]([a-zA-Z0-9_.-]{0,62})$/;
const CALL = 'containers.create';

/** Of the kernel's settings, those that a namespace of the container's own has for itself. */
const SYSCTLS = {
  ipc: /^(kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)|fs\.mqueue\.[a-z_]+)$/,
  net: /^net\.[a-zA-Z0-9_@:*-]+([./][a-zA-Z0-9_@:*-]+)+$/,
} as const;

/**
 * Checks what was asked for that sets a container apart, or gives it more than others have, and leaves out what is as
 * always. Looks at devices, and at nothing else of the machine.
 *
 * @throws `TypeError` for what no container can have, {@link LimitError} for what is out of range,
 * {@link NotFoundError} for a device that is not there, {@link UnsupportedError} for what this kernel lacks.
 */
export function resolveIsolation(options: CreateContainerOptions, networkMode: NetworkMode): Isolation {
  checkModes(options);
  checkSysctls(options, networkMode);
  checkConfinement(options);
  for (const device of options.devices ?? []) checkDevice(device);
  for (const rule of options.deviceRules ?? [])
    check(parseDeviceRule(rule) !== undefined, 'deviceRules', rule, 'a rule like c 1:3 rwm');
  for (const [name, limit] of Object.entries(options.ulimits ?? {})) checkUlimit(name, limit);
  if (options.oomScoreAdj !== undefined) checkScore(options.oomScoreAdj);
  const { cgroupParent } = options;
  return defined<Isolation>({
    domainname: options.domainname,
    privileged: options.privileged === true ? true : undefined,
    groups: some(options.groups),
    devices: some(options.devices),
    deviceRules: some(options.deviceRules),
    maskedPaths: options.maskedPaths,
    readOnlyPaths: options.readOnlyPaths,
    writableCgroups: options.writableCgroups === true ? true : undefined,
    appArmor: options.appArmor,
    ulimits: Object.keys(options.ulimits ?? {}).length === 0 ? undefined : options.ulimits,
    oomScoreAdj: options.oomScoreAdj,
    cgroupParent: cgroupParent === undefined || cgroupParent === '' ? undefined : checkParent(cgroupParent),
    cgroupNamespace: options.cgroupNamespace,
    pidMode: unless(options.pidMode, 'private'),
    ipcMode: unless(options.ipcMode, 'private'),
    utsMode: unless(options.utsMode, 'private'),
    userNamespace: options.userNamespace,
    annotations: Object.keys(options.annotations ?? {}).length === 0 ? undefined : options.annotations,
  });
}

const modes = {
  pidMode: /^(private|host|container:.+)$/s,
  ipcMode: /^(private|shareable|none|host|container:.+)$/s,
  utsMode: /^(private|host)$/,
  cgroupNamespace: /^(private|host)$/,
  userNamespace: /^host$/,
} as const;

function checkModes(options: CreateContainerOptions): void {
  for (const [option, pattern] of Object.entries(modes) as [keyof typeof modes, RegExp][]) {
    const mode: unknown = options[option];
    if (mode !== undefined)
      check(typeof mode === 'string' && pattern.test(mode), option, mode, `one of ${words(pattern)}`);
  }
  if (options.utsMode === 'host' && (options.hostname !== undefined || options.domainname !== undefined)) {
    const option = options.hostname === undefined ? 'domainname' : 'hostname';
    throw new TypeError(
      `${CALL}: ${option}: a container with utsMode: 'host' has the host's. Leave one of the two out`,
    );
  }
  if (options.domainname !== undefined)
    check(DOMAIN_NAME.test(options.domainname), 'domainname', options.domainname, 'letters, digits, dots and dashes');
}

function words({ source }: RegExp): string {
  return source
    .replace(/[$()^]/g, '')
    .replace('.+', 'NAME')
    .split('|')
    .join(', ');
}

function checkSysctls(options: CreateContainerOptions, networkMode: NetworkMode): void {
  for (const [name, value] of Object.entries(options.sysctls ?? {})) {
    const kind = SYSCTLS.ipc.test(name) ? 'ipc' : SYSCTLS.net.test(name) && !name.includes('..') ? 'net' : undefined;
    const expected = 'a namespaced setting: net.…, kernel.shm…, kernel.msg…, kernel.sem or fs.mqueue.…';
    check(kind !== undefined, 'sysctls', name, expected);
    check(typeof value === 'string' && !value.includes('\0'), `sysctls.${name}`, value, 'text');
    if (kind === 'net' && networkMode === 'host')
      throw new TypeError(`${CALL}: sysctls: ${name} would change the host: it has networks: ['host']`);
    if (kind === 'ipc' && options.ipcMode === 'host')
      throw new TypeError(`${CALL}: sysctls: ${name} would change the host: it has ipcMode: 'host'`);
  }
}

function checkConfinement(options: CreateContainerOptions): void {
  const { appArmor, capabilities = {}, seccomp } = options;
  // For its complaints about names.
  capabilitySets(capabilities);
  if (typeof seccomp === 'object') checkSeccompProfile(seccomp, 'seccomp', CALL);
  else check(seccomp === undefined || seccomp === 'unconfined', 'seccomp', seccomp, "'unconfined' or a profile");
  for (const option of ['maskedPaths', 'readOnlyPaths'] as const) {
    for (const path of options[option] ?? [])
      check(typeof path === 'string' && isAbsolute(path), option, path, 'an absolute path');
  }
  for (const group of options.groups ?? [])
    check(typeof group === 'string' && /^[^:\s\0]+$/.test(group), 'groups', group, 'the name or id of a group');
  for (const [name, value] of Object.entries(options.annotations ?? {}))
    check(name !== '' && typeof value === 'string', 'annotations', name, 'names with text');
  if (appArmor === undefined || appArmor === 'unconfined') return;
  check(/^[^\s\0]+$/.test(appArmor), 'appArmor', appArmor, 'the name of a profile');
  const missing = appArmorMissing();
  if (missing !== undefined)
    throw new UnsupportedError({
      call: CALL,
      feature: 'appArmor',
      reason: `appArmor: ${appArmor}: ${missing.reason}. ${missing.remedy}`,
    });
}

function checkDevice(device: DeviceMapping): void {
  const { hostPath, containerPath = hostPath, permissions = 'rwm' } = device;
  check(typeof hostPath === 'string' && isAbsolute(hostPath), 'devices', hostPath, 'an absolute path');
  check(isAbsolute(containerPath) && containerPath !== '/', 'devices', containerPath, 'an absolute path');
  check(
    permissions !== '' && /^[rwm]{1,3}$/.test(permissions) && ordered(permissions).length === permissions.length,
    'devices',
    permissions,
    'permissions like rwm',
  );
  try {
    const stat = statSync(hostPath);
    if (stat.isDirectory() || stat.isCharacterDevice() || stat.isBlockDevice()) return;
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    throw new NotFoundError({
      call: CALL,
      kind: 'file',
      ref: hostPath,
      remedy: 'devices names it, and it is not there',
    });
  }
  throw new TypeError(`${CALL}: devices: ${hostPath} is no device, and no directory with devices`);
}

function isAbsolute(path: string): boolean {
  return path.startsWith('/') && !path.split('/').includes('..') && !path.includes('\0');
}

function checkUlimit(name: string, limit: Ulimit): void {
  check(Object.hasOwn(ulimitNumbers, name), 'ulimits', name, `one of ${Object.keys(ulimitNumbers).join(', ')}`);
  const { soft, hard = soft } = limit;
  for (const value of [soft, hard]) {
    if (typeof value !== 'number' || !Number.isSafeInteger(value))
      throw new TypeError(`${CALL}: ulimits.${name}: expected a whole number, got ${String(value)} (${typeof value})`);
    if (value < -1)
      throw new LimitError({
        call: CALL,
        what: `ulimits.${name}`,
        reason: `${value} is below 0, and -1 is unlimited`,
        limit: -1,
      });
  }
  if (hard !== -1 && (soft === -1 || soft > hard)) {
    throw new LimitError({
      call: CALL,
      what: `ulimits.${name}`,
      reason: `the soft limit of ${soft === -1 ? 'unlimited' : soft} is above the hard one of ${hard}`,
      limit: hard,
    });
  }
}

function checkScore(score: number): void {
  if (typeof score !== 'number' || !Number.isSafeInteger(score))
    throw new TypeError(`${CALL}: oomScoreAdj: expected a whole number, got ${String(score)} (${typeof score})`);
  if (score >= -1000 && score <= 1000) return;
  throw new LimitError({
    call: CALL,
    what: 'oomScoreAdj',
    reason: `${score} is not between -1000 and 1000`,
    limit: score < 0 ? -1000 : 1000,
  });
}

/** `a/b` and `/a/b/` are the same, as in Docker. */
function checkParent(parent: string): string {
  const parts = parent.split('/').filter(part => part !== '');
  const good = parts.length > 0 && parts.every(part => part !== '.' && part !== '..' && !/[\0\n]/.test(part));
  check(good, 'cgroupParent', parent, 'a path like /tests/one');
  return `/${parts.join('/')}`;
}

function check(holds: boolean, option: string, value: unknown, expected: string): void {
  if (!holds)
    throw new TypeError(`${CALL}: ${option}: expected ${expected}, got ${JSON.stringify(value)} (${typeof value})`);
}

function unless<T>(value: T | undefined, usual: T): T | undefined {
  return value === usual ? undefined : value;
}

function some<T>(list: readonly T[] | undefined): readonly T[] | undefined {
  return list === undefined || list.length === 0 ? undefined : list;
}

/** A record tells what was left out from what is `undefined`. */
function defined<T extends object>(fields: { readonly [K in keyof T]?: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}
