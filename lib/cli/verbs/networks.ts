import { errorCode } from '../../errors.js';
import type { NetworkInfo } from '../../network/network.js';
import type { Invocation } from '../command.js';
import type { createNetworkFlags, listFlags, removeNamedFlags } from '../commands/network.js';
import type { Values } from '../flags.js';
import { allOf, hasLabel, matchesName, type Test } from '../filters.js';
import { printListing, type Row } from '../format.js';
import { toPair } from '../pairs.js';
import { eachOf, print, withEngine } from '../session.js';
import { UsageError } from '../usage-error.js';
import { formatTime } from './ps.js';

const MTU = 'com.docker.network.driver.mtu';

const headings = {
  CreatedAt: 'CREATED AT',
  Driver: 'DRIVER',
  ID: 'NETWORK ID',
  IPv4: 'IPV4',
  IPv6: 'IPV6',
  Internal: 'INTERNAL',
  Labels: 'LABELS',
  Name: 'NAME',
  Scope: 'SCOPE',
};

/** `network create`. */
export async function createNetwork({
  globals,
  flags,
  args: [name = ''],
}: Invocation<typeof createNetworkFlags>): Promise<number> {
  const { driver = 'bridge', subnet, gateway, 'ip-range': range, internal } = flags;
  if (driver !== 'bridge')
    throw new UsageError(`network driver ${JSON.stringify(driver)} is not supported: it is bridge`, 1);
  const mtu = mtuOf(flags);
  return withEngine(globals, async ({ engine, signal }) => {
    const network = await engine.networks.create({
      name,
      internal,
      labels: Object.fromEntries(flags.label.map(toPair)),
      ...(subnet === undefined ? {} : { subnet }),
      ...(gateway === undefined ? {} : { gateway }),
      ...(range === undefined ? {} : { range }),
      ...(mtu === undefined ? {} : { mtu }),
      lifetime: 'detached',
      signal,
    });
    print(network.id);
    return 0;
  });
}

function mtuOf({ opt }: Values<typeof createNetworkFlags>): number | undefined {
  const unknown = opt.find(([key]) => key !== MTU);
  if (unknown !== undefined)
    throw new UsageError(`network option ${JSON.stringify(unknown[0])} is not supported: it is ${MTU}`, 1);
  const value = opt.at(-1)?.[1];
  return value === undefined ? undefined : Number(value);
}

/** `network ls`. */
export async function listNetworks({ globals, flags }: Invocation<typeof listFlags>): Promise<number> {
  const matches = allOf(flags.filter, tests);
  return withEngine(globals, async ({ engine, signal }) => {
    const networks = await engine.networks.list({}, { signal });
    const infos = (await Promise.all(networks.map(network => network.inspect({ signal })))).filter(matches);
    const rows = infos.map(info => toRow(info, flags['no-trunc']));
    printListing({ rows, headings, columns: ['ID', 'Name', 'Driver', 'Scope'], key: 'ID' }, flags);
    return 0;
  });
}

const tests: Readonly<Record<string, Test<NetworkInfo>>> = {
  driver: ({ driver }, value) => driver === value,
  id: ({ id }, value) => id.startsWith(value),
  label: ({ labels }, value) => hasLabel(labels, value),
  name: ({ name }, value) => matchesName(name, value),
};

function toRow({ id, name, driver, internal, labels, createdAt }: NetworkInfo, whole: boolean): Row {
  return {
    CreatedAt: formatTime(createdAt),
    Driver: driver,
    ID: whole ? id : id.slice(0, 12),
    IPv4: 'true',
    IPv6: 'false',
    Internal: String(internal),
    Labels: Object.entries(labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(','),
    Name: name,
    Scope: 'local',
  };
}

/** `network rm`. */
export async function removeNetworks({ globals, flags, args }: Invocation<typeof removeNamedFlags>): Promise<number> {
  return withEngine(globals, async ({ engine, signal }) =>
    eachOf(args, globals, async ref => {
      try {
        await (await engine.networks.get(ref, { signal })).remove({ signal });
        return ref;
      } catch (error) {
        if (flags.force && errorCode(error) === 'CTR_NOT_FOUND') return undefined;
        throw error;
      }
    }),
  );
}
