import { homedir } from 'node:os';
import { join } from 'node:path';

import { ParseError } from '../errors.js';
import type { Json } from '../oci/json.js';
import type { AbortOptions } from '../types.js';

import type * as DockerConfig from './docker-config.js';

/** What a registry is shown. */
export type Credential =
  | {
      readonly type: 'basic';
      /** Without a colon. */
      readonly username: string;
      /** Or an access token, where the registry takes one in its place. */
      readonly password: string;
    }
  | {
      readonly type: 'token';
      /**
       * What `docker login` keeps where a registry hands out identity tokens: exchanged for an access token, never sent
       * along.
       */
      readonly identityToken: string;
    };

/** Asked once per registry, and only when the registry wants to know who we are. `undefined` means anonymous. */
export type CredentialProvider = (
  host: string,
  options: AbortOptions,
) => Promise<Credential | undefined> | Credential | undefined;

const CALL = 'dockerCredentials';

/**
 * Uses what `docker login` left: `~/.docker/config.json` (or the one in `DOCKER_CONFIG`, or `DOCKER_AUTH_CONFIG` itself) and
 * the credential helpers that it names; and then what `podman login` left in its `auth.json`. The files are read each time
 * they are needed.
 *
 * @param options.configPath - Another file, and no other.
 * @see {@link https://docs.docker.com/reference/cli/docker/login/#credential-stores | docker login, credential stores}
 */
export function dockerCredentials(options: { readonly configPath?: string } = {}): CredentialProvider {
  return async (host, { signal } = {}) => {
    const docker = await import('./docker-config.js');
    const key = docker.serverKey(host);
    for (const config of await readConfigs(docker, options.configPath, signal)) {
      const helper = docker.helperFor(config, key);
      const { askHelper } = await import('./credential-helper.js');
      const stored = helper === undefined ? undefined : await askHelper(helper, key, signal);
      const credential = stored ?? inFile(docker, config, key);
      if (credential !== undefined) return credential;
    }
    return undefined;
  };
}

async function readConfigs(
  { defaultConfigPath, parseConfig, readConfig }: typeof DockerConfig,
  configPath: string | undefined,
  signal: AbortSignal | undefined,
): Promise<Json[]> {
  const given = process.env['DOCKER_AUTH_CONFIG'];
  const inline = configPath === undefined && given ? [parseConfig(Buffer.from(given), 'DOCKER_AUTH_CONFIG', CALL)] : [];
  const paths = configPath === undefined ? [defaultConfigPath(), ...podmanPaths()] : [configPath];
  const read = await Promise.all(paths.map(path => readConfig(path, CALL, signal)));
  return [...inline, ...read.filter(config => config !== undefined)];
}

/** In the order in which podman looks; it reads Docker's own last, which is Docker's first. */
function podmanPaths(): string[] {
  const given = process.env['REGISTRY_AUTH_FILE'];
  if (given) return [given];
  const runtime = process.env['XDG_RUNTIME_DIR'] || (process.getuid?.() === 0 ? '/run' : undefined);
  const own = process.env['XDG_CONFIG_HOME'] || join(homedir(), '.config');
  const uid = process.getuid?.() ?? 0;
  return [
    ...(runtime === undefined ? [] : [join(runtime, 'containers/auth.json')]),
    join('/run/containers', String(uid), 'auth.json'),
    join(own, 'containers/auth.json'),
  ];
}

function inFile({ findServer }: typeof DockerConfig, config: Json, key: string): Credential | undefined {
  const entry = config.maybe('auths', auths => findServer(auths, key));
  if (entry === undefined || !entry.present) return undefined;
  const identityToken = entry.maybe('identitytoken', value => value.string());
  if (identityToken) return { type: 'token', identityToken };
  const username = entry.maybe('username', value => value.string());
  const password = entry.maybe('password', value => value.string());
  if (username && password) return { type: 'basic', username, password };
  const auth = entry.maybe('auth', value => value.string());
  return auth ? decode(auth, key) : undefined;
}

function decode(auth: string, key: string): Credential {
  // Docker pads with NULs.
  const text = Buffer.from(auth, 'base64').toString('utf8').replace(/\0+$/, '');
  const colon = text.indexOf(':');
  if (colon < 1) {
    throw new ParseError({
      call: CALL,
      source: `auths[${JSON.stringify(key)}].auth`,
      reason: 'is not the base64 of user:password',
    });
  }
  return { type: 'basic', username: text.slice(0, colon), password: text.slice(colon + 1) };
}
