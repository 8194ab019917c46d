import { proxyOp } from '../network/ports.js';
import type { ContainerSpec, Op } from '../runtime/spec.js';
import type { ContainerContext } from './context.js';
import type { EndpointView } from './inspect.js';
import type { Live } from './live.js';
import { networkFiles } from './network-files.js';
import { joinedNetwork } from './network-join.js';
import type { ContainerConfig, ContainerRecord } from './record.js';

/** All that a container's start needs to know of its network. */
export interface StartNetwork {
  readonly endpoints: readonly (EndpointView & { readonly network: string })[];
  /** What the monitor and the first process do. */
  readonly ops: readonly Op[];
  readonly joins: ContainerSpec['joins'];
  /** Of /etc, by name. */
  readonly files: Readonly<Record<string, string>>;
  /** The directory whose files are shared instead of written. */
  readonly filesFrom?: string;
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
  const joined = joinedNetwork(context, live, record, call);
  const without = { endpoints: [], joins: [], release: (): void => {} };
  if (config.networkMode !== 'networks') {
    const ops: Op[] = config.networkMode === 'none' ? [['net-in-up', 'lo']] : [];
    return {
      ...without,
      ops,
      files: networkFiles(config, []),
      ...(joined === undefined ? {} : { joins: [joined.join] }),
      ...(joined?.host === undefined ? {} : { filesFrom: live.directory(joined.host) }),
    };
  }
  const attachment = await context.networks.attach(record.id, config.networks, { call, signal });
  const { endpoints } = attachment;
  const [first] = endpoints;
  const ports = first === undefined ? [] : config.ports.map(port => proxyOp(port, first.ip));
  return {
    endpoints,
    ops: [...ports, ...attachment.hostOps, ...attachment.insideOps],
    joins: [],
    files: networkFiles(config, endpoints),
    release: () => attachment.release(),
  };
}

/** Whether its network namespace is its own. */
export function hasOwnNetwork({ networkMode }: Pick<ContainerConfig, 'networkMode'>): boolean {
  return networkMode === 'networks' || networkMode === 'none';
}
