import { buildHostname, buildHosts } from '../network/hosts.js';
import { buildResolv, hostResolv } from '../network/resolv.js';
import type { EndpointView } from './inspect.js';
import type { ContainerConfig } from './record.js';

/** The files under /etc that say where a container is on the network, by name. */
export function networkFiles(config: ContainerConfig, endpoints: readonly EndpointView[]): Record<string, string> {
  const { hostname, extraHosts, dns, dnsSearch, dnsOptions } = config;
  const hostGateway = endpoints.find(({ gateway }) => gateway !== undefined)?.gateway;
  return {
    hosts: buildHosts({ hostname, addresses: endpoints.map(({ ip }) => ip), extraHosts, hostGateway }),
    hostname: buildHostname(hostname),
    'resolv.conf': buildResolv(hostResolv(), { dns, dnsSearch, dnsOptions }),
  };
}
