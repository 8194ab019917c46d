import { ConflictError, SyscallError, UnsupportedError } from '../errors.js';
import { type Fact, runJob } from '../host/job.js';
import { Plan } from '../host/plan.js';
import { parseBlock } from './block.js';
import { macOf, parseIp } from './cidr.js';
import { deviceAlias, type NetworkRecord } from './record.js';

interface Options {
  /** The user's call, for error messages. */
  readonly call: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Makes the bridge of a network, or finds it there: up, with the first of the candidate addresses whose subnet nothing
 * else on this host uses. One process of the helper, whatever there is to do.
 *
 * @param candidates - Gateway addresses with prefix length: `172.18.0.1/16`.
 * @returns The candidate that was taken.
 * @throws {@link ConflictError} when all are in use, saying by what.
 */
export async function raiseBridge(
  record: Pick<NetworkRecord, 'id' | 'name' | 'device' | 'mtu' | 'subnet6' | 'gateway6'>,
  candidates: readonly string[],
  options: Options,
): Promise<string> {
  const [first = ''] = candidates;
  const mac = macOf(parseIp(first.split('/')[0] ?? '') ?? 0);
  const plan = new Plan().op('net-bridge', record.device, mac, record.mtu ?? '', deviceAlias(record), ...candidates);
  if (record.subnet6 !== undefined && record.gateway6 !== undefined)
    plan.op('net-bridge-address', record.device, `${record.gateway6}/${parseBlock(record.subnet6)?.bits ?? 128}`);
  let overlap: Fact | undefined;
  try {
    const facts = await runJob('net', plan, {
      ...options,
      onFact: fact => (overlap = fact.fact === 'overlap' ? fact : overlap),
    });
    return String(facts.find(fact => fact.fact === 'bridge')?.['cidr']);
  } catch (error) {
    throw explain(error, record, options.call, overlap);
  }
}

/** Removes the bridge of a network, if it is there and ours. */
export async function removeBridge(
  record: Pick<NetworkRecord, 'id' | 'name' | 'device'>,
  options: Options,
): Promise<void> {
  try {
    await runJob('net', new Plan().op('net-delete', record.device, deviceAlias(record)), options);
  } catch (error) {
    throw explain(error, record, options.call, undefined);
  }
}

function explain(
  error: unknown,
  record: Pick<NetworkRecord, 'name' | 'device'>,
  call: string,
  overlap: Fact | undefined,
): unknown {
  if (!(error instanceof SyscallError)) return error;
  if (error.errno === 'EADDRINUSE' && overlap !== undefined) {
    const device = String(overlap['device']);
    return new ConflictError({
      call,
      kind: 'network',
      ref: record.name,
      reason: `its subnet (${String(overlap['wanted'])}) overlaps with ${String(overlap['held'])}${device === '' ? '' : ` on ${device}`}`,
      usedBy: device === '' ? [] : [device],
      remedy: 'Choose another subnet',
      cause: error,
    });
  }
  if (error.errno === 'EEXIST')
    return new ConflictError({
      call,
      kind: 'network',
      ref: record.name,
      reason: `there is a device ${record.device} which is not of this network`,
      usedBy: [record.device],
      remedy: `Remove it (ip link delete ${record.device}), or rename it`,
      cause: error,
    });
  if (error.errno === 'EPERM')
    return new UnsupportedError({
      call,
      feature: 'bridge',
      reason: 'making a bridge needs CAP_NET_ADMIN. Run as root',
      cause: error,
    });
  if (error.errno === 'EOPNOTSUPP')
    return new UnsupportedError({
      call,
      feature: 'bridge',
      reason: 'the kernel has no bridge. Load it (modprobe bridge)',
      cause: error,
    });
  return error;
}
