import type { ImageRunConfig } from '../oci/image-spec.js';
import { parseSignal } from '../runtime/signals.js';
import { resolvePorts } from '../network/exposed.js';
import { resolveLog } from './log-config.js';
import type { CreateContainerOptions } from './options.js';
import { resolveIsolation } from './isolation.js';
import type { ContainerConfig } from './record.js';
import { resolveNetworks } from './resolve-networks.js';
import { settleHealthcheck, settleRestart } from './settle.js';

const HOST_NAME = /^[a-zA-Z0-9]([a-zA-Z0-9_.-]{0,62})$/;
const DEFAULT_SHM_BYTES = 64 * 1024 * 1024;
const DEFAULT_GRACE_MS = 10_000;

/**
 * Joins what the user asked for with what the image says, by Docker's rules. Checks everything that can be checked
 * without touching the machine, but for the mounts: the volumes settle those.
 *
 * @throws `TypeError` for what no call can mean.
 */
export function resolveConfig(
  id: string,
  options: CreateContainerOptions,
  image: ImageRunConfig,
): Omit<ContainerConfig, 'mounts'> {
  const { entrypoint, command } = resolveCommand(options, image);
  const hostname = options.hostname ?? id.slice(0, 12);
  check(HOST_NAME.test(hostname), 'hostname', hostname, 'letters, digits, dots and dashes, 63 at most');
  const cwd = options.cwd ?? (image.WorkingDir || '/');
  check(cwd.startsWith('/'), 'cwd', cwd, 'an absolute path');
  const network = resolveNetworks('containers.create', options);
  const { ports, exposed } = resolvePorts('containers.create', options, image.ExposedPorts ?? []);
  const restart = settleRestart(options, 'containers.create');
  const healthcheck = settleHealthcheck(options.healthcheck, image, 'containers.create');
  const isolation = resolveIsolation(options, network.networkMode);
  return {
    entrypoint,
    command,
    env: mergeEnv(image.Env ?? [], options.env ?? {}),
    cwd,
    user: options.user ?? image.User ?? '',
    tty: options.tty ?? false,
    ...(options.terminalSize === undefined ? {} : { terminalSize: options.terminalSize }),
    stdin: options.stdin ?? false,
    ...(options.stdinOnce === true ? { stdinOnce: true } : {}),
    hostname,
    stopSignal: options.stopSignal ?? stopSignalOf(image),
    ...(options.stopSignal === undefined && !image.StopSignal ? {} : { stopSignalGiven: true as const }),
    ...(restart === undefined ? {} : { restart }),
    ...(healthcheck === undefined ? {} : { healthcheck }),
    stopGraceMs: options.stopGraceMs ?? DEFAULT_GRACE_MS,
    ports,
    exposed,
    ...(options.publishAll === true ? { publishAll: true } : {}),
    ...network,
    resources: options.resources ?? {},
    readOnly: options.readOnly ?? false,
    capabilities: { add: options.capabilities?.add ?? [], drop: options.capabilities?.drop ?? [] },
    ...(options.seccomp === undefined ? {} : { seccomp: options.seccomp }),
    noNewPrivileges: options.noNewPrivileges ?? false,
    init: options.init ?? false,
    sysctls: options.sysctls ?? {},
    shmSizeBytes: checkShm(options.shmSizeBytes ?? DEFAULT_SHM_BYTES),
    ...isolation,
    extraHosts: options.extraHosts ?? {},
    dns: options.dns ?? [],
    ...(options.dnsSearch === undefined ? {} : { dnsSearch: options.dnsSearch }),
    ...(options.dnsOptions === undefined ? {} : { dnsOptions: options.dnsOptions }),
    log: resolveLog(options.log, options.lifetime),
  };
}

function checkShm(bytes: number): number {
  check(Number.isSafeInteger(bytes) && bytes > 0, 'shmSizeBytes', bytes, 'a number of bytes above 0');
  return bytes;
}

/** Docker's table: a given entrypoint drops the image's command as well; an empty command is as none given. */
function resolveCommand(
  options: CreateContainerOptions,
  image: ImageRunConfig,
): { entrypoint: readonly string[]; command: readonly string[] } {
  const entrypoint = options.entrypoint ?? image.Entrypoint ?? [];
  const given = options.command ?? [];
  const command = given.length > 0 || options.entrypoint !== undefined ? given : (image.Cmd ?? []);
  if (entrypoint.length + command.length === 0) {
    throw new TypeError('containers.create: command: the image names none, so one must be given');
  }
  for (const word of [...entrypoint, ...command]) {
    check(typeof word === 'string' && !word.includes('\0'), 'command', word, 'words without NUL bytes');
  }
  return { entrypoint, command };
}

/**
 * As Docker: the user's, then those of the image's that the user does not set. Of two equal names in an image the later
 * wins, but the earlier as soon as the user sets any.
 */
export function mergeEnv(image: readonly string[], own: Readonly<Record<string, string>>): string[] {
  const merged = new Map<string, string>();
  for (const [name, value] of Object.entries(own)) {
    check(name !== '' && !/[=\0]/.test(name) && !value.includes('\0'), 'env', name, 'names without = and NUL');
    merged.set(name, value);
  }
  const isSet = merged.size > 0;
  for (const entry of image) {
    const at = entry.indexOf('=');
    const name = entry.slice(0, at);
    if (at > 0 && !(isSet && merged.has(name))) merged.set(name, entry.slice(at + 1));
  }
  return [...merged].map(([name, value]) => `${name}=${value}`);
}

function stopSignalOf(image: ImageRunConfig): NodeJS.Signals {
  return image.StopSignal === undefined || image.StopSignal === '' ? 'SIGTERM' : parseSignal(image.StopSignal).name;
}

function check(holds: boolean, option: string, value: unknown, expected: string): void {
  if (!holds)
    throw new TypeError(
      `containers.create: ${option}: expected ${expected}, got ${JSON.stringify(value)} (${typeof value})`,
    );
}
