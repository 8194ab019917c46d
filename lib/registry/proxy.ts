import { BlockList, isIP } from 'node:net';

import { isLoopback } from './address.js';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy that the environment names for a URL, by the rules of Go's `net/http`, and so of Docker: `HTTPS_PROXY` and
 * `HTTP_PROXY` by the scheme, in either case; never for this machine, nor for what `NO_PROXY` lists.
 *
 * @returns `undefined` when there is to be none.
 * @throws `TypeError` when what the environment names is no URL.
 * @see {@link https://pkg.go.dev/golang.org/x/net@v0.30.0/http/httpproxy | httpproxy}
 */
export function proxyFor(url: URL, environment: Environment = process.env): URL | undefined {
  if (isLoopback(url.hostname) || isExcepted(url, variable(environment, 'NO_PROXY'))) return undefined;
  const name = url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY';
  const text = variable(environment, name);
  if (text === '') return undefined;
  const full = text.includes('://') ? text : `http://${text}`;
  if (!URL.canParse(full)) throw new TypeError(`${name}: expected the URL of a proxy, got ${JSON.stringify(text)}`);
  return new URL(full);
}

function variable(environment: Environment, name: string): string {
  return environment[name] || environment[name.toLowerCase()] || '';
}

/** undici has its own matcher, which knows neither networks nor ports of addresses. */
function isExcepted(url: URL, list: string): boolean {
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return list
    .split(/[\s,]+/)
    .filter(entry => entry !== '')
    .some(entry => entry === '*' || matches(entry.toLowerCase(), host, port));
}

function matches(entry: string, host: string, port: string): boolean {
  if (entry.includes('/')) return isInside(host, entry);
  const [, name = '', wanted] = /^\[?(.*?)\]?(?::(\d+))?$/.exec(isIP(entry) === 6 ? `[${entry}]` : entry) ?? [];
  if (wanted !== undefined && wanted !== port) return false;
  const bare = name.replace(/^\*?\./, '');
  // `example.com` is also for its subdomains, `.example.com` for these only.
  return host.endsWith(`.${bare}`) || (host === bare && bare === name);
}

function isInside(host: string, network: string): boolean {
  const family = isIP(host);
  const [address = '', bits = ''] = network.split('/');
  if (family === 0 || isIP(address) !== family || !/^\d{1,3}$/.test(bits)) return false;
  if (Number(bits) > (family === 4 ? 32 : 128)) return false;
  const type = family === 4 ? 'ipv4' : 'ipv6';
  const list = new BlockList();
  list.addSubnet(address, Number(bits), type);
  return list.check(host, type);
}
