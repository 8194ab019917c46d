import { readFileSync, realpathSync, mkdirSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

import { errorCode } from '../errors.js';
import { parseJson, type Json } from '../oci/json.js';
import { writeFileAtomic } from '../util/files.js';

import { isHub } from './address.js';

const MAX_CONFIG_BYTES = 4 * 1024 * 1024;
/** Under this key Docker keeps the log-in for its Hub. */
const HUB_KEY = 'https://index.docker.io/v1/';

/** What Docker calls a registry where it keeps credentials. */
export function serverKey(host: string): string {
  return isHub(host) ? HUB_KEY : host;
}

/** Docker's `config.json`, where it is if nobody says otherwise. */
export function defaultConfigPath(): string {
  return join(process.env['DOCKER_CONFIG'] || join(homedir(), '.docker'), 'config.json');
}

/** A configuration, `undefined` when there is none: whoever never logged in has no such file. */
export async function readConfig(path: string, call: string, signal?: AbortSignal): Promise<Json | undefined> {
  try {
    return parseConfig(await readFile(path, { signal }), path, call);
  } catch (error) {
    signal?.throwIfAborted();
    if (errorCode(error) !== 'ENOENT' && errorCode(error) !== 'ENOTDIR') throw error;
    return undefined;
  }
}

export function parseConfig(bytes: Uint8Array, source: string, call: string): Json {
  return parseJson(bytes, MAX_CONFIG_BYTES, { call, source });
}

/** The helper for one registry goes before the helper for all. */
export function helperFor(config: Json, key: string): string | undefined {
  const own = config.maybe('credHelpers', helpers => findServer(helpers, key)?.string());
  return own || config.maybe('credsStore', value => value.string()) || undefined;
}

/** The exact key, or one that is the same host: people and tools write `https://host/`, `host/v2/` and so on. */
export function findServer(entries: Json, key: string): Json | undefined {
  const all = entries.entries();
  return (all.find(([name]) => name === key) ?? all.find(([name]) => hostOf(name) === hostOf(key)))?.[1];
}

function hostOf(key: string): string {
  return key.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
}

/** One entry of `auths`, as Docker writes it. */
export type AuthEntry = Readonly<Record<string, string>>;

/**
 * Changes the entries of `auths` and nothing else of the file, which is written whole or not at all, for its owner's eyes
 * only. A link to it stays one.
 *
 * @param change - Is given the names of the entries; `undefined` takes an entry away.
 */
export function changeAuths(
  path: string,
  call: string,
  change: (names: readonly string[]) => Readonly<Record<string, AuthEntry | undefined>>,
): void {
  const { target, bytes, mode } = readExisting(path);
  const json = bytes === undefined ? undefined : parseConfig(bytes, path, call);
  const config = { ...(json?.value as Record<string, unknown> | undefined) };
  const auths = { ...(json?.maybe('auths', value => Object.fromEntries(value.entries())) ?? {}) };
  const entries: Record<string, unknown> = Object.fromEntries(
    Object.entries(auths).map(([name, entry]) => [name, entry.value]),
  );
  for (const [name, entry] of Object.entries(change(Object.keys(entries)))) {
    if (entry === undefined) delete entries[name];
    else entries[name] = entry;
  }
  const sorted = Object.fromEntries(Object.entries(entries).sort(([a], [b]) => (a < b ? -1 : 1)));
  mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
  writeFileAtomic(target, JSON.stringify({ ...config, auths: sorted }, null, '\t'), { mode });
}

function readExisting(path: string): { target: string; bytes: Buffer | undefined; mode: number } {
  try {
    const target = realpathSync(path);
    // Never more than it had, and nothing for others where it is new.
    return { target, bytes: readFileSync(target), mode: statSync(target).mode & 0o700 };
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    return { target: path, bytes: undefined, mode: 0o600 };
  }
}
