import type { ContainerStats } from '../../container/stats.js';
import type { Invocation } from '../command.js';
import type { statsFlags } from '../commands/observe.js';
import { listingText, type Row } from '../format.js';
import { print, withEngine, type Session } from '../session.js';
import { binarySize, humanSize } from '../units.js';
import { UsageError } from '../usage-error.js';

/** Over which the processor's share is measured where there is only one look, in milliseconds. */
const ONE_LOOK_MS = 500;
const INTERVAL_MS = 1_000;

const headings = {
  BlockIO: 'BLOCK I/O',
  CPUPerc: 'CPU %',
  Container: 'CONTAINER',
  ID: 'CONTAINER ID',
  MemPerc: 'MEM %',
  MemUsage: 'MEM USAGE / LIMIT',
  Name: 'NAME',
  NetIO: 'NET I/O',
  PIDs: 'PIDS',
};
const columns = ['ID', 'Name', 'CPUPerc', 'MemUsage', 'MemPerc', 'NetIO', 'BlockIO', 'PIDs'];

/** `stats`. */
export async function stats({ globals, flags, args }: Invocation<typeof statsFlags>): Promise<number> {
  if (flags.all && args.length > 0) throw new UsageError('--all does not go with names of containers', 1);
  const show = (found: readonly ContainerStats[]): string | undefined =>
    listingText(
      { rows: found.map(each => toRow(each, flags['no-trunc'])), headings, columns, key: 'ID' },
      { format: flags.format, quiet: false },
    );
  return withEngine(globals, async session => {
    if (flags['no-stream']) {
      const text = show(await look(session, args, flags.all, ONE_LOOK_MS));
      if (text !== undefined) print(text);
      return 0;
    }
    const screen = new Screen(flags.format === undefined || flags.format.startsWith('table'));
    for await (const found of looks(session, args, flags.all)) screen.draw(show(found));
    return 0;
  });
}

/** In the order in which they were named, or the newest first. */
async function look(
  { engine, signal }: Session,
  refs: readonly string[],
  all: boolean,
  intervalMs: number,
): Promise<ContainerStats[]> {
  if (refs.length === 0 && !all) return inOrder(await engine.containers.stats({ intervalMs, signal }), engine);
  const containers =
    refs.length === 0
      ? await engine.containers.list({}, { signal })
      : await Promise.all(refs.map(ref => engine.containers.get(ref, { signal })));
  return Promise.all(containers.map(async container => container.stats({ intervalMs, signal })));
}

async function* looks(
  session: Session,
  refs: readonly string[],
  all: boolean,
): AsyncGenerator<readonly ContainerStats[], void, undefined> {
  const { engine, signal } = session;
  const wanted =
    refs.length === 0
      ? undefined
      : await Promise.all(refs.map(async ref => (await engine.containers.get(ref, { signal })).id));
  for await (const found of engine.containers.watchStats({ intervalMs: INTERVAL_MS, signal })) {
    if (wanted === undefined && !all) {
      yield inOrder(found, engine);
      continue;
    }
    // Those that do not run have a row, too.
    const running = new Map(found.map(each => [each.id, each]));
    const ids = wanted ?? (await engine.containers.list({}, { signal })).map(({ id }) => id);
    yield await Promise.all(
      ids.map(async id => running.get(id) ?? (await engine.containers.get(id)).stats({ signal })),
    );
  }
}

function inOrder(found: readonly ContainerStats[], { containers }: Session['engine']): ContainerStats[] {
  const created = new Map(found.map(({ id }) => [id, containers.listing.get(id)?.createdAt ?? '']));
  return [...found].sort((a, b) => ((created.get(a.id) ?? '') < (created.get(b.id) ?? '') ? 1 : -1));
}

function toRow({ id, name, cpu, memory, networks, block, processes }: ContainerStats, whole: boolean): Row {
  const sum = (key: 'receivedBytes' | 'sentBytes'): number =>
    Object.values(networks).reduce((bytes, each) => bytes + each[key], 0);
  const pair = (a: number, b: number): string => `${humanSize(a)} / ${humanSize(b)}`;
  const runs = processes > 0 || cpu.usedMicros > 0;
  return {
    BlockIO: pair(block.readBytes, block.writtenBytes),
    CPUPerc: `${cpu.percent.toFixed(2)}%`,
    Container: whole ? id : id.slice(0, 12),
    ID: whole ? id : id.slice(0, 12),
    MemPerc: `${memory.percent.toFixed(2)}%`,
    MemUsage: `${binarySize(memory.usedBytes)} / ${binarySize(runs ? memory.availableBytes : 0)}`,
    Name: name,
    NetIO: pair(sum('receivedBytes'), sum('sentBytes')),
    PIDs: String(processes),
  };
}

/** On a terminal each look takes the place of the one before; elsewhere they follow each other. */
class Screen {
  readonly #redraws: boolean;

  constructor(isTable: boolean) {
    this.#redraws = isTable && process.stdout.isTTY;
  }

  draw(text: string | undefined): void {
    if (!this.#redraws || text === undefined) {
      if (text !== undefined) print(text);
      return;
    }
    // Home, then each line with the rest of what stood there erased, then what is below: nothing flickers.
    const lines = text.split('\n').map(line => `${line}\u001b[K\n`);
    process.stdout.write(`\u001b[H${lines.join('')}\u001b[J`);
  }
}
