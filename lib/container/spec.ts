import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { prepareParent } from '../host/cgroups-control.js';
import { planCgroups, type CgroupPlan } from '../host/cgroups-plan.js';
import type { ResolvedImage } from '../image/resolve.js';
import { readInLayers } from '../image/view.js';
import { capabilitySets, type CapabilitySets } from '../runtime/capabilities.js';
import {
  DEFAULT_PATH,
  cgroupMounts,
  defaultMounts,
  defaultSymlinks,
  networkSysctls,
  type DefaultMountOptions,
} from '../runtime/defaults.js';
import { seccompFilter } from '../runtime/seccomp-filter.js';
import { attribute } from '../runtime/spec.js';
import type { ContainerSpec, MountSpec, NamespaceKind, ProcessSpec, RootSpec } from '../runtime/spec.js';
import { settleUlimits } from '../runtime/ulimits.js';
import { resolveUser, type ResolvedUser } from '../runtime/users.js';
import type { ContainerContext } from './context.js';
import { attributesText, isKept } from './log-config.js';
import { mountSpecs } from './mounts.js';
import { hasOwnNetwork, type StartNetwork } from './network.js';
import { readNetwork } from './network-state.js';
import type { FurtherProcessOptions, ProcessOptions } from './options.js';
import {
  devicesOf,
  joinedNamespaces,
  joinsOf,
  ownNamespaces,
  protectedPaths,
  type Devices,
  type Peers,
} from './confinement.js';
import type { ContainerConfig, ContainerRecord } from './record.js';

interface SpecInput {
  readonly call: string;
  readonly attach: boolean;
  readonly runDir: string;
  readonly exitFile: string;
  /** For the files that are mounted over the image's. */
  readonly directory: string;
  /** It was made for this start, so there is nothing in it. */
  readonly isNew: boolean;
  readonly logPath: string;
  readonly network: StartNetwork;
  readonly peers: Peers;
}

/** Answers all questions that are left when a container starts: what the monitor gets is to be carried out as it is. */
export async function buildSpec(
  context: ContainerContext,
  record: ContainerRecord,
  input: SpecInput,
): Promise<ContainerSpec> {
  const { config } = record;
  const { peers } = input;
  const image = context.images.resolve(record.image.id, input.call);
  const root = await rootOf(context, record, input.call, image);
  const devices = devicesOf(record, input.call);
  const cgroups = cgroupsOf(context, record, input.call, { make: true, devices });
  const ownCgroups = hasCgroupNamespace(context, record);
  const privileged = config.privileged === true;
  const paths = protectedPaths(config);
  const cgroup =
    cgroups === undefined
      ? { mounts: [], readOnlyPaths: [] }
      : cgroupMounts(cgroups, { ownNamespace: ownCgroups, writable: privileged || config.writableCgroups === true });
  const command = [...config.entrypoint, ...config.command];
  return {
    lifetime: record.lifetime,
    runDir: input.runDir,
    exitFile: input.exitFile,
    ...(isKept(config.log) ? { log: { ...config.log, path: input.logPath, attributes: attributesText(record) } } : {}),
    attach: input.attach,
    namespaces: ownNamespaces(record),
    joins: [...joinsOf(peers), ...input.network.joins],
    ...((config.pidMode ?? 'private') === 'private' ? {} : { killsRest: true }),
    cgroupNamespace: ownCgroups,
    ...(config.utsMode === 'host' ? {} : { hostname: config.hostname }),
    ...(config.domainname === undefined ? {} : { domainname: config.domainname }),
    mountpoint: mountpointOf(context),
    root,
    readOnlyRoot: config.readOnly,
    mounts: [
      ...defaultMounts({ shmBytes: config.shmSizeBytes, privileged, sharedMemory: sharedMemory(config, peers) }),
      ...cgroup.mounts,
      ...etcMounts(record, input),
      ...mountSpecs(context, record, input.call),
    ],
    devices: devices.nodes,
    symlinks: defaultSymlinks,
    maskedPaths: paths.maskedPaths,
    readOnlyPaths: [...paths.readOnlyPaths, ...cgroup.readOnlyPaths],
    sysctls: hasOwnNetwork(config) ? { ...networkSysctls, ...config.sysctls } : config.sysctls,
    ...(cgroups === undefined ? {} : { cgroups }),
    network: input.network.ops,
    process: processOf(context, record, command, {
      call: input.call,
      linked: input.network.env,
      stdin: config.stdin,
      tty: config.tty,
      ...(config.terminalSize === undefined ? {} : { terminalSize: config.terminalSize }),
      cwd: config.cwd,
      user: config.user,
      first: true,
      image,
      cgroups,
    }),
  };
}

/** The process of an exec: the container's settings, and what the caller changes of them. */
export function execProcess(
  context: ContainerContext,
  record: ContainerRecord,
  command: readonly string[],
  options: FurtherProcessOptions & { readonly call: string; readonly stdin: boolean },
): ProcessSpec {
  const runDir = join(context.store.runRoot, 'c', record.id.slice(0, 12));
  return processOf(context, record, command, {
    ...options,
    ...(record.config.links === undefined ? {} : { linked: readNetwork(runDir).env ?? [] }),
    tty: options.tty ?? false,
    cwd: options.cwd ?? record.config.cwd,
    user: options.user ?? record.config.user,
    first: false,
  });
}

/** The namespaces that an exec enters. */
export function namespacesOf(context: ContainerContext, record: ContainerRecord): (NamespaceKind | 'cgroup')[] {
  return [
    ...ownNamespaces(record),
    ...joinedNamespaces(record),
    ...(hasCgroupNamespace(context, record) ? (['cgroup'] as const) : []),
  ];
}

/**
 * `undefined` on a machine without any usable controller.
 *
 * @param options.make - Whether the groups above, where the user named them, are made: for a start.
 */
export function cgroupsOf(
  context: ContainerContext,
  record: ContainerRecord,
  call: string,
  options: { readonly make?: boolean; readonly devices?: Devices } = {},
): CgroupPlan | undefined {
  const host = context.cgroups();
  const { cgroupParent: path, resources } = record.config;
  const { rules } = options.devices ?? devicesOf(record, call);
  // Planned also where there is none: a limit that was asked for is an error then, not a silence.
  const plan = planCgroups(host, record.id, resources, {
    call,
    devices: rules,
    ...(path === undefined
      ? {}
      : { parent: options.make === true ? { path, cpuset: prepareParent(host, path) } : { path } }),
  });
  return host.mode === 'none' ? undefined : plan;
}

function sharedMemory({ ipcMode }: ContainerConfig, { ipc }: Peers): NonNullable<DefaultMountOptions['sharedMemory']> {
  if (ipcMode === 'host' || ipcMode === 'none') return ipcMode;
  return ipc ?? 'private';
}

/** As Docker: private on version 2, the host's on version 1. */
function hasCgroupNamespace(context: ContainerContext, { config }: ContainerRecord): boolean {
  const usual = context.cgroups().mode === 'v2' ? 'private' : 'host';
  return (config.cgroupNamespace ?? usual) === 'private';
}

/** One for all containers: each mounts its root there in its own namespace, where nobody else sees it. */
export function mountpointOf({ store }: ContainerContext): string {
  return join(store.root, 'mnt');
}

/** What its root is made of. */
export async function rootOf(
  { store, images, initLayers }: ContainerContext,
  record: ContainerRecord,
  call: string,
  image?: ResolvedImage,
): Promise<RootSpec> {
  const active = await store.snapshots.active(record.id, [...record.chain]);
  if (active.kind === 'plain') return { kind: 'plain', dir: active.dir };
  const { base, upper, work } = active;
  const init = initLayers.for(image ?? images.resolve(record.image.id, call));
  const names = init === undefined ? active.names : [init, ...active.names];
  // A container that ends with this process does not outlive a power cut either, so nothing of it need be synced: that
  // spares every fsync inside, and the sync of the whole file system when it ends.
  return {
    kind: 'overlay',
    lowers: names,
    base,
    upper,
    work,
    options: record.lifetime === 'process' ? 'volatile' : '',
  };
}

function etcMounts(record: ContainerRecord, { directory, isNew, network }: SpecInput): MountSpec[] {
  return Object.entries(network.files).map(([name, text]) => {
    const source = network.filesFrom === undefined ? join(directory, name) : join(network.filesFrom, name);
    // Kept over restarts, as Docker keeps hostname and resolv.conf; hosts says where the container is now.
    if (network.filesFrom === undefined && (name === 'hosts' || isNew || !existsSync(source)))
      writeFileSync(source, text, { mode: 0o644 });
    const attributes = record.config.readOnly ? attribute.readOnly : 0;
    return { kind: 'bind', source, target: `/etc/${name}`, attributes, recursive: false, create: 'file' };
  });
}

interface ProcessInput extends ProcessOptions {
  readonly call: string;
  readonly stdin: boolean;
  readonly tty: boolean;
  readonly cwd: string;
  readonly user: string;
  readonly privileged?: boolean;
  readonly merged?: boolean;
  /** Variables of linked containers. */
  readonly linked?: readonly string[];
  /** The container's own first process. */
  readonly first: boolean;
  /** The image, where it was read already. */
  readonly image?: ResolvedImage;
  /** The groups, where they were planned already; `undefined` then where there are none. */
  readonly cgroups?: CgroupPlan | undefined;
}

function processOf(
  context: ContainerContext,
  record: ContainerRecord,
  argv: readonly string[],
  input: ProcessInput,
): ProcessSpec {
  const { config } = record;
  const user = userOf(context, record, input.user, input.call, input.image);
  const cgroups = 'cgroups' in input ? input.cgroups : cgroupsOf(context, record, input.call);
  const privileged = input.privileged === true || config.privileged === true;
  const sets = capabilitySets(privileged ? { privileged } : withoutNodes(record, cgroups), undefined, input.call);
  // As Docker: a container that is privileged has a filter only when it was given one.
  const unconfined = config.seccomp === 'unconfined' || (config.privileged === true && config.seccomp === undefined);
  const seccomp = unconfined ? undefined : filterOf(config.seccomp as object | undefined, sets);
  const { appArmor } = config;
  return {
    argv,
    env: environment(record, input, user, input.linked ?? []),
    cwd: input.cwd,
    createCwd: input.first,
    uid: user.uid,
    gid: user.gid,
    groups: user.groups,
    capabilities: sets,
    ...(seccomp === undefined ? {} : { seccomp }),
    noNewPrivileges: config.noNewPrivileges,
    ...(config.oomScoreAdj === undefined ? {} : { oomScoreAdj: config.oomScoreAdj }),
    ...(appArmor === undefined || appArmor === 'unconfined' || privileged ? {} : { appArmor }),
    rlimits: settleUlimits(config.ulimits ?? {}, message =>
      context.emit('warning', { time: new Date(), message: `${input.call}: container ${record.name}: ${message}` }),
    ),
    ...(input.tty ? { tty: input.terminalSize ?? { rows: 24, columns: 80 } } : {}),
    stdin: input.stdin,
    merged: input.merged === true,
    init: input.first && config.init,
  };
}

/** Where no cgroup says which device nodes may be opened, none can be made either: they would open the host's disks. */
function withoutNodes(
  record: ContainerRecord,
  cgroups: CgroupPlan | undefined,
): { add: readonly string[]; drop: readonly string[] } {
  const { add, drop } = record.config.capabilities;
  return cgroups?.devicesEnforced === true ? { add, drop } : { add, drop: [...drop, 'MKNOD'] };
}

function filterOf(profile: object | undefined, sets: CapabilitySets): Buffer {
  return seccompFilter(profile, sets.names);
}

/** PATH, HOSTNAME and TERM come first and can be overridden, HOME last where nobody set it: as Docker and runc do. */
function environment(
  record: ContainerRecord,
  input: ProcessInput,
  user: ResolvedUser,
  linked: readonly string[],
): string[] {
  const env = new Map<string, string>([
    ['PATH', DEFAULT_PATH],
    ['HOSTNAME', record.config.hostname],
  ]);
  if (input.tty) env.set('TERM', 'xterm');
  for (const entry of [...linked, ...record.config.env]) {
    const at = entry.indexOf('=');
    env.set(entry.slice(0, at), entry.slice(at + 1));
  }
  if (!input.first) for (const [name, value] of Object.entries(input.env ?? {})) env.set(name, value);
  if (!env.has('HOME')) env.set('HOME', user.home);
  return [...env].map(([name, value]) => `${name}=${value}`);
}

/** Who a name or number is inside. */
export function userOf(
  { images, records }: ContainerContext,
  record: ContainerRecord,
  user: string,
  call: string,
  image = images.resolve(record.image.id, call),
): ResolvedUser {
  const upper = join(records.directory(record.id), 'upper');
  const read = (path: string): string | undefined => {
    // Only where the container itself has changed something under /etc is there more to read than the image's own file.
    const changed = existsSync(join(upper, 'etc'));
    const bytes = changed ? readInLayers([{ dir: upper, opaque: [] }, ...image.views], path) : image.readFile(path);
    return bytes?.toString('utf8');
  };
  return resolveUser(
    user,
    { passwd: read('/etc/passwd'), group: read('/etc/group') },
    { call, extraGroups: record.config.groups ?? [] },
  );
}
