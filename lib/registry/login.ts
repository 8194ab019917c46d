import type { AbortOptions } from '../types.js';

import type { Credential } from './credentials.js';
import type { AuthEntry } from './docker-config.js';
import type { RegistryOptions } from './options.js';
import { Registry } from './registry.js';

/** Who logs in, and how. */
export interface LoginOptions extends AbortOptions {
  /** Without a colon. */
  readonly username: string;
  /** Or an access token, where the registry takes one in its place. */
  readonly password: string;
  /** Where it is kept. Default: Docker's `config.json`. */
  readonly configPath?: string;
  /** How to talk to the registry. */
  readonly registry?: Omit<RegistryOptions, 'credentials'>;
}

/** Where a log-in is kept. */
export interface Login {
  /** What it is found by: the host, or Docker's long name of its Hub. */
  readonly server: string;
  /** The file, with the password readable by its owner; `undefined` when a credential helper keeps it. */
  readonly configPath: string | undefined;
  /** The registry gave an identity token, which was kept instead of the password. */
  readonly identityToken: boolean;
}

const LOGIN = 'login';

/**
 * Logs in to a registry as `docker login` does: asks it whether it lets us in, and only then keeps the credential, with the
 * helper that `config.json` names for this registry, or for all, or else in the file itself. `docker`, `podman` and
 * `skopeo` find it there.
 *
 * @param host - `ghcr.io`, `127.0.0.1:5000`; `docker.io` for Docker Hub.
 * @throws {@link RegistryError} with code `CTR_UNAUTHORIZED` when it does not; nothing was kept or changed.
 */
export async function login(host: string, options: LoginOptions): Promise<Login> {
  const { username, password, signal } = options;
  if (username === '' || username.includes(':')) {
    throw new TypeError(`${LOGIN}: expected a username without a colon, got ${JSON.stringify(username)}`);
  }
  const offered: Credential = { type: 'basic', username, password };
  await using registry = new Registry(host, { ...options.registry, credentials: () => offered, offline: true });
  const { identityToken } = await registry.check({ call: LOGIN, ...(signal && { signal }) });
  const credential: Credential = identityToken === undefined ? offered : { type: 'token', identityToken };

  const { changeAuths, defaultConfigPath, helperFor, readConfig, serverKey } = await import('./docker-config.js');
  const { configPath = defaultConfigPath() } = options;
  const server = serverKey(host);
  const config = await readConfig(configPath, LOGIN, signal);
  const helper = config === undefined ? undefined : helperFor(config, server);
  if (helper !== undefined) {
    const { storeInHelper } = await import('./credential-helper.js');
    await storeInHelper(helper, server, credential, signal);
  }
  changeAuths(configPath, LOGIN, () => ({ [server]: helper === undefined ? entryOf(credential, username) : {} }));
  return {
    server,
    configPath: helper === undefined ? configPath : undefined,
    identityToken: identityToken !== undefined,
  };
}

function entryOf(credential: Credential, username: string): AuthEntry {
  const password = credential.type === 'basic' ? credential.password : '';
  const auth = Buffer.from(`${username}:${password}`).toString('base64');
  return credential.type === 'token' ? { auth, identitytoken: credential.identityToken } : { auth };
}

/** Which log-in is to be forgotten. */
export interface LogoutOptions extends AbortOptions {
  /** Where it is kept. Default: Docker's `config.json`. */
  readonly configPath?: string;
}

/**
 * Forgets a log-in, as `docker logout` does.
 *
 * @returns `false` when there was none.
 */
export async function logout(host: string, options: LogoutOptions = {}): Promise<boolean> {
  const call = 'logout';
  const docker = await import('./docker-config.js');
  const { changeAuths, findServer, helperFor, readConfig, serverKey } = docker;
  const { signal, configPath = docker.defaultConfigPath() } = options;
  const server = serverKey(host);
  const config = await readConfig(configPath, call, signal);
  if (config === undefined) return false;
  const helper = helperFor(config, server);
  const known = config.maybe('auths', auths => findServer(auths, server)) !== undefined;
  if (helper !== undefined) {
    const { eraseFromHelper } = await import('./credential-helper.js');
    await eraseFromHelper(helper, server, signal);
  }
  const bare = (name: string): string => name.replace(/^https?:\/\//, '').replace(/\/(?:v[12]\/?)?$/, '');
  if (known) {
    changeAuths(configPath, call, names =>
      Object.fromEntries(names.filter(name => bare(name) === bare(server)).map(name => [name, undefined])),
    );
  }
  return known || helper !== undefined;
}
