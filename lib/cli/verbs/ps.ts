import type { ContainerInfo } from '../../container/inspect.js';
import type { ContainerRecord } from '../../container/record.js';
import { errorCode } from '../../errors.js';
import type { Invocation } from '../command.js';
import type { psFlags } from '../commands/container.js';
import { exitCodeOf } from '../converse.js';
import { allOf, hasLabel, matchesName, type Test } from '../filters.js';
import { printListing, type Row } from '../format.js';
import { formatPorts } from '../ports.js';
import { withEngine, type Session } from '../session.js';
import { ellipsis } from '../table.js';
import { humanDuration } from '../units.js';

interface Listed {
  readonly info: ContainerInfo;
  readonly record: ContainerRecord;
}

const headings = {
  Command: 'COMMAND',
  CreatedAt: 'CREATED AT',
  ID: 'CONTAINER ID',
  Image: 'IMAGE',
  Labels: 'LABELS',
  LocalVolumes: 'LOCAL VOLUMES',
  Mounts: 'MOUNTS',
  Names: 'NAMES',
  Networks: 'NETWORKS',
  Ports: 'PORTS',
  RunningFor: 'CREATED',
  State: 'STATE',
  Status: 'STATUS',
};
const columns = ['ID', 'Image', 'Command', 'RunningFor', 'Status', 'Ports', 'Names'];

/** `ps`. */
export async function ps({ globals, flags }: Invocation<typeof psFlags>): Promise<number> {
  const matches = allOf(flags.filter, tests);
  return withEngine(globals, async session => {
    const last = flags.latest ? 1 : (flags.last ?? -1);
    const everything = flags.all || last >= 0 || flags.filter.some(([name]) => name === 'status' || name === 'exited');
    const found = (await allContainers(session)).filter(
      listed => (everything || listed.info.state === 'running') && matches(listed),
    );
    const rows = found.slice(0, last < 0 ? undefined : last).map(listed => toRow(listed, flags['no-trunc']));
    printListing({ rows, headings, columns, key: 'ID' }, flags);
    return 0;
  });
}

async function allContainers({ engine, signal }: Session): Promise<Listed[]> {
  const listed: Listed[] = [];
  for (const container of await engine.containers.list({}, { signal })) {
    try {
      listed.push({
        info: await container.inspect(),
        record: engine.containers.record(container.id, 'containers.list'),
      });
    } catch (error) {
      // Removed since it was listed.
      if (errorCode(error) !== 'CTR_NOT_FOUND') throw error;
    }
  }
  return listed;
}

const tests: Readonly<Record<string, Test<Listed>>> = {
  ancestor: ({ info }, value) =>
    [info.imageRef, `${info.imageRef}:latest`].includes(value) ||
    info.image.replace('sha256:', '').startsWith(value.replace('sha256:', '')),
  exited: ({ info }, value) => info.exit !== undefined && exitCodeOf(info.exit) === Number(value),
  id: ({ info }, value) => info.id.startsWith(value),
  label: ({ info }, value) => hasLabel(info.labels, value),
  name: ({ info }, value) => matchesName(info.name, value),
  network: ({ record }, value) => networksOf(record).includes(value),
  status: ({ info }, value) => info.state === value,
  volume: ({ record }, value) =>
    record.config.mounts.some(mount => mount.target === value || (mount.type !== 'tmpfs' && mount.source === value)),
};

function toRow({ info, record }: Listed, whole: boolean): Row {
  const short = (text: string, length: number): string => (whole ? text : ellipsis(text, length));
  const image = info.imageRef.startsWith('sha256:') && !whole ? info.imageRef.slice(7, 19) : info.imageRef;
  const mounts = record.config.mounts.filter(mount => mount.type !== 'tmpfs');
  return {
    Command: JSON.stringify(short(info.command.map(quoted).join(' '), 20)),
    CreatedAt: formatTime(info.createdAt),
    ID: whole ? info.id : info.id.slice(0, 12),
    Image: image,
    Labels: Object.entries(info.labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(','),
    LocalVolumes: String(mounts.filter(mount => mount.type === 'volume').length),
    Mounts: mounts.map(mount => short(mount.source ?? '', 15)).join(','),
    Names: info.name,
    Networks: networksOf(record).join(','),
    Ports: formatPorts(info.ports),
    RunningFor: `${humanDuration(Date.now() - info.createdAt.getTime())} ago`,
    State: info.state,
    Status: statusOf(info),
  };
}

/** Words with spaces are told from several words. */
function quoted(word: string, index: number): string {
  return index > 0 && word.includes(' ') ? `'${word}'` : word;
}

function networksOf({ config }: ContainerRecord): string[] {
  return config.networkMode === 'networks' ? config.networks.map(({ network }) => network) : [config.networkMode];
}

/** `Up 2 minutes (healthy)`, `Exited (0) 3 days ago`, `Created`. */
export function statusOf(info: ContainerInfo, now = Date.now()): string {
  const since = (then: Date | undefined): string => humanDuration(now - (then?.getTime() ?? now));
  switch (info.state) {
    case 'created':
      return 'Created';
    case 'running':
      return `Up ${since(info.startedAt)}${healthText(info)}`;
    case 'paused':
      return `Up ${since(info.startedAt)} (Paused)`;
    case 'restarting':
    case 'exited': {
      // Without a status its monitor was killed, and it with it.
      const code = info.exit === undefined ? 137 : exitCodeOf(info.exit);
      const word = info.state === 'exited' ? 'Exited' : 'Restarting';
      return `${word} (${code})${info.finishedAt === undefined ? '' : ` ${since(info.finishedAt)} ago`}`;
    }
    case 'removing':
      return 'Removal In Progress';
    case 'dead':
      return 'Dead';
  }
}

function healthText({ health }: ContainerInfo): string {
  return health === 'none' ? '' : health === 'starting' ? ' (health: starting)' : ` (${health})`;
}

/** As Go prints a time: `2026-01-31 10:00:00 +0000 UTC`. */
export function formatTime(time: Date): string {
  return `${time.toISOString().slice(0, 19).replace('T', ' ')} +0000 UTC`;
}
