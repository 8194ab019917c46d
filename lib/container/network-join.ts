import { statSync } from 'node:fs';

import { InvalidStateError, NotFoundError } from '../errors.js';
import type { ContainerSpec } from '../runtime/spec.js';
import type { ContainerContext } from './context.js';
import type { Live } from './live.js';
import type { ContainerRecord } from './record.js';

/** The network of somebody else: of a container that runs, or one that a path leads to. */
export interface JoinedNetwork {
  readonly join: ContainerSpec['joins'][number];
  /** The container whose network it is: its `/etc/hosts` and `/etc/resolv.conf` are shared as well. */
  readonly host?: ContainerRecord;
}

/**
 * Finds the network namespace of a container with mode `container` or `ns`; `undefined` for other modes.
 *
 * @throws {@link NotFoundError} when there is no such container or file, {@link InvalidStateError} when it does not run.
 */
export function joinedNetwork(
  context: ContainerContext,
  live: Live,
  record: ContainerRecord,
  call: string,
): JoinedNetwork | undefined {
  const { networkMode, networkTarget = '' } = record.config;
  if (networkMode === 'ns') return { join: { kind: 'net', path: checkPath(call, networkTarget) } };
  if (networkMode !== 'container') return undefined;
  const host = findRecord(context, networkTarget);
  if (host === undefined) throw new NotFoundError({ call, kind: 'container', ref: networkTarget });
  const state = live.state(host.id);
  if (state.name !== 'running') {
    throw new InvalidStateError({
      call,
      kind: 'container',
      ref: networkTarget,
      state: state.name,
      expected: ['running'],
      remedy: 'It lends its network: start it first',
    });
  }
  return { join: { kind: 'net', path: `/proc/${state.started.pid}/ns/net` }, host };
}

/** By name, id, or the start of an id that only one has. */
export function findRecord({ records }: ContainerContext, ref: string): ContainerRecord | undefined {
  const id = records.resolve(ref) ?? records.ids().find(candidate => candidate === ref);
  if (id !== undefined) return records.get(id);
  if (!/^[0-9a-f]{4,63}$/.test(ref)) return undefined;
  const [match, ...more] = records.ids().filter(candidate => candidate.startsWith(ref));
  return match === undefined || more.length > 0 ? undefined : records.get(match);
}

function checkPath(call: string, path: string): string {
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) return path;
  throw new NotFoundError({ call, kind: 'network', ref: path, remedy: 'Name a file like /run/netns/blue' });
}
