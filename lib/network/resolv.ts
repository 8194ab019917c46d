import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';

import { errorCode } from '../errors.js';

/** What is asked for in place of what the host has; each by itself. */
export interface ResolvOptions {
  readonly dns?: readonly string[] | undefined;
  readonly dnsSearch?: readonly string[] | undefined;
  readonly dnsOptions?: readonly string[] | undefined;
  /** The container has a resolver of its own, and knows of no other server. */
  readonly internal?: boolean | undefined;
}

/** Where the resolver of a container listens, as Docker's. */
export const resolverAddress = '127.0.0.11';

/** Where the servers behind systemd's stub are, which a container cannot reach at 127.0.0.53. */
const behindStub = '/run/systemd/resolve/resolv.conf';

/** Docker's choice where the host has no server that a container could reach. */
const publicServers: readonly string[] = ['8.8.8.8', '8.8.4.4'];

/**
 * The text of a container's `/etc/resolv.conf` by Docker's rules: the host's, without servers on loopback addresses,
 * since those are the container's own; public ones where none is left; `options` win over each of them.
 *
 * @param host - The text of the host's file.
 * @throws `TypeError` when a server is no address.
 */
export function buildResolv(host: string, options: ResolvOptions = {}): string {
  const lines = host.split('\n').map(line => line.trim().split(/\s+/));
  const values = (keyword: string): string[][] =>
    lines.filter(([first]) => first === keyword).map(([, ...rest]) => rest);
  const given = options.dns ?? [];
  for (const server of given)
    if (isIP(server) === 0) throw new TypeError(`dns: ${JSON.stringify(server)} is no IP address`);
  const servers = options.internal === true ? [resolverAddress] : serversOf(host, given);
  // The last search line counts: resolv.conf(5). "." alone asks for none.
  const search = options.dnsSearch?.length
    ? options.dnsSearch
    : (values('search').at(-1) ?? values('domain').at(-1) ?? []);
  const wanted = options.dnsOptions?.length ? options.dnsOptions : values('options').flat();
  // A name without a dot is one of ours, and to be asked for as it is.
  const ndots = options.internal === true && !wanted.some(option => option.startsWith('ndots:'));
  const settings = ndots ? [...wanted, 'ndots:0'] : wanted;
  return [
    ...servers.map(server => `nameserver ${server}`),
    ...(search.length > 0 && search.join(' ') !== '.' ? [`search ${search.join(' ')}`] : []),
    ...(settings.length > 0 ? [`options ${settings.join(' ')}`] : []),
    '',
  ].join('\n');
}

/** The host's servers that a container can reach, or those that were asked for. */
function serversOf(host: string, given: readonly string[]): readonly string[] {
  if (given.length > 0) return given;
  const reachable = nameservers(host).filter(server => !isLoopback(server));
  return reachable.length > 0 ? reachable : publicServers;
}

/** The servers that a file names. */
function nameservers(text: string): string[] {
  return [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map(match => match[1] ?? '');
}

/**
 * What the resolver of a container does with names that none of its networks knows: it asks these servers. The host's are asked
 * from the host, and reached there also on loopback; those of the user from the container, as if it asked them itself.
 *
 * @param options.wayOut - `false` on internal networks only: then the host asks nobody for them.
 */
export function resolverServers(
  host: string,
  options: { readonly dns?: readonly string[] | undefined; readonly wayOut: boolean },
): (readonly ['resolver-server', 'host' | 'inside', string])[] {
  const { dns = [], wayOut } = options;
  if (dns.length > 0) return dns.map(server => ['resolver-server', 'inside', server] as const);
  if (!wayOut) return [];
  const servers = nameservers(host).filter(server => isIP(server) !== 0);
  return (servers.length > 0 ? servers : publicServers).map(server => ['resolver-server', 'host', server] as const);
}

/** The host's own file, or the one behind systemd's stub where that is all it names. `''` when there is none. */
export function hostResolv(path = '/etc/resolv.conf'): string {
  const text = read(path);
  const servers = [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map(match => match[1]);
  return servers.length > 0 && servers.every(server => server === '127.0.0.53') ? read(behindStub) || text : text;
}

function isLoopback(server: string): boolean {
  return server.startsWith('127.') || server === '::1';
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return '';
    throw error;
  }
}
