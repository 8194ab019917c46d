import { maskedPaths, readOnlyPaths } from '../runtime/defaults.js';
import type { DeviceRate } from '../types.js';
import type { SettledMount } from '../volume/mounts.js';
import type { LogConfig } from './log-config.js';
import type { ContainerConfig, ContainerRecord } from './record.js';

const orNull = <T>(list: readonly T[]): readonly T[] | null => (list.length === 0 ? null : list);

/** What is only there when it was asked for. */
function given(fields: Readonly<Record<string, object | undefined>>): object {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined && Object.keys(value).length > 0),
  );
}

/** What a container was asked to be on this machine, in the words of Docker's HostConfig. */
export function dockerHostConfig(
  record: ContainerRecord,
  host: { readonly cgroups: 'v1' | 'v2' | 'hybrid' | 'none' },
): Record<string, unknown> {
  const { config, asked = {} } = record;
  const { restart, privileged = false } = config;
  const size = config.terminalSize;
  const mounts = config.mounts.filter(mount => !isShorthand(mount, record));
  return {
    Binds: orNull(asked.binds ?? []),
    ContainerIDFile: asked.cidFile ?? '',
    LogConfig: logConfig(config.log, asked.logOptions),
    NetworkMode: networkMode(config),
    PortBindings: portBindings(config),
    RestartPolicy: { Name: restart?.name ?? 'no', MaximumRetryCount: restart?.maxRetries ?? 0 },
    AutoRemove: record.autoRemove ?? false,
    VolumeDriver: '',
    VolumesFrom: orNull(asked.volumesFrom ?? []),
    ConsoleSize: size === undefined ? [0, 0] : [size.rows, size.columns],
    ...given({ Annotations: config.annotations }),
    CapAdd: orNull(config.capabilities.add.map(capability)),
    CapDrop: orNull(config.capabilities.drop.map(capability)),
    CgroupnsMode: config.cgroupNamespace ?? (host.cgroups === 'v2' ? 'private' : 'host'),
    Dns: config.dns,
    DnsOptions: config.dnsOptions ?? [],
    DnsSearch: config.dnsSearch ?? [],
    ExtraHosts: orNull(asked.extraHosts ?? extraHosts(config)),
    GroupAdd: orNull(config.groups ?? []),
    IpcMode: config.ipcMode ?? 'private',
    Cgroup: '',
    Links: orNull(config.links ?? []),
    OomScoreAdj: config.oomScoreAdj ?? 0,
    PidMode: config.pidMode === undefined || config.pidMode === 'private' ? '' : config.pidMode,
    Privileged: privileged,
    PublishAllPorts: config.publishAll ?? false,
    ReadonlyRootfs: config.readOnly,
    SecurityOpt: orNull(asked.securityOptions ?? securityOptions(config)),
    ...given({ Tmpfs: asked.tmpfs, Sysctls: config.sysctls }),
    UTSMode: config.utsMode === 'host' ? 'host' : '',
    UsernsMode: config.userNamespace ?? '',
    ShmSize: config.shmSizeBytes,
    Runtime: 'tscontainer',
    Isolation: '',
    ...resources(config, host.cgroups),
    ...given({ Mounts: mounts.map(mountSpec) }),
    MaskedPaths: config.maskedPaths ?? (privileged ? null : maskedPaths()),
    ReadonlyPaths: config.readOnlyPaths ?? (privileged ? null : readOnlyPaths),
    ...(config.init || asked.init !== undefined ? { Init: config.init } : {}),
  };
}

function resources({ resources: limits, ...config }: ContainerConfig, cgroups: string): Record<string, unknown> {
  const devices = config.devices ?? [];
  return {
    CpuShares: limits.cpuShares ?? 0,
    Memory: limits.memoryBytes ?? 0,
    NanoCpus: Math.round((limits.cpus ?? 0) * 1e9),
    CgroupParent: config.cgroupParent ?? '',
    BlkioWeight: limits.blkioWeight ?? 0,
    BlkioWeightDevice: (limits.blkioWeightDevices ?? []).map(({ path, weight }) => ({ Path: path, Weight: weight })),
    BlkioDeviceReadBps: rates(limits.deviceReadBytes),
    BlkioDeviceWriteBps: rates(limits.deviceWriteBytes),
    BlkioDeviceReadIOps: rates(limits.deviceReadOps),
    BlkioDeviceWriteIOps: rates(limits.deviceWriteOps),
    CpuPeriod: limits.cpuPeriodMicros ?? 0,
    CpuQuota: limits.cpuQuotaMicros ?? 0,
    CpuRealtimePeriod: 0,
    CpuRealtimeRuntime: 0,
    CpusetCpus: limits.cpusetCpus ?? '',
    CpusetMems: limits.cpusetMems ?? '',
    Devices: devices.map(({ hostPath, containerPath = hostPath, permissions = 'rwm' }) => ({
      PathOnHost: hostPath,
      PathInContainer: containerPath,
      CgroupPermissions: permissions,
    })),
    DeviceCgroupRules: orNull(config.deviceRules ?? []),
    DeviceRequests: null,
    MemoryReservation: limits.memoryReservationBytes ?? 0,
    MemorySwap: limits.memorySwapBytes ?? (limits.memoryBytes ?? 0) * 2,
    MemorySwappiness: limits.memorySwappiness ?? null,
    OomKillDisable: cgroups === 'v2' ? null : (limits.oomKillDisable ?? false),
    PidsLimit: (limits.maxProcesses ?? 0) <= 0 ? null : limits.maxProcesses,
    Ulimits: Object.entries(config.ulimits ?? {})
      .sort()
      .map(([Name, { soft, hard = soft }]) => ({
        Name,
        Hard: hard,
        Soft: soft,
      })),
    CpuCount: 0,
    CpuPercent: 0,
    IOMaximumIOps: 0,
    IOMaximumBandwidth: 0,
  };
}

function rates(list: readonly DeviceRate[] = []): object[] {
  return list.map(({ path, perSecond }) => ({ Path: path, Rate: perSecond }));
}

/** `CAP_NET_ADMIN`; `ALL` is a word of its own. */
function capability(name: string): string {
  const upper = name.toUpperCase();
  return upper === 'ALL' || upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
}

function logConfig(log: LogConfig, asked: Readonly<Record<string, string>> | undefined): Record<string, unknown> {
  if (asked !== undefined) return { Type: log.driver, Config: asked };
  if (log.driver === 'none' || log.driver === 'stream') return { Type: log.driver, Config: {} };
  const { maxBytes, maxFiles, compress, attributes: kept = {} } = log;
  // What is so anyway was not asked for.
  const usual =
    log.driver === 'local'
      ? { maxBytes: 20 << 20, maxFiles: 5, compress: true }
      : { maxBytes: 0, maxFiles: 1, compress: false };
  const shown: Readonly<Record<string, string | undefined>> = {
    'max-size': maxBytes === usual.maxBytes ? undefined : String(maxBytes),
    'max-file': maxFiles === usual.maxFiles ? undefined : String(maxFiles),
    compress: compress === usual.compress ? undefined : String(compress),
    labels: kept.labels?.join(','),
    'labels-regex': kept.labelsPattern,
    env: kept.env?.join(','),
    'env-regex': kept.envPattern,
    tag: kept.tag,
  };
  return {
    Type: log.driver,
    Config: Object.fromEntries(Object.entries(shown).filter(([, value]) => value !== undefined)),
  };
}

/** As it was asked for: `bridge`, `host`, `container:ID`. */
function networkMode({ networkMode: mode, networks, networkTarget }: ContainerConfig): string {
  if (mode === 'networks') return networks[0]?.network ?? 'none';
  return networkTarget === undefined ? mode : `${mode}:${networkTarget}`;
}

/** `{"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}`: what is wished for. */
function portBindings({ ports, publishAll }: ContainerConfig): Record<string, object[]> {
  const found = new Map<string, object[]>();
  // What `publishAll` added was not wished for one by one.
  const wished = ports.filter(({ host, hostIp }) => publishAll !== true || host[1] !== 0 || hostIp !== '');
  for (const {
    container,
    host: [first, last],
    hostIp,
    protocol,
  } of wished) {
    const HostPort = first === 0 ? '' : first === last ? String(first) : `${first}-${last}`;
    const key = `${container}/${protocol}`;
    found.set(key, [...(found.get(key) ?? []), { HostIp: hostIp, HostPort }]);
  }
  return Object.fromEntries(found);
}

function extraHosts({ extraHosts: hosts }: ContainerConfig): string[] {
  return Object.entries(hosts).flatMap(([name, all]) => [all].flat().map(address => `${name}:${address}`));
}

function securityOptions({
  seccomp,
  noNewPrivileges,
  appArmor,
  privileged,
  pidMode,
  ipcMode,
}: ContainerConfig): string[] {
  const profile = typeof seccomp === 'object' ? JSON.stringify(seccomp) : seccomp;
  return [
    ...(profile === undefined ? [] : [`seccomp=${profile}`]),
    ...(noNewPrivileges ? ['no-new-privileges'] : []),
    ...(appArmor === undefined ? [] : [`apparmor=${appArmor}`]),
    ...(privileged === true || pidMode === 'host' || ipcMode === 'host' ? ['label=disable'] : []),
  ];
}

/** Asked for by `-v` or `--tmpfs`, by another container's volumes, or by the image. */
function isShorthand(mount: SettledMount, { asked = {}, anonymousVolumes, ...record }: ContainerRecord): boolean {
  if (Object.hasOwn(asked.tmpfs ?? {}, mount.target)) return true;
  if (asked.binds?.some(bind => bind.split(':')[1] === mount.target) === true) return true;
  if (asked.volumes?.includes(mount.target) === true) return true;
  if (mount.type === 'volume' && anonymousVolumes.includes(mount.source)) return true;
  // Those of other containers have been added; which they are is known by nothing else.
  return (asked.volumesFrom?.length ?? 0) > 0 && record.config.mounts.includes(mount) && mount.type !== 'tmpfs';
}

function mountSpec(mount: SettledMount): Record<string, unknown> {
  const { type, target } = mount;
  const readOnly = type !== 'image' && mount.readOnly === true ? { ReadOnly: true } : {};
  const common = { Type: type, ...(type === 'tmpfs' ? {} : { Source: mount.source }), Target: target, ...readOnly };
  switch (type) {
    case 'bind': {
      const { propagation, recursive, createSource } = mount;
      const options = {
        ...(propagation === undefined ? {} : { Propagation: propagation }),
        ...(recursive === 'disabled' ? { NonRecursive: true } : {}),
        ...(recursive === 'writable' ? { ReadOnlyNonRecursive: true } : {}),
        ...(recursive === 'readonly' ? { ReadOnlyForceRecursive: true } : {}),
        ...(createSource === true ? { CreateMountpoint: true } : {}),
      };
      return { ...common, ...given({ BindOptions: options }) };
    }
    case 'volume': {
      const { noCopy, subpath, labels, driverOptions } = mount;
      const options = {
        ...(noCopy === true ? { NoCopy: true } : {}),
        ...(labels === undefined ? {} : { Labels: labels }),
        ...(subpath === undefined ? {} : { Subpath: subpath }),
      };
      const any = driverOptions !== undefined || Object.keys(options).length > 0;
      const driver = driverOptions === undefined ? {} : { Options: driverOptions };
      return { ...common, ...(any ? { VolumeOptions: { ...options, DriverConfig: driver } } : {}) };
    }
    case 'tmpfs': {
      const { sizeBytes, mode } = mount;
      const options = {
        ...(sizeBytes === undefined ? {} : { SizeBytes: sizeBytes }),
        ...(mode === undefined ? {} : { Mode: mode }),
      };
      return { ...common, ...given({ TmpfsOptions: options }) };
    }
    case 'image':
      return { ...common, ...given({ ImageOptions: mount.subpath === undefined ? {} : { Subpath: mount.subpath } }) };
  }
}
