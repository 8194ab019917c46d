import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { errorCode } from '../errors.js';
import type { Endpoint } from '../network/attach.js';
import { buildHostname, buildHosts } from '../network/hosts.js';
import { buildResolv, hostResolv } from '../network/resolv.js';
import type { ContainerConfig } from './record.js';

/** A container's place, as far as its files tell of it. */
type Place = Pick<Endpoint, 'ip' | 'ip6' | 'wayOut' | 'host' | 'dnsNames'>;

/** An address and names, as a line of `/etc/hosts`. */
export type HostLine = readonly [address: string, ...names: string[]];

/** The files under /etc that say where a container is on the network, by name. */
export function networkFiles(
  config: ContainerConfig,
  endpoints: readonly Place[],
  links: readonly HostLine[] = [],
): Record<string, string> {
  const { hostname, extraHosts, dns, dnsSearch, dnsOptions } = config;
  const hostGateway = (endpoints.find(({ wayOut }) => wayOut) ?? endpoints[0])?.host;
  const addresses = endpoints.flatMap(addressesOf);
  return {
    hosts: buildHosts({ hostname, addresses, extraHosts, links, hostGateway }),
    hostname: buildHostname(hostname),
    'resolv.conf': buildResolv(hostResolv(), { dns, dnsSearch, dnsOptions, internal: endpoints.some(hasResolver) }),
  };
}

/** Whether names are to be found there. */
export function hasResolver({ dnsNames }: Pick<Endpoint, 'dnsNames'>): boolean {
  return dnsNames.length > 0;
}

/**
 * Tells a running container of places that came and went. The files are changed in place: they are mounted, so a new file in
 * their stead would not be seen. What else is in there stays.
 */
export function changeHosts(
  directory: string,
  config: Pick<ContainerConfig, 'hostname'>,
  change: { readonly came?: Place; readonly went?: Place },
): void {
  const path = join(directory, 'hosts');
  const text = readIfThere(path);
  if (text === undefined) return;
  const { came, went } = change;
  const gone = new Set(went === undefined ? [] : lines(config.hostname, went));
  const kept = text.split('\n').filter(line => !gone.has(line));
  const added = came === undefined ? [] : lines(config.hostname, came);
  writeFileSync(path, [...kept.slice(0, -1), ...added, kept.at(-1) ?? ''].join('\n'));
}

/** The same for its resolver: it has one now, or none any more. */
export function changeResolv(directory: string, config: ContainerConfig, internal: boolean): void {
  const { dns, dnsSearch, dnsOptions } = config;
  const path = join(directory, 'resolv.conf');
  const before = buildResolv(hostResolv(), { dns, dnsSearch, dnsOptions, internal: !internal });
  // Whoever has changed it meant it.
  if (readIfThere(path) === before)
    writeFileSync(path, buildResolv(hostResolv(), { dns, dnsSearch, dnsOptions, internal }));
}

function lines(hostname: string, place: Place): string[] {
  return buildHosts({ hostname, addresses: addressesOf(place) })
    .split('\n')
    .slice(6, -1);
}

function addressesOf({ ip, ip6 }: Place): string[] {
  return ip6 === undefined ? [ip] : [ip, ip6];
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
