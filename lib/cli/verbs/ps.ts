import type { Candidate, ContainerFilter } from '../../container/filter.js';
import { networksOf } from '../../container/filter.js';
import type { ContainerInfo } from '../../container/inspect.js';
import type { ContainerRecord } from '../../container/record.js';
import type { Engine } from '../../engine.js';
import type { Invocation } from '../command.js';
import type { psFlags } from '../commands/container.js';
import { exitCodeOf } from '../converse.js';
import { allOf, byName, hasLabel, matchesName, type Test } from '../filters.js';
import { printListing, type Row } from '../format.js';
import type { Pair } from '../pairs.js';
import { formatPorts } from '../ports.js';
import { withEngine, type Session } from '../session.js';
import { ellipsis } from '../table.js';
import { humanDuration, humanSize } from '../units.js';
import { UsageError } from '../usage-error.js';

const headings = {
  Command: 'COMMAND',
  CreatedAt: 'CREATED AT',
  ID: 'CONTAINER ID',
  Image: 'IMAGE',
  Label: (name: string) => name.slice(name.lastIndexOf('.') + 1).replace(/[-_]/g, ' '),
  Labels: 'LABELS',
  LocalVolumes: 'LOCAL VOLUMES',
  Mounts: 'MOUNTS',
  Names: 'NAMES',
  Networks: 'NETWORKS',
  Platform: 'PLATFORM',
  Ports: 'PORTS',
  RunningFor: 'CREATED',
  Size: 'SIZE',
  State: 'STATE',
  Status: 'STATUS',
};
const columns = ['ID', 'Image', 'Command', 'RunningFor', 'Status', 'Ports', 'Names'];

/** `ps`. */
export async function ps({ globals, flags }: Invocation<typeof psFlags>): Promise<number> {
  const filter = filterOf(flags.filter);
  const matches = allOf(flags.filter, tests);
  return withEngine(globals, async session => {
    const { engine, signal } = session;
    const last = flags.latest ? 1 : (flags.last ?? -1);
    const everything = flags.all || last >= 0 || flags.filter.some(([name]) => name === 'status');
    const call = 'containers.list';
    const up = everything ? {} : { state: ['running', 'paused', 'restarting'] as const };
    const found = (await engine.containers.select({ ...up, ...filter }, { call, signal })).filter(({ record }) =>
      matches(record),
    );
    const sized = flags.size || wantsSize(flags.format);
    const rows: Row[] = [];
    for (const each of found.slice(0, last < 0 ? undefined : last))
      rows.push(await toRow(session, each, { whole: flags['no-trunc'], sized }));
    printListing({ rows, headings, columns: flags.size ? [...columns, 'Size'] : columns, key: 'ID' }, flags);
    return 0;
  });
}

/** To know it costs a walk through what each has written. */
function wantsSize(format: string | undefined): boolean {
  return format !== undefined && (format === 'json' || /\.Size\b/.test(format));
}

/** What the engine is asked; the rest is tested here, where several values of a label or a name have to hold. */
function filterOf(filters: readonly Pair[]): ContainerFilter {
  const given = byName(filters);
  const states = given.get('status')?.map(value => oneOf(value, 'status', 'state', stateWords));
  const health = given.get('health')?.map(value => oneOf(value, 'health', 'health', healthWords));
  const codes = given.get('exited')?.map(value => {
    if (/^-?\d+$/.test(value)) return Number(value);
    throw new UsageError(`invalid filter 'exited=${value}': it is no exit code`, 1);
  });
  const [before, since] = [given.get('before')?.at(-1), given.get('since')?.at(-1)];
  return {
    ...(states === undefined ? {} : { state: states }),
    ...(health === undefined ? {} : { health }),
    ...(codes === undefined ? {} : { exitCode: codes }),
    ...(before === undefined ? {} : { before }),
    ...(since === undefined ? {} : { since }),
    ...Object.fromEntries(
      (['ancestor', 'volume', 'network', 'publish', 'expose'] as const).flatMap(name =>
        given.has(name) ? [[name, given.get(name)]] : [],
      ),
    ),
  };
}

const stateWords = ['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead'] as const;
const healthWords = ['none', 'starting', 'healthy', 'unhealthy'] as const;

function oneOf<const T extends string>(value: string, filter: string, what: string, words: readonly T[]): T {
  const found = words.find(word => word === value);
  if (found !== undefined) return found;
  throw new UsageError(
    `invalid filter '${filter}=${value}': invalid value for ${what} (${value}): must be one of ${words.join(', ')}`,
    1,
  );
}

const elsewhere = (): boolean => true;

const tests: Readonly<Record<string, Test<ContainerRecord>>> = {
  ancestor: elsewhere,
  before: elsewhere,
  exited: elsewhere,
  expose: elsewhere,
  health: elsewhere,
  id: ({ id }, value) => matchesName(id, value),
  // There is no swarm here, so nothing is a task.
  'is-task': (_, value) => ['false', 'False', 'FALSE', 'f', 'F', '0'].includes(value),
  label: ({ labels }, value) => hasLabel(labels, value),
  name: ({ name }, value) => matchesName(name, value) || matchesName(`/${name}`, value),
  network: elsewhere,
  publish: elsewhere,
  since: elsewhere,
  status: elsewhere,
  volume: elsewhere,
};

async function toRow(
  { engine, signal }: Session,
  candidate: Candidate,
  { whole, sized }: { readonly whole: boolean; readonly sized: boolean },
): Promise<Row> {
  const { record } = candidate;
  const info = engine.containers.describe(candidate);
  const short = (text: string, length: number): string => (whole ? text : ellipsis(text, length));
  const image = info.imageRef.startsWith('sha256:') && !whole ? info.imageRef.slice(7, 19) : info.imageRef;
  const mounts = record.config.mounts.filter(mount => mount.type !== 'tmpfs');
  const isUp = ['running', 'paused'].includes(info.state);
  return {
    Command: JSON.stringify(short(info.command.map(quoted).join(' '), 20)),
    CreatedAt: formatTime(info.createdAt),
    ID: whole ? info.id : info.id.slice(0, 12),
    Image: image,
    Label: name => (Object.hasOwn(info.labels, name) ? (info.labels[name] ?? '') : ''),
    Labels: Object.entries(info.labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(','),
    LocalVolumes: String(mounts.filter(mount => mount.type === 'volume').length),
    Mounts: mounts.map(mount => short(mount.source ?? '', 15)).join(','),
    Names: info.name,
    Networks: networksOf(record).join(','),
    Platform: null,
    Ports: formatPorts(info.ports, isUp ? record.config.exposed : []),
    RunningFor: `${humanDuration(Date.now() - info.createdAt.getTime())} ago`,
    Size: sized ? await sizeText(engine, record, signal) : '',
    State: info.state,
    Status: statusOf(info),
  };
}

/** `12B (virtual 1.2MB)`: what it has written, and with the files of its image. */
async function sizeText(engine: Engine, record: ContainerRecord, signal: AbortSignal): Promise<string> {
  const written = await engine.containers.writtenBytes(record.id, { signal });
  const image = await engine.images.get(record.image.id, { signal }).catch(() => undefined); // Removed by force.
  const whole = image === undefined ? 0 : (await image.inspect({ signal })).sizeBytes;
  return whole === 0 ? humanSize(written) : `${humanSize(written)} (virtual ${humanSize(written + whole)})`;
}

/** Words with spaces are told from several words. */
function quoted(word: string, index: number): string {
  return index > 0 && word.includes(' ') ? `'${word}'` : word;
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

/** As Go prints a time, in the time zone of the machine: `2026-01-31 10:00:00 +0000 UTC`. */
export function formatTime(time: Date): string {
  const offset = -time.getTimezoneOffset();
  const local = new Date(time.getTime() + offset * 60_000).toISOString().slice(0, 19).replace('T', ' ');
  const two = (number: number): string => String(Math.floor(number)).padStart(2, '0');
  const sign = offset < 0 ? '-' : '+';
  return `${local} ${sign}${two(Math.abs(offset) / 60)}${two(Math.abs(offset) % 60)} ${zoneName(time)}`;
}

function zoneName(time: Date): string {
  const parts = new Intl.DateTimeFormat('en-US', { timeZoneName: 'short' }).formatToParts(time);
  return parts.find(({ type }) => type === 'timeZoneName')?.value ?? 'UTC';
}
