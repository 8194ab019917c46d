import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

import { errorCode, ParseError } from '../errors.js';
import { parseJson, type Json } from '../oci/json.js';
import type { AbortOptions } from '../types.js';

import { isHub } from './address.js';

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

const MAX_CONFIG_BYTES = 4 * 1024 * 1024;
const CALL = 'dockerCredentials';
/** Under this key Docker keeps the log-in for its Hub. */
const HUB_KEY = 'https://index.docker.io/v1/';

/**
 * Uses what `docker login` left: `~/.docker/config.json` (or the one in `DOCKER_CONFIG`, or `DOCKER_AUTH_CONFIG` itself) and
 * the credential helpers that it names. The file is read each time it is needed.
 *
 * @param options.configPath - Another file.
 * @see {@link https://docs.docker.com/reference/cli/docker/login/#credential-stores | docker login, credential stores}
 */
export function dockerCredentials(options: { readonly configPath?: string } = {}): CredentialProvider {
  return async (host, { signal } = {}) => {
    const key = isHub(host) ? HUB_KEY : host;
    for (const config of await readConfigs(options.configPath, signal)) {
      const helper = helperFor(config, key);
      const { askHelper } = await import('./credential-helper.js');
      const stored = helper === undefined ? undefined : await askHelper(helper, key, signal);
      const credential = stored ?? inFile(config, key);
      if (credential !== undefined) return credential;
    }
    return undefined;
  };
}

async function readConfigs(configPath: string | undefined, signal: AbortSignal | undefined): Promise<Json[]> {
  const configs: Json[] = [];
  const given = process.env['DOCKER_AUTH_CONFIG'];
  if (configPath === undefined && given) configs.push(parse(Buffer.from(given), 'DOCKER_AUTH_CONFIG'));
  const path = configPath ?? join(process.env['DOCKER_CONFIG'] || join(homedir(), '.docker'), 'config.json');
  try {
    configs.push(parse(await readFile(path, { signal }), path));
  } catch (error) {
    signal?.throwIfAborted();
    if (errorCode(error) !== 'ENOENT' && errorCode(error) !== 'ENOTDIR') throw error;
    // Whoever never logged in has no such file.
  }
  return configs;
}

function parse(bytes: Uint8Array, source: string): Json {
  return parseJson(bytes, MAX_CONFIG_BYTES, { call: CALL, source });
}

/** The helper for one registry goes before the helper for all. */
function helperFor(config: Json, key: string): string | undefined {
  const own = config.maybe('credHelpers', helpers => find(helpers, key)?.string());
  return own || config.maybe('credsStore', value => value.string()) || undefined;
}

function inFile(config: Json, key: string): Credential | undefined {
  const entry = config.maybe('auths', auths => find(auths, key));
  if (entry === undefined || !entry.present) return undefined;
  const identityToken = entry.maybe('identitytoken', value => value.string());
  if (identityToken) return { type: 'token', identityToken };
  const username = entry.maybe('username', value => value.string());
  const password = entry.maybe('password', value => value.string());
  if (username && password) return { type: 'basic', username, password };
  const auth = entry.maybe('auth', value => value.string());
  return auth ? decode(auth, key) : undefined;
}

/** The exact key, or one that is the same host: people and tools write `https://host/`, `host/v2/` and so on. */
function find(entries: Json, key: string): Json | undefined {
  const all = entries.entries();
  return (all.find(([name]) => name === key) ?? all.find(([name]) => hostOf(name) === hostOf(key)))?.[1];
}

function hostOf(key: string): string {
  return key.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
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
