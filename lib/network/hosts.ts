import { isIP } from 'node:net';

/** What `/etc/hosts` of a container is made of. */
export interface HostsOptions {
  readonly hostname: string;
  /** The container's addresses; none on network `none`. */
  readonly addresses: readonly string[];
  /** Name to address, as `--add-host`. */
  readonly extraHosts?: Readonly<Record<string, string | readonly string[]>>;
  /** Other containers, linked: address, and names. */
  readonly links?: readonly (readonly [address: string, ...names: string[]])[];
  /** What the address `host-gateway` stands for: the bridge's. */
  readonly hostGateway?: string | undefined;
}

/** What every container's file begins with, in Docker's order. */
const common = [
  ['127.0.0.1', 'localhost'],
  ['::1', 'localhost ip6-localhost ip6-loopback'],
  ['fe00::', 'ip6-localnet'],
  ['ff00::', 'ip6-mcastprefix'],
  ['ff02::1', 'ip6-allnodes'],
  ['ff02::2', 'ip6-allrouters'],
] as const;

/**
 * The text of a container's `/etc/hosts`, as Docker writes it. A hostname with dots is also known by its first part.
 *
 * @throws `TypeError` when an extra host has no name or no address.
 */
export function buildHosts(options: HostsOptions): string {
  const { hostname, addresses, extraHosts = {}, hostGateway } = options;
  const short = hostname.split('.')[0] ?? hostname;
  const names = short === hostname ? hostname : `${hostname} ${short}`;
  const extra = Object.entries(extraHosts).flatMap(([name, wanted]) =>
    [wanted].flat().map(address => [checkAddress(name, address, hostGateway), name]),
  );
  const linked = (options.links ?? []).map(([address, ...all]) => [address, all.join(' ')]);
  const own = addresses.map(address => [address, names]);
  return [...common, ...extra, ...linked, ...own].map(([address, name]) => `${address}\t${name}\n`).join('');
}

/** The text of a container's `/etc/hostname`. */
export function buildHostname(hostname: string): string {
  return `${hostname}\n`;
}

function checkAddress(name: string, address: string, hostGateway: string | undefined): string {
  if (name === '' || /\s/.test(name)) throw new TypeError(`extraHosts: ${JSON.stringify(name)} is no host name`);
  const resolved = address === 'host-gateway' ? hostGateway : address.replace(/^\[(.*)\]$/, '$1');
  if (resolved === undefined)
    throw new TypeError(`extraHosts: ${name}: there is no host-gateway without a bridge network`);
  if (isIP(resolved) === 0) throw new TypeError(`extraHosts: ${name}: ${JSON.stringify(address)} is no IP address`);
  return resolved;
}
