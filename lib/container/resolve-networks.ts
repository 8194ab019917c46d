import { isIP } from 'node:net';

import { checkJoin } from '../network/checks.js';
import { defaultNetwork } from '../network/record.js';
import type { Attachment, CreateContainerOptions } from './options.js';
import type { ContainerConfig, NetworkMode } from './record.js';

type Resolved = Pick<ContainerConfig, 'networkMode' | 'networks' | 'networkTarget' | 'links'>;

/** What makes no sense where the network is another container's, with the words that the user wrote. */
const ownNetworkOnly = ['ports', 'expose', 'publishAll', 'dns', 'dnsSearch', 'dnsOptions', 'extraHosts'] as const;

/**
 * Reads how a container is to be connected.
 *
 * @throws `TypeError` for what cannot be combined, or is malformed.
 */
export function resolveNetworks(call: string, options: CreateContainerOptions): Resolved {
  for (const server of options.dns ?? [])
    if (isIP(server) === 0) throw new TypeError(`${call}: dns: expected an IP address, got ${JSON.stringify(server)}`);
  const given = options.networks ?? [defaultNetwork];
  const networks = given.map(item => (typeof item === 'string' ? { network: item } : item));
  const special = networks.flatMap(({ network }) => modeOf(network) ?? [])[0];
  const links = options.links ?? [];
  if (special === undefined) return ofNetworks(call, networks, links);
  if (networks.length > 1)
    throw new TypeError(`${call}: networks: '${special.words}' cannot be combined with other networks`);
  refuse(call, `networks: ['${special.words}']`, options, networks[0], special.mode);
  return {
    networkMode: special.mode,
    networks: [],
    ...(special.target === undefined ? {} : { networkTarget: special.target }),
  };
}

function ofNetworks(call: string, given: readonly Attachment[], links: readonly string[]): Resolved {
  const networks = given.map(each => (each.network === 'default' ? { ...each, network: defaultNetwork } : each));
  for (const each of networks) checkJoin(call, each);
  const [twice] = networks.filter(({ network }, i) => networks.findIndex(other => other.network === network) !== i);
  if (twice !== undefined) throw new TypeError(`${call}: networks: ${twice.network} is named twice`);
  for (const link of links) checkLink(call, link);
  if (networks.length === 0) return { networkMode: 'none', networks };
  return { networkMode: 'networks', networks, ...(links.length === 0 ? {} : { links }) };
}

interface Special {
  readonly mode: NetworkMode;
  readonly target?: string;
  readonly words: string;
}

function modeOf(words: string): Special | undefined {
  if (words === 'none' || words === 'host') return { mode: words, words };
  const [, kind, target] = /^(container|ns):(.+)$/s.exec(words) ?? [];
  if (target === undefined) return undefined;
  return { mode: kind as 'container' | 'ns', target, words };
}

function refuse(
  call: string,
  words: string,
  options: CreateContainerOptions,
  attachment: Attachment | undefined,
  mode: NetworkMode,
): void {
  const given = (value: unknown): boolean =>
    value !== undefined &&
    value !== false &&
    (typeof value !== 'object' || value === null || Object.keys(value).length > 0);
  const inVain: readonly (keyof CreateContainerOptions)[] =
    mode === 'container' ? [...ownNetworkOnly, 'links', 'hostname'] : ['ports', 'links'];
  const extra = Object.keys(attachment ?? {}).filter(key => key !== 'network');
  const [first] = [...inVain.filter(option => given(options[option])), ...extra];
  if (first !== undefined)
    throw new TypeError(`${call}: ${first} and ${words} exclude each other. Leave one of them out`);
}

function checkLink(call: string, link: string): void {
  if (!/^[^:]+(:[a-zA-Z0-9_.-]+)?$/.test(link))
    throw new TypeError(`${call}: links: expected container or container:alias, got ${JSON.stringify(link)}`);
}
