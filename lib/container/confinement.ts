import { readdirSync, statSync, type Stats } from 'node:fs';
import { join } from 'node:path';

import { InvalidStateError, NotFoundError, errorCode } from '../errors.js';
import { majorOf, minorOf } from '../host/cgroups-devices.js';
import type { CgroupOptions } from '../host/cgroups-plan.js';
import { defaultDevices, maskedPaths, readOnlyPaths } from '../runtime/defaults.js';
import type { ContainerSpec, DeviceNode, NamespaceKind, Peer } from '../runtime/spec.js';
import type { ContainerContext } from './context.js';
import type { Live } from './live.js';
import { hasOwnNetwork } from './network.js';
import type { ContainerConfig, ContainerRecord } from './record.js';

/** Other containers whose namespaces are shared, as they run. */
export interface Peers {
  readonly pid?: Peer;
  readonly ipc?: Peer & { /** Whether it has a `/dev/shm`. */ readonly sharesMemory: boolean };
}

/** `container:…`: the id behind it. */
export function peerId(mode: string | undefined): string | undefined {
  return mode?.startsWith('container:') === true ? mode.slice('container:'.length) : undefined;
}

/**
 * Finds the containers whose namespaces are to be shared.
 *
 * @throws {@link NotFoundError} when one is gone, {@link InvalidStateError} when it does not run, or does not share.
 */
export function findPeers(context: ContainerContext, live: Live, record: ContainerRecord, call: string): Peers {
  const { pidMode, ipcMode } = record.config;
  const pid = peerId(pidMode);
  const ipc = peerId(ipcMode);
  if (pid === undefined && ipc === undefined) return {};
  return {
    ...(pid === undefined ? {} : { pid: findPeer(context, live, pid, 'pidMode', call).peer }),
    ...(ipc === undefined ? {} : { ipc: ipcPeer(findPeer(context, live, ipc, 'ipcMode', call), call) }),
  };
}

interface Found {
  readonly record: ContainerRecord;
  readonly peer: Peer;
}

function findPeer(context: ContainerContext, live: Live, id: string, option: string, call: string): Found {
  const record = context.records.get(id);
  if (record === undefined)
    throw new NotFoundError({
      call,
      kind: 'container',
      ref: id.slice(0, 12),
      remedy: `${option} names it: it was removed`,
    });
  const state = live.state(id);
  if (state.name !== 'running') {
    throw new InvalidStateError({
      call,
      kind: 'container',
      ref: record.name,
      state: state.name,
      expected: ['running'],
      remedy: `${option} names it, and it lends its namespace: start it first`,
    });
  }
  return { record, peer: { pid: state.started.pid, startTime: state.started.startTime } };
}

/** As Docker: who shares has to have said so. */
function ipcPeer({ record, peer }: Found, call: string): Peers['ipc'] & Peer {
  const { ipcMode = 'private' } = record.config;
  if (ipcMode === 'shareable' || ipcMode === 'host' || peerId(ipcMode) !== undefined)
    return { ...peer, sharesMemory: true };
  throw new InvalidStateError({
    call,
    kind: 'container',
    ref: record.name,
    state: `with ipcMode: '${ipcMode}'`,
    expected: ["with ipcMode: 'shareable'"],
  });
}

/** The namespaces that are its own. */
export function ownNamespaces({ config }: ContainerRecord): NamespaceKind[] {
  const { pidMode = 'private', ipcMode = 'private', utsMode } = config;
  const kinds: NamespaceKind[] = ['mnt'];
  if (pidMode === 'private') kinds.push('pid');
  if (ipcMode === 'private' || ipcMode === 'shareable' || ipcMode === 'none') kinds.push('ipc');
  if (utsMode !== 'host') kinds.push('uts');
  if (hasOwnNetwork(config)) kinds.push('net');
  return kinds;
}

/** Those that it shares with another container. */
export function joinedNamespaces({ config }: ContainerRecord): NamespaceKind[] {
  const { pidMode, ipcMode, networkMode } = config;
  return [
    ...(peerId(pidMode) === undefined ? [] : (['pid'] as const)),
    ...(peerId(ipcMode) === undefined ? [] : (['ipc'] as const)),
    ...(hasOwnNetwork(config) || networkMode === 'host' ? [] : (['net'] as const)),
  ];
}

/** What the helper enters. */
export function joinsOf({ pid, ipc }: Peers): ContainerSpec['joins'] {
  return [
    ...(pid === undefined ? [] : [{ kind: 'pid' as const, path: `/proc/${pid.pid}/ns/pid`, of: pid }]),
    ...(ipc === undefined ? [] : [{ kind: 'ipc' as const, path: `/proc/${ipc.pid}/ns/ipc`, of: ipc }]),
  ];
}

/** Paths that are hidden, and those that cannot be written to. */
export function protectedPaths({
  privileged,
  maskedPaths: masked,
  readOnlyPaths: readOnly,
}: ContainerConfig): Pick<ContainerSpec, 'maskedPaths' | 'readOnlyPaths'> {
  if (privileged === true) return { maskedPaths: [], readOnlyPaths: [] };
  return { maskedPaths: masked ?? maskedPaths(), readOnlyPaths: readOnly ?? readOnlyPaths };
}

/** What is made in `/dev`, and what may be done with it. */
export interface Devices {
  readonly nodes: readonly DeviceNode[];
  readonly rules: NonNullable<CgroupOptions['devices']>;
}

/**
 * The usual devices and those that were asked for, all that there are for one that is privileged.
 *
 * @throws {@link NotFoundError} for one that is not there.
 */
export function devicesOf({ config }: ContainerRecord, call: string): Devices {
  const { devices = [], deviceRules = [], privileged } = config;
  if (devices.length === 0 && deviceRules.length === 0 && privileged !== true)
    return { nodes: defaultDevices, rules: 'default' };
  const asked = devices.flatMap(({ hostPath, containerPath = hostPath, permissions = 'rwm' }) =>
    nodesAt(hostPath, containerPath, call).map(node => ({ node, permissions })),
  );
  const all = privileged === true ? nodesIn('/dev', '/dev', call) : [];
  // By path: what was asked for stands in the place of what is usual.
  const nodes = new Map([...defaultDevices, ...all, ...asked.map(({ node }) => node)].map(node => [node.path, node]));
  const rules = asked.map(({ node, permissions }) => `${node.type} ${node.major}:${node.minor} ${permissions}`);
  return { nodes: [...nodes.values()], rules: privileged === true ? 'all' : [...rules, ...deviceRules] };
}

/** What Docker leaves out of the host's `/dev`: what a container has of its own, and udev's own files. */
const own: ReadonlySet<string> = new Set([
  'pts',
  'ptmx',
  'shm',
  'fd',
  'mqueue',
  '.lxc',
  '.lxd-mounts',
  '.udev',
  'console',
]);

function nodesAt(hostPath: string, containerPath: string, call: string): DeviceNode[] {
  const stat = statOf(hostPath);
  if (stat === undefined)
    throw new NotFoundError({ call, kind: 'file', ref: hostPath, remedy: 'devices names it, and it is not there' });
  if (stat.isDirectory()) return nodesIn(hostPath, containerPath, call);
  return [nodeOf(containerPath, stat)];
}

function nodesIn(directory: string, inside: string, call: string): DeviceNode[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap(entry => {
    const [from, to] = [join(directory, entry.name), join(inside, entry.name)];
    if (directory === '/dev' && own.has(entry.name)) return [];
    if (entry.isDirectory()) return nodesIn(from, to, call);
    if (!entry.isCharacterDevice() && !entry.isBlockDevice()) return [];
    const stat = statOf(from);
    return stat === undefined ? [] : [nodeOf(to, stat)];
  });
}

function nodeOf(path: string, { mode, rdev, uid, gid }: Stats): DeviceNode {
  const type = (mode & 0o170000) === 0o060000 ? 'b' : 'c';
  return { path, type, major: majorOf(rdev), minor: minorOf(rdev), mode: mode & 0o7777, uid, gid };
}

/** It may go between the look and the call. */
function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
