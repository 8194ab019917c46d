import { createHash } from 'node:crypto';

import type { PortMapping } from '../network/ports.js';
import type { ContainerInfo } from './inspect.js';
import type { Attachment } from './options.js';
import type { ContainerConfig, ContainerRecord } from './record.js';

/** What a container has of a network while it runs. */
export interface DockerEndpoint {
  readonly network: string;
  readonly networkName: string;
  readonly ip: string;
  readonly prefixLength?: number;
  readonly mac: string;
  readonly gateway?: string;
}

interface Known {
  readonly endpoints: readonly DockerEndpoint[];
  /** Ids of the networks that it has been on. */
  readonly networks: ReadonlyMap<string, string>;
}

/** A container's networks in Docker's words. */
export function dockerNetworkSettings(
  record: ContainerRecord,
  info: ContainerInfo,
  known: Known,
): Record<string, unknown> {
  const { endpoints } = known;
  const isUp = info.pid !== undefined;
  // Docker's older fields tell of the default network alone.
  const first = endpoints.find(({ networkName }) => networkName === 'bridge');
  const own = record.config.networkMode !== 'container';
  return {
    Bridge: '',
    SandboxID: isUp && own ? idOf('sandbox', info.id) : '',
    // There is no file that pins it; this leads there for as long as it is.
    SandboxKey: isUp && own ? `/proc/${info.pid}/ns/net` : '',
    Ports: isUp ? ports(record.config, info.ports) : {},
    HairpinMode: false,
    LinkLocalIPv6Address: '',
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID: first === undefined ? '' : idOf(first.network, info.id),
    Gateway: first?.gateway ?? '',
    GlobalIPv6Address: '',
    GlobalIPv6PrefixLen: 0,
    IPAddress: first?.ip ?? '',
    IPPrefixLen: first?.prefixLength ?? 0,
    IPv6Gateway: '',
    MacAddress: first?.mac ?? '',
    Networks: networks(record, info, known),
  };
}

function networks(
  record: ContainerRecord,
  info: ContainerInfo,
  { endpoints, networks: ids }: Known,
): Record<string, unknown> {
  const { config } = record;
  if (config.networkMode === 'container' || config.networkMode === 'ns') return {};
  if (config.networkMode !== 'networks') return { [config.networkMode]: endpoint(record, info, undefined, undefined) };
  const rest = endpoints.filter(
    ({ network, networkName }) => !config.networks.some(({ network: ref }) => [network, networkName].includes(ref)),
  );
  return Object.fromEntries([
    ...config.networks.map(attachment => {
      const found = endpoints.find(({ network, networkName }) => [network, networkName].includes(attachment.network));
      const id = found?.network ?? ids.get(attachment.network) ?? '';
      return [
        found?.networkName ?? attachment.network,
        { ...endpoint(record, info, attachment, found), NetworkID: id },
      ] as const;
    }),
    // Joined since it was created.
    ...rest.map(found => [found.networkName, endpoint(record, info, undefined, found)] as const),
  ]);
}

function endpoint(
  { id, name }: ContainerRecord,
  info: ContainerInfo,
  attachment: Attachment | undefined,
  found: DockerEndpoint | undefined,
): Record<string, unknown> {
  const ref = found?.networkName ?? attachment?.network;
  const isUsers = ref !== undefined && ref !== 'bridge';
  const aliases = attachment?.aliases ?? [];
  const isUp = info.pid !== undefined;
  return {
    IPAMConfig: attachment?.ip === undefined ? (isUsers ? {} : null) : { IPv4Address: attachment.ip },
    Links: attachment?.links === undefined ? null : attachment.links,
    Aliases: aliases.length === 0 ? null : aliases,
    MacAddress: found?.mac ?? attachment?.mac ?? '',
    DriverOpts: null,
    GwPriority: attachment?.gatewayPriority ?? 0,
    NetworkID: found?.network ?? '',
    EndpointID: found === undefined ? '' : idOf(found.network, id),
    Gateway: found?.gateway ?? '',
    IPAddress: found?.ip ?? '',
    IPPrefixLen: found?.prefixLength ?? 0,
    IPv6Gateway: '',
    GlobalIPv6Address: '',
    GlobalIPv6PrefixLen: 0,
    DNSNames: isUsers && isUp ? [...new Set([name, ...aliases, id.slice(0, 12)])] : null,
  };
}

/** `{"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "90/tcp": null}`: what is, with what is only offered. */
function ports(config: ContainerConfig, bound: readonly Required<PortMapping>[]): Record<string, object[] | null> {
  if (config.networkMode !== 'networks') return {};
  const found = new Map<string, object[] | null>((config.exposed ?? []).map(name => [name, null]));
  for (const { container, host, hostIp, protocol } of bound) {
    const key = `${container}/${protocol}`;
    const addresses = hostIp === '' ? ['0.0.0.0', '::'] : hostIp.split(',');
    const entries = addresses.map(HostIp => ({ HostIp, HostPort: String(host) }));
    found.set(key, [...(found.get(key) ?? []), ...entries]);
  }
  return Object.fromEntries(found);
}

/** Docker gives everything a number of its own; what is told apart by two others here has one made of them. */
function idOf(of: string, container: string): string {
  return createHash('sha256').update(`${of}/${container}`).digest('hex');
}
