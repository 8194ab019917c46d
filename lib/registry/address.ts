import { BlockList, isIP } from 'node:net';

import { ParseError } from '../errors.js';
import { isRepositoryPath } from '../oci/reference.js';

/** Where Docker Hub's registry lives, whatever people call it. */
const HUB = 'registry-1.docker.io';
const hubNames = new Set(['docker.io', 'index.docker.io', HUB]);

/** Whether it is Docker Hub, by any of its names. */
export function isHub(host: string): boolean {
  return hubNames.has(host);
}

/**
 * Where a registry's API may be rooted, the best first. A registry that may be insecure is asked by TLS first, whoever signed
 * its certificate, and by plain HTTP when it speaks none: as Docker does.
 *
 * @param insecure - Left out, that is for loopback only, as in Docker.
 * @throws `TypeError` when `host` is not `name`, `name:port` or an address.
 */
export function registryUrls(host: string, insecure?: boolean): readonly [URL, ...URL[]] {
  const plausible = /^[^\s/@?#\\]+$/.test(host) && URL.canParse(`https://${host}/`);
  if (!plausible) throw new TypeError(`Registry: expected host or host:port, got ${JSON.stringify(host)}`);
  const url = new URL(`https://${isHub(host) ? HUB : host}/`);
  return (insecure ?? isLoopback(url.hostname)) ? [url, new URL(`http://${host}/`)] : [url];
}

/** @throws {@link ParseError} when the repository cannot be one. */
export function checkRepository(repository: string, call: string): void {
  if (isRepositoryPath(repository)) return;
  const source = JSON.stringify(repository.slice(0, 300));
  throw new ParseError({ call, source, reason: 'is not a repository name' });
}

/** Whether traffic to it never leaves this machine. `hostname` as `URL` gives it. */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(hostname);
}

let privateNetworks: BlockList | undefined;

/** Made when it is first asked. */
function listPrivate(): BlockList {
  const list = new BlockList();
  for (const [network, bits] of [
    ['0.0.0.0', 8],
    ['10.0.0.0', 8],
    ['100.64.0.0', 10],
    ['127.0.0.0', 8],
    ['169.254.0.0', 16],
    ['172.16.0.0', 12],
    ['192.168.0.0', 16],
    ['198.18.0.0', 15],
  ] as const) {
    list.addSubnet(network, bits, 'ipv4');
  }
  for (const [network, bits] of [
    ['::', 127],
    ['fc00::', 7],
    ['fe80::', 10],
  ] as const) {
    list.addSubnet(network, bits, 'ipv6');
  }
  return list;
}

/** Whether an address is of this machine, its neighbourhood, or somebody's own network. */
export function isPrivateAddress(address: string): boolean {
  const family = isIP(address);
  privateNetworks ??= listPrivate();
  return family !== 0 && privateNetworks.check(address, family === 4 ? 'ipv4' : 'ipv6');
}

/** The addresses of a URL's host, itself where it is one; none where nobody knows it. */
export async function addressesOf({ hostname }: URL): Promise<string[]> {
  const bare = hostname.replace(/^\[|\]$/g, '');
  if (isIP(bare) !== 0) return [bare];
  try {
    const { lookup } = await import('node:dns/promises');
    return (await lookup(bare, { all: true })).map(({ address }) => address);
  } catch {
    // Whoever connects hears of it; behind a proxy it is not ours to know.
    return [];
  }
}
