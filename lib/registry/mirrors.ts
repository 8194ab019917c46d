import { readFile } from 'node:fs/promises';
import { BlockList, isIP } from 'node:net';

import { errorCode, ParseError } from '../errors.js';
import { parseJson } from '../oci/json.js';
import type { AbortOptions } from '../types.js';

import { addressesOf, isHub } from './address.js';

/** Which registries may be asked without proper TLS, and which are asked before others. */
export interface RegistrySettings {
  /**
   * `host`, `host:port`, or a network such as `10.0.0.0/8`: registries whose certificate may be anybody's, or that speak
   * plain HTTP. Those on loopback need not be listed.
   */
  readonly insecureRegistries?: readonly string[];
  /**
   * URLs of registries that are asked first: a list for Docker Hub's images, as in Docker, or lists by registry. What a
   * mirror does not have, or fails at, the next is asked for, and the registry itself at last.
   */
  readonly registryMirrors?: readonly string[] | Readonly<Record<string, readonly string[]>>;
}

/** A registry to ask, in place of another or itself. */
export interface PullEndpoint {
  readonly host: string;
  readonly insecure: boolean;
  /** Somebody else's word for what a tag stands for. */
  readonly mirror: boolean;
}

/** Where a registry's images are to be asked for, in this order. The last is the registry itself. */
export async function pullEndpoints(host: string, settings: RegistrySettings): Promise<PullEndpoint[]> {
  const mirrors = mirrorsOf(host, settings).map(async text => {
    const url = parseMirror(text);
    return {
      host: url.host,
      insecure: url.protocol === 'http:' || (await isInsecure(url.host, settings)),
      mirror: true,
    };
  });
  return [...(await Promise.all(mirrors)), { host, insecure: await isInsecure(host, settings), mirror: false }];
}

function mirrorsOf(host: string, { registryMirrors = [] }: RegistrySettings): readonly string[] {
  if (Array.isArray(registryMirrors)) return isHub(host) ? (registryMirrors as readonly string[]) : [];
  const byHost = registryMirrors as Readonly<Record<string, readonly string[]>>;
  const found = Object.entries(byHost).find(([name]) => name === host || (isHub(name) && isHub(host)));
  return found?.[1] ?? [];
}

function parseMirror(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const plain = url !== undefined && /^https?:$/.test(url.protocol) && url.pathname === '/' && !url.search && !url.hash;
  if (plain && url.username === '' && url.password === '') return url;
  throw new TypeError(
    `registryMirrors: expected a URL like https://mirror.example:5000, got ${JSON.stringify(text)}. Log in to it instead of putting credentials there`,
  );
}

/** Whether a registry is listed, by its name or by its address. */
export async function isInsecure(host: string, { insecureRegistries = [] }: RegistrySettings): Promise<boolean> {
  if (insecureRegistries.includes(host)) return true;
  const networks = insecureRegistries.filter(entry => entry.includes('/'));
  if (networks.length === 0 || !URL.canParse(`http://${host}/`)) return false;
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', bits = ''] = network.split('/');
    const family = isIP(address);
    if (family === 0 || !/^\d{1,3}$/.test(bits) || Number(bits) > (family === 4 ? 32 : 128)) {
      throw new TypeError(`insecureRegistries: expected a host or a network like 10.0.0.0/8, got ${network}`);
    }
    list.addSubnet(address, Number(bits), family === 4 ? 'ipv4' : 'ipv6');
  }
  const addresses = await addressesOf(new URL(`http://${host}/`));
  return addresses.some(address => list.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6'));
}

const CALL = 'dockerDaemonConfig';
const MAX_BYTES = 1024 * 1024;

/**
 * What Docker's daemon is told of registries, to be passed on to `Engine.open`: its `registry-mirrors` and
 * `insecure-registries`.
 *
 * @param path - Default: `/etc/docker/daemon.json`. That there is none is no failure.
 */
export async function dockerDaemonConfig(
  path = '/etc/docker/daemon.json',
  { signal }: AbortOptions = {},
): Promise<RegistrySettings> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path, { signal });
  } catch (error) {
    signal?.throwIfAborted();
    if (errorCode(error) === 'ENOENT') return {};
    throw new ParseError({ call: CALL, source: path, reason: `cannot be read (${errorCode(error)})`, cause: error });
  }
  const json = parseJson(bytes, MAX_BYTES, { call: CALL, source: path });
  const insecureRegistries = json.maybe('insecure-registries', value => value.strings());
  const registryMirrors = json.maybe('registry-mirrors', value => value.strings());
  return { ...(insecureRegistries && { insecureRegistries }), ...(registryMirrors && { registryMirrors }) };
}
