import { InvalidStateError, NotFoundError } from '../errors.js';
import type { Endpoint } from '../network/attach.js';
import { defaultNetwork } from '../network/record.js';
import type { ContainerContext } from './context.js';
import type { Live } from './live.js';
import type { HostLine } from './network-files.js';
import { findRecord } from './network-join.js';
import type { ContainerRecord } from './record.js';
import { readNetwork } from './network-state.js';

/** What links give a container: lines for `/etc/hosts`, and variables. */
export interface Links {
  readonly hosts: readonly HostLine[];
  readonly env: readonly string[];
}

/**
 * Docker's links of the default network: the other container is known by its alias, its id and its name, and variables tell
 * its address, its ports and its own variables.
 *
 * @throws {@link NotFoundError} when there is no such container, {@link InvalidStateError} when it does not run.
 */
export function resolveLinks(context: ContainerContext, live: Live, record: ContainerRecord, call: string): Links {
  const found = (record.config.links ?? []).map(text => {
    const [ref = '', alias] = text.split(':');
    const target = findRecord(context, ref);
    if (target === undefined) throw new NotFoundError({ call, kind: 'container', ref });
    const state = live.state(target.id);
    const endpoint = readNetwork(live.paths(target.id).runDir).endpoints.find(
      ({ networkName }) => networkName === defaultNetwork,
    );
    if (state.name !== 'running' || endpoint === undefined) {
      throw new InvalidStateError({
        call,
        kind: 'container',
        ref,
        state: state.name === 'running' ? `running, but not on network ${defaultNetwork}` : state.name,
        expected: [`running on network ${defaultNetwork}`],
        remedy: 'Start it first; or put both on a network of their own, where names need no links',
      });
    }
    return { target, endpoint, alias: alias ?? target.name };
  });
  return {
    hosts: found.map(({ target, endpoint, alias }) => [
      endpoint.ip,
      ...new Set([alias, target.config.hostname, target.name]),
    ]) as unknown as HostLine[],
    env: found.flatMap(({ target, endpoint, alias }) => variables(record, target, endpoint, alias)),
  };
}

/** As Docker's `links.Link.ToEnv`. */
function variables(
  record: ContainerRecord,
  target: ContainerRecord,
  { ip }: Pick<Endpoint, 'ip'>,
  alias: string,
): string[] {
  const prefix = alias.toUpperCase().replaceAll('-', '_');
  const ports = (target.config.exposed ?? []).map(text => text.split('/') as [port: string, protocol: string]);
  const [first] = [...ports].sort(([a, x], [b, y]) => Number(a) - Number(b) || (x < y ? -1 : 1));
  const all = ports.flatMap(([port, protocol]) => {
    const name = `${prefix}_PORT_${port}_${protocol.toUpperCase()}`;
    return [
      `${name}=${protocol}://${ip}:${port}`,
      `${name}_ADDR=${ip}`,
      `${name}_PORT=${port}`,
      `${name}_PROTO=${protocol}`,
    ];
  });
  const inherited = target.config.env
    .filter(entry => !/^(HOME|PATH)=/.test(entry))
    .map(entry => `${prefix}_ENV_${entry}`);
  return [
    ...(first === undefined ? [] : [`${prefix}_PORT=${first[1]}://${ip}:${first[0]}`]),
    ...all,
    `${prefix}_NAME=/${record.name}/${alias}`,
    ...inherited,
  ];
}
