import type { ContainerInfo } from '../container/inspect.js';
import type { ContainerConfig, ContainerRecord } from '../container/record.js';
import type { PortMapping } from '../network/ports.js';
import type { Mount } from '../volume/mount.js';
import { exitCodeOf } from './converse.js';
import { toLogConfig } from './log-options.js';
import { addressesOf } from './ports.js';

/** What Docker prints where there is no time. */
const NEVER = '0001-01-01T00:00:00Z';

export interface DockerContainerInput {
  readonly info: ContainerInfo;
  readonly record: ContainerRecord;
  /** Where the log is kept. */
  readonly logPath: string;
  /** Where a volume's content is. */
  readonly volumePath: (name: string) => string;
}

/** A container in the words of `docker inspect`: what there is to tell, and nothing made up. */
export function toDockerContainer({
  info,
  record,
  logPath,
  volumePath,
}: DockerContainerInput): Record<string, unknown> {
  const { config } = record;
  const [path = '', ...args] = info.command;
  return {
    Id: info.id,
    Created: info.createdAt.toISOString(),
    Path: path,
    Args: args,
    State: state(info),
    Image: info.image,
    LogPath: config.log.driver === 'json-file' ? logPath : '',
    Name: `/${info.name}`,
    Platform: 'linux',
    HostConfig: hostConfig(record),
    Mounts: config.mounts.filter(mount => mount.type !== 'tmpfs').map(mount => mountPoint(mount, volumePath)),
    Config: containerConfig(info, config),
    NetworkSettings: networkSettings(info, config),
  };
}

function state(info: ContainerInfo): Record<string, unknown> {
  return {
    Status: info.state,
    Running: info.state === 'running',
    Paused: false,
    Restarting: false,
    OOMKilled: info.exit?.oomKilled ?? false,
    Dead: false,
    Pid: info.pid ?? 0,
    ExitCode: info.exit === undefined ? 0 : exitCodeOf(info.exit),
    Error: '',
    StartedAt: info.startedAt?.toISOString() ?? NEVER,
    FinishedAt: info.finishedAt?.toISOString() ?? NEVER,
  };
}

function containerConfig(info: ContainerInfo, config: ContainerConfig): Record<string, unknown> {
  const named = config.exposed ?? config.ports.map(port => `${port.container}/${port.protocol}`);
  const exposed = named.map(port => [port, {}]);
  return {
    Hostname: config.hostname,
    Domainname: '',
    User: config.user,
    Tty: config.tty,
    OpenStdin: config.stdin,
    StdinOnce: config.stdin,
    ...(exposed.length === 0 ? {} : { ExposedPorts: Object.fromEntries(exposed) as object }),
    Env: config.env,
    Cmd: config.command.length === 0 ? null : config.command,
    Image: info.imageRef,
    Volumes: null,
    WorkingDir: config.cwd,
    Entrypoint: config.entrypoint.length === 0 ? null : config.entrypoint,
    Labels: info.labels,
    StopSignal: config.stopSignal,
    StopTimeout: config.stopGraceMs / 1000,
  };
}

function hostConfig({ config, autoRemove }: ContainerRecord): Record<string, unknown> {
  const { resources, capabilities, log } = config;
  const orNull = (words: readonly string[]): readonly string[] | null => (words.length === 0 ? null : words);
  return {
    Binds: orNull(config.mounts.flatMap(bindText)),
    LogConfig: toLogConfig(log),
    NetworkMode: networkModeOf(config),
    PortBindings: bindings(
      config.ports.map(({ container, host, hostIp, protocol }) => ({ container, host: host[0], hostIp, protocol })),
      false,
    ),
    RestartPolicy: { Name: 'no', MaximumRetryCount: 0 },
    AutoRemove: autoRemove ?? false,
    CapAdd: orNull(capabilities.add),
    CapDrop: orNull(capabilities.drop),
    CgroupnsMode: 'private',
    Dns: config.dns,
    DnsOptions: config.dnsOptions ?? [],
    DnsSearch: config.dnsSearch ?? [],
    ExtraHosts: orNull(
      Object.entries(config.extraHosts).flatMap(([name, all]) => [all].flat().map(address => `${name}:${address}`)),
    ),
    Links: orNull(config.links ?? []),
    Privileged: false,
    PublishAllPorts: config.publishAll ?? false,
    ReadonlyRootfs: config.readOnly,
    SecurityOpt: orNull(securityOptions(config)),
    Tmpfs: tmpfs(config.mounts),
    ShmSize: config.shmSizeBytes,
    Sysctls: config.sysctls,
    CpuShares: resources.cpuShares ?? 0,
    Memory: resources.memoryBytes ?? 0,
    NanoCpus: Math.round((resources.cpus ?? 0) * 1e9),
    CpuPeriod: resources.cpuPeriodMicros ?? 0,
    CpuQuota: resources.cpuQuotaMicros ?? 0,
    CpusetCpus: resources.cpusetCpus ?? '',
    CpusetMems: resources.cpusetMems ?? '',
    MemoryReservation: resources.memoryReservationBytes ?? 0,
    MemorySwap: resources.memorySwapBytes ?? (resources.memoryBytes ?? 0) * 2,
    PidsLimit: resources.maxProcesses ?? null,
    Init: config.init,
  };
}

/** As it was asked for: `bridge`, `host`, `container:ID`. */
function networkModeOf({ networkMode, networks, networkTarget }: ContainerConfig): string {
  if (networkMode === 'networks') return networks[0]?.network ?? 'none';
  return networkTarget === undefined ? networkMode : `${networkMode}:${networkTarget}`;
}

function securityOptions(config: ContainerConfig): string[] {
  const seccomp =
    config.seccomp === undefined
      ? []
      : [config.seccomp === 'unconfined' ? 'seccomp=unconfined' : `seccomp=${JSON.stringify(config.seccomp)}`];
  return [...seccomp, ...(config.noNewPrivileges ? ['no-new-privileges'] : [])];
}

function bindText(mount: Mount): string[] {
  if (mount.type === 'tmpfs' || mount.type === 'image' || mount.source === undefined) return [];
  return [`${mount.source}:${mount.target}${mount.readOnly === true ? ':ro' : ''}`];
}

function tmpfs(mounts: readonly Mount[]): Record<string, string> {
  const own = mounts.filter(mount => mount.type === 'tmpfs');
  return Object.fromEntries(
    own.map(({ target, sizeBytes, mode }) => [
      target,
      [
        ...(sizeBytes === undefined ? [] : [`size=${sizeBytes}`]),
        ...(mode === undefined ? [] : [`mode=${mode.toString(8)}`]),
      ].join(','),
    ]),
  );
}

function mountPoint(
  mount: Exclude<Mount, { type: 'tmpfs' }>,
  volumePath: (name: string) => string,
): Record<string, unknown> {
  const { type, source = '', target } = mount;
  const readOnly = type === 'image' || mount.readOnly === true;
  const common = { Destination: target, Mode: '', RW: !readOnly, Propagation: type === 'bind' ? 'rprivate' : '' };
  if (type !== 'volume') return { Type: type, Source: source, ...common };
  return { Type: type, Name: source, Source: volumePath(source), Driver: 'local', ...common };
}

function networkSettings(info: ContainerInfo, config: ContainerConfig): Record<string, unknown> {
  const networks = Object.entries(info.networks);
  const first = networks[0]?.[1];
  return {
    Ports: bindings(info.ports, true),
    Gateway: first?.gateway ?? '',
    IPAddress: first?.ip ?? '',
    MacAddress: first?.mac ?? '',
    Networks: Object.fromEntries([
      ...(config.networkMode === 'networks'
        ? []
        : [[config.networkMode, { IPAddress: '', Gateway: '', MacAddress: '', Aliases: null }]]),
      ...networks.map(([name, { ip, mac, gateway, aliases }]) => [
        name,
        { IPAddress: ip, Gateway: gateway ?? '', MacAddress: mac, Aliases: aliases.length === 0 ? null : aliases },
      ]),
    ]) as object,
  };
}

/** `{"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}`; what is bound names each address, what is wished for does not. */
function bindings(
  ports: readonly Required<PortMapping>[],
  bound: boolean,
): Record<string, { HostIp: string; HostPort: string }[]> {
  const found: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const { container, host, hostIp, protocol } of ports) {
    const addresses = bound ? addressesOf(hostIp) : [hostIp];
    (found[`${container}/${protocol}`] ??= []).push(
      ...addresses.map(HostIp => ({ HostIp, HostPort: bound || host !== 0 ? String(host) : '' })),
    );
  }
  return found;
}
