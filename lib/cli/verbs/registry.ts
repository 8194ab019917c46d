import { parseReference } from '../../oci/reference.js';
import { dockerCredentials } from '../../registry/credentials.js';
import { Registry } from '../../registry/registry.js';
import { RegistryServer, type RegistryServerOptions } from '../../registry/server/server.js';
import type { Invocation } from '../command.js';
import type { serveFlags } from '../commands/registry.js';
import { print, withEngine } from '../session.js';
import { UsageError } from '../usage-error.js';

/** `registry serve`. */
export async function serve({ globals, flags }: Invocation<typeof serveFlags>): Promise<number> {
  const { data, htpasswd, upstream } = flags;
  const [cert, key] = [flags['tls-cert'], flags['tls-key']];
  if ((cert === undefined) !== (key === undefined)) throw new UsageError('--tls-cert and --tls-key go together', 1);
  if (upstream !== undefined && data === undefined)
    throw new UsageError('--upstream needs --data to keep things in', 1);
  const common = {
    readOnly: flags['read-only'],
    anonymousPull: flags['anonymous-pull'],
    ...(htpasswd !== undefined && { htpasswd }),
    ...(cert !== undefined && key !== undefined && { tls: { cert, key } }),
    ...(upstream !== undefined && { upstream: { host: upstream, credentials: dockerCredentials() } }),
  };
  const address = parseAddress(flags.address ?? '127.0.0.1:5000');
  return withEngine(globals, async ({ engine, signal }) => {
    const options: RegistryServerOptions =
      data === undefined ? { ...common, storage: await engine.images.storage() } : { ...common, root: data };
    await using server = new RegistryServer(options);
    print(`Listening on ${await server.listen(address)}`);
    await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve(), { once: true }));
    return 0;
  });
}

function parseAddress(text: string): { hostname: string; port: number } {
  const match = /^(?:(.*):)?(\d{1,5})$/.exec(text);
  if (match === null || Number(match[2]) > 65_535) throw new UsageError(`invalid address ${JSON.stringify(text)}`, 1);
  const hostname = (match[1] ?? '').replace(/^\[|\]$/g, '');
  return { hostname: hostname === '' ? '0.0.0.0' : hostname, port: Number(match[2]) };
}

/** `registry catalog`. */
export async function catalog({ args: [host = ''] }: Invocation<Record<never, never>>): Promise<number> {
  await using registry = new Registry(host, { credentials: dockerCredentials() });
  for await (const name of registry.catalog()) print(name);
  return 0;
}

/** `registry tags`. */
export async function tags({ args: [name = ''] }: Invocation<Record<never, never>>): Promise<number> {
  const reference = parseReference(name, { call: 'registry.tags', defaultTag: false });
  await using registry = new Registry(reference.registryHost, { credentials: dockerCredentials() });
  for await (const tag of registry.tags(reference.path)) print(tag);
  return 0;
}
