import type { ContainerInfo } from '../../container/inspect.js';
import type { DiskUsage, UsageOf } from '../../types.js';
import type { Invocation } from '../command.js';
import type { diskUsageFlags } from '../commands/system.js';
import { printListing, toJson, type Row } from '../format.js';
import { print, withEngine, type Session } from '../session.js';
import { formatTable } from '../table.js';
import { Template } from '../template.js';
import { humanDuration, humanSize } from '../units.js';
import { formatTime, statusOf } from './ps.js';

const headings = { Active: 'ACTIVE', Reclaimable: 'RECLAIMABLE', Size: 'SIZE', TotalCount: 'TOTAL', Type: 'TYPE' };

/** `system df`. */
export async function diskUsage({ globals, flags }: Invocation<typeof diskUsageFlags>): Promise<number> {
  return withEngine(globals, async session => {
    const usage = await session.engine.diskUsage({ signal: session.signal });
    if (flags.verbose) await printDetails(session, usage, flags.format);
    else
      printListing(
        { rows: summary(usage), headings, columns: columnsOfSummary, key: 'Type' },
        { format: flags.format, quiet: false },
      );
    return 0;
  });
}

const columnsOfSummary = ['Type', 'TotalCount', 'Active', 'Size', 'Reclaimable'];

function summary({ images, containers, volumes, buildCache }: DiskUsage): Row[] {
  return [
    row('Images', images),
    row('Containers', containers),
    row('Local Volumes', volumes),
    row('Build Cache', buildCache),
  ];
}

function row(type: string, { count, active, totalBytes, reclaimableBytes }: UsageOf<unknown>): Row {
  const percent = totalBytes > 0 ? ` (${Math.floor((reclaimableBytes * 100) / totalBytes)}%)` : '';
  return {
    Active: String(active),
    Reclaimable: `${humanSize(reclaimableBytes, 4)}${percent}`,
    Size: humanSize(totalBytes, 4),
    TotalCount: String(count),
    Type: type,
  };
}

type Texts = Readonly<Record<string, string>>;

interface Details {
  readonly Images: readonly Texts[];
  readonly Containers: readonly Texts[];
  readonly Volumes: readonly Texts[];
  readonly BuildCache: readonly Texts[];
}

async function printDetails(session: Session, usage: DiskUsage, format = 'table'): Promise<void> {
  const details = await detailsOf(session, usage);
  if (format === 'json') return print(toJson(details));
  if (format !== 'table') return print(new Template(format).render(details));
  const section = (
    title: string,
    headings: readonly string[],
    rows: readonly Texts[],
    fields: readonly string[],
  ): void =>
    print(
      `${title}\n\n${formatTable(
        headings,
        rows.map(each => fields.map(field => each[field] ?? '')),
      )}\n`,
    );
  section(
    'Images space usage:',
    ['REPOSITORY', 'TAG', 'IMAGE ID', 'CREATED', 'SIZE', 'SHARED SIZE', 'UNIQUE SIZE', 'CONTAINERS'],
    details.Images.map(each => ({ ...each, ID: (each['ID'] ?? '').slice(7, 19) })),
    ['Repository', 'Tag', 'ID', 'CreatedSince', 'Size', 'SharedSize', 'UniqueSize', 'Containers'],
  );
  section(
    'Containers space usage:',
    ['CONTAINER ID', 'IMAGE', 'COMMAND', 'LOCAL VOLUMES', 'SIZE', 'CREATED', 'STATUS', 'NAMES'],
    details.Containers.map(each => ({ ...each, ID: (each['ID'] ?? '').slice(0, 12) })),
    ['ID', 'Image', 'Command', 'LocalVolumes', 'Size', 'RunningFor', 'Status', 'Names'],
  );
  section('Local Volumes space usage:', ['VOLUME NAME', 'LINKS', 'SIZE'], details.Volumes, ['Name', 'Links', 'Size']);
  print(`Build cache usage: ${humanSize(usage.buildCache.totalBytes, 4)}\n`);
  print(formatTable(['CACHE ID', 'CACHE TYPE', 'SIZE', 'CREATED', 'LAST USED', 'USAGE', 'SHARED'], []));
}

async function detailsOf({ engine, signal }: Session, usage: DiskUsage): Promise<Details> {
  const infos = new Map<string, ContainerInfo>();
  for (const container of await engine.containers.list({}, { signal }))
    infos.set(container.id, await container.inspect({ signal }));
  const ago = (date: Date | undefined): string =>
    date === undefined ? 'N/A' : `${humanDuration(Date.now() - date.getTime())} ago`;
  return {
    Images: usage.images.items.map(image => {
      const [name = '<none>:<none>'] = image.tags;
      const at = name.lastIndexOf(':');
      return {
        Containers: String(image.containers),
        CreatedAt: image.createdAt === undefined ? 'N/A' : formatTime(image.createdAt),
        CreatedSince: ago(image.createdAt),
        Digest: '',
        ID: image.id,
        Repository: name.slice(0, at),
        SharedSize: humanSize(image.sharedBytes, 4),
        Size: humanSize(image.sizeBytes),
        Tag: name.slice(at + 1),
        UniqueSize: humanSize(image.uniqueBytes, 4),
      };
    }),
    Containers: usage.containers.items.flatMap(({ id, name, sizeBytes, volumes }) => {
      const info = infos.get(id);
      if (info === undefined) return []; // Removed since it was counted.
      return {
        Command: JSON.stringify(info.command.join(' ').slice(0, 20)),
        CreatedAt: formatTime(info.createdAt),
        ID: id,
        Image: info.imageRef,
        LocalVolumes: String(volumes),
        Names: name,
        RunningFor: ago(info.createdAt),
        Size: humanSize(sizeBytes),
        State: info.state,
        Status: statusOf(info),
      };
    }),
    Volumes: usage.volumes.items.map(({ name, containers, sizeBytes }) => ({
      Driver: 'local',
      Links: String(containers),
      Name: name,
      Size: humanSize(sizeBytes),
    })),
    BuildCache: [],
  };
}
