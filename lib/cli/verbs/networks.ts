import { errorCode } from '../../errors.js';
import type { NetworkInfo } from '../../network/network.js';
import type { Invocation } from '../command.js';
import type {
  connectFlags,
  createNetworkFlags,
  disconnectFlags,
  listFlags,
  removeNamedFlags,
} from '../commands/network.js';
import { allOf, hasLabel, matchesName, type Test } from '../filters.js';
import { printListing, type Row } from '../format.js';
import { toPair } from '../pairs.js';
import { byFamily, networkSettings } from '../network-settings.js';
import { eachOf, print, withEngine } from '../session.js';
import { UsageError } from '../usage-error.js';
import { formatTime } from './ps.js';

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
  const { driver = 'bridge', internal, ipv6 } = flags;
  if (driver !== 'bridge')
    throw new UsageError(`network driver ${JSON.stringify(driver)} is not supported: it is bridge`, 1);
  const settings = networkSettings(flags.opt);
  return withEngine(globals, async ({ engine, signal }) => {
    const network = await engine.networks.create({
      name,
      internal,
      labels: Object.fromEntries(flags.label.map(toPair)),
      ...byFamily(flags),
      ...(ipv6 ? { ipv6 } : {}),
      ...settings,
      lifetime: 'detached',
      signal,
    });
    print(network.id);
    return 0;
  });
}

/** `network connect`. */
export async function connectNetwork({
  globals,
  flags,
  args: [ref = '', container = ''],
}: Invocation<typeof connectFlags>): Promise<number> {
  const { alias, link, ip, ip6, 'gw-priority': gatewayPriority } = flags;
  return withEngine(globals, async ({ engine, signal }) => {
    const network = await engine.networks.get(ref, { signal });
    await network.connect(container, {
      ...(alias.length === 0 ? {} : { aliases: alias }),
      ...(link.length === 0 ? {} : { links: link }),
      ...(ip === undefined ? {} : { ip }),
      ...(ip6 === undefined ? {} : { ip6 }),
      ...(gatewayPriority === undefined ? {} : { gatewayPriority }),
      signal,
    });
    return 0;
  });
}

/** `network disconnect`. */
export async function disconnectNetwork({
  globals,
  flags,
  args: [ref = '', container = ''],
}: Invocation<typeof disconnectFlags>): Promise<number> {
  return withEngine(globals, async ({ engine, signal }) => {
    try {
      await (await engine.networks.get(ref, { signal })).disconnect(container, { signal });
    } catch (error) {
      if (!flags.force || errorCode(error) !== 'CTR_NOT_FOUND') throw error;
    }
    return 0;
  });
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

function toRow({ id, name, driver, internal, labels, createdAt, subnet6 }: NetworkInfo, whole: boolean): Row {
  return {
    CreatedAt: formatTime(createdAt),
    Driver: driver,
    ID: whole ? id : id.slice(0, 12),
    IPv4: 'true',
    IPv6: String(subnet6 !== undefined),
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
