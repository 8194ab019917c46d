import { proxyOp } from '../network/ports.js';
import type { Attachment, Endpoint, NetworkOp } from '../network/attach.js';
import { hostResolv, resolverAddress, resolverServers } from '../network/resolv.js';
import type { ContainerSpec, Op } from '../runtime/spec.js';
import type { ContainerContext } from './context.js';
import { resolveLinks, type Links } from './links.js';
import type { Live } from './live.js';
import { networkFiles } from './network-files.js';
import { joinedNetwork } from './network-join.js';
import type { ContainerConfig, ContainerRecord } from './record.js';

/** All that a container's start needs to know of its network. */
export interface StartNetwork {
  readonly endpoints: readonly Endpoint[];
  /** What the monitor and the first process do. */
  readonly ops: readonly Op[];
  readonly joins: ContainerSpec['joins'];
  /** Of /etc, by name. */
  readonly files: Readonly<Record<string, string>>;
  /** The directory whose files are shared instead of written. */
  readonly filesFrom?: string;
  /** Variables that links add, `NAME=value`. */
  readonly env: readonly string[];
  /** What the monitor unlinks at the end. */
  readonly leave: readonly string[];
  /** Gives back what was claimed. Call it when the container has ended, or was never started. */
  release(): void;
}

/** Claims what a container needs of its networks, and says what is to be done. */
export async function startNetwork(
  context: ContainerContext,
  live: Live,
  record: ContainerRecord,
  { call, signal }: { readonly call: string; readonly signal?: AbortSignal | undefined },
): Promise<StartNetwork> {
  const { config } = record;
  if (config.networkMode !== 'networks') return withoutNetworks(context, live, record, call);
  const links = config.links === undefined ? { hosts: [], env: [] } : resolveLinks(context, live, record, call);
  const attachment = await context.networks.attach(memberOf(record), config.networks, { call, signal });
  try {
    return onNetworks(config, attachment, links);
  } catch (error) {
    attachment.release();
    throw error;
  }
}

function onNetworks(config: ContainerConfig, attachment: Attachment, links: Links): StartNetwork {
  const { endpoints, leave } = attachment;
  const target = publishTarget(endpoints);
  const ports = target === undefined ? [] : config.ports.map(port => proxyOp(port, target));
  return {
    endpoints,
    ops: [
      ...ports,
      ['net-leave', ...leave],
      ...resolverOps(config, endpoints, attachment.resolverOps, { listen: true }),
      ...attachment.hostOps,
      ...attachment.insideOps,
    ],
    joins: [],
    files: networkFiles(config, endpoints, links.hosts),
    env: links.env,
    leave,
    release: () => attachment.release(),
  };
}

function withoutNetworks(context: ContainerContext, live: Live, record: ContainerRecord, call: string): StartNetwork {
  const { config } = record;
  const joined = joinedNetwork(context, live, record, call);
  return {
    endpoints: [],
    ops: config.networkMode === 'none' ? [['net-in-up', 'lo']] : [],
    joins: joined === undefined ? [] : [joined.join],
    files: networkFiles(config, []),
    ...(joined?.host === undefined ? {} : { filesFrom: live.directory(joined.host) }),
    env: [],
    leave: [],
    release: () => {},
  };
}

/** How networks know it. */
export function memberOf({ id, name, config }: Pick<ContainerRecord, 'id' | 'name' | 'config'>): {
  readonly container: string;
  readonly name: string;
  readonly hostname: string;
} {
  return { container: id, name, hostname: config.hostname };
}

/** The place that published ports lead to. */
export function publishTarget(endpoints: readonly Endpoint[]): Endpoint | undefined {
  return endpoints.find(({ wayOut }) => wayOut) ?? endpoints[0];
}

/** What its resolver knows, and whom it asks; nothing where no network has names. */
export function resolverOps(
  config: Pick<ContainerConfig, 'dns'>,
  endpoints: readonly Endpoint[],
  networks: readonly NetworkOp[],
  { listen }: { readonly listen: boolean },
): NetworkOp[] {
  if (networks.length === 0) return [];
  const wayOut = endpoints.some(endpoint => endpoint.wayOut);
  return [
    ...(listen ? ([['resolver-listen', resolverAddress]] as const) : []),
    ...networks,
    ...resolverServers(hostResolv(), { dns: config.dns, wayOut }),
  ];
}

/** Whether its network namespace is its own. */
export function hasOwnNetwork({ networkMode }: Pick<ContainerConfig, 'networkMode'>): boolean {
  return networkMode === 'networks' || networkMode === 'none';
}
