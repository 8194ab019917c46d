import { errorCode } from '../../errors.js';
import type { VolumeInfo } from '../../volume/volume.js';
import type { Invocation } from '../command.js';
import type { listFlags, removeNamedFlags } from '../commands/network.js';
import type { createVolumeFlags } from '../commands/volume.js';
import { allOf, hasLabel, matchesName, readBoolean, type Test } from '../filters.js';
import { printListing, type Row } from '../format.js';
import { toPair } from '../pairs.js';
import { eachOf, print, withEngine } from '../session.js';
import { UsageError } from '../usage-error.js';

const headings = {
  Availability: 'AVAILABILITY',
  Driver: 'DRIVER',
  Group: 'GROUP',
  Labels: 'LABELS',
  Links: 'LINKS',
  Mountpoint: 'MOUNTPOINT',
  Name: 'VOLUME NAME',
  Scope: 'SCOPE',
  Size: 'SIZE',
  Status: 'STATUS',
};

/** `volume create`. One that is there already is what was asked for. */
export async function createVolume({
  globals,
  flags,
  args: [name],
}: Invocation<typeof createVolumeFlags>): Promise<number> {
  const { driver = 'local', label, opt } = flags;
  if (driver !== 'local')
    throw new UsageError(`volume driver ${JSON.stringify(driver)} is not supported: it is local`, 1);
  return withEngine(globals, async ({ engine, signal }) => {
    const volume = await engine.volumes.create({
      ...(name === undefined ? {} : { name }),
      labels: Object.fromEntries(label.map(toPair)),
      driverOptions: Object.fromEntries(opt),
      lifetime: 'detached',
      signal,
    });
    print(volume.name);
    return 0;
  });
}

/** `volume ls`. */
export async function listVolumes({ globals, flags }: Invocation<typeof listFlags>): Promise<number> {
  for (const [name, value] of flags.filter) if (name === 'dangling') readBoolean(name, value);
  const matches = allOf(flags.filter, tests);
  return withEngine(globals, async ({ engine, signal }) => {
    const volumes = await engine.volumes.list({}, { signal });
    const infos = (await Promise.all(volumes.map(volume => volume.inspect({ signal })))).filter(matches);
    printListing({ rows: infos.map(toRow), headings, columns: ['Driver', 'Name'], key: 'Name' }, flags);
    return 0;
  });
}

const tests: Readonly<Record<string, Test<VolumeInfo>>> = {
  dangling: ({ usedBy }, value) => (usedBy.length === 0) === readBoolean('dangling', value),
  driver: (_, value) => value === 'local',
  label: ({ labels }, value) => hasLabel(labels, value),
  name: ({ name }, value) => matchesName(name, value),
};

/** What Docker says of what only volumes of a cluster have. */
const none = 'N/A';

function toRow({ name, path, labels }: VolumeInfo): Row {
  return {
    Availability: none,
    Driver: 'local',
    Group: none,
    Labels: Object.entries(labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(','),
    Links: none,
    Mountpoint: path,
    Name: name,
    Scope: 'local',
    Size: none,
    Status: none,
  };
}

/** `volume rm`. */
export async function removeVolumes({ globals, flags, args }: Invocation<typeof removeNamedFlags>): Promise<number> {
  return withEngine(globals, async ({ engine, signal }) =>
    eachOf(args, globals, async name => {
      try {
        await (await engine.volumes.get(name, { signal })).remove({ signal });
        return name;
      } catch (error) {
        if (flags.force && errorCode(error) === 'CTR_NOT_FOUND') return name;
        throw error;
      }
    }),
  );
}
