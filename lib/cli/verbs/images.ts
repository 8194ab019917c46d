import type { ImageFilter } from '../../image/filter.js';
import { matchesReference } from '../../image/glob.js';
import type { ImageInfo } from '../../image/inspect.js';
import { parseReference } from '../../oci/reference.js';
import type { PlatformString } from '../../types.js';
import type { Invocation } from '../command.js';
import type { imagesFlags, removeImageFlags } from '../commands/image.js';
import { allOf, hasLabel, instant, type Test } from '../filters.js';
import { printListing, type Row } from '../format.js';
import type { Pair } from '../pairs.js';
import { complain, print, withEngine, type Session } from '../session.js';
import { humanDuration, humanSize } from '../units.js';
import { formatTime } from './ps.js';

interface Listed {
  readonly info: ImageInfo;
  readonly labels: Readonly<Record<string, string>>;
}

const NONE = '<none>';
const headings = {
  CreatedAt: 'CREATED AT',
  CreatedSince: 'CREATED',
  Digest: 'DIGEST',
  ID: 'IMAGE ID',
  Repository: 'REPOSITORY',
  Size: 'SIZE',
  Tag: 'TAG',
};

/** `images`. */
export async function images({ globals, flags, args: [wanted] }: Invocation<typeof imagesFlags>): Promise<number> {
  const filter = engineFilter(flags.filter);
  const matches = allOf(
    [
      ...flags.filter.filter(([name]) => !(name in engineFilters)),
      ...(wanted === undefined ? [] : [['reference', wanted] as const]),
    ],
    tests,
  );
  return withEngine(globals, async session => {
    const found = (await allImages(session, filter)).filter(matches);
    const patterns = [
      ...flags.filter.filter(([name]) => name === 'reference').map(([, value]) => value),
      ...(wanted === undefined ? [] : [wanted]),
    ];
    const rows = found.flatMap(({ info }) => toRows(info, patterns, flags['no-trunc']));
    const columns = ['Repository', 'Tag', ...(flags.digests ? ['Digest'] : []), 'ID', 'CreatedSince', 'Size'];
    const shown = flags.quiet ? [...new Map(rows.map(row => [row.ID, row])).values()] : rows;
    printListing({ rows: shown, headings, columns, key: 'ID' }, flags);
    return 0;
  });
}

async function allImages({ engine, signal }: Session, filter: ImageFilter): Promise<Listed[]> {
  const listed = await engine.images.list(filter, { signal });
  return Promise.all(
    listed.map(async image => {
      const info = await image.inspect({ signal });
      return { info, labels: (info.config['Labels'] as Record<string, string> | null | undefined) ?? {} };
    }),
  );
}

/** What only the engine can tell: it compares images. */
const engineFilters = { before: true, since: true, until: true };

function engineFilter(filters: readonly Pair[]): ImageFilter {
  const last = (wanted: string): string | undefined => filters.findLast(([name]) => name === wanted)?.[1];
  const [before, since, until] = [last('before'), last('since'), last('until')];
  return {
    ...(before === undefined ? {} : { before }),
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until: instant(until) }),
  };
}

const tests: Readonly<Record<string, Test<Listed>>> = {
  dangling: ({ info }, value) => (info.tags.length === 0) === (value === 'true' || value === '1'),
  label: ({ labels }, value) => hasLabel(labels, value),
  reference: ({ info }, value) => info.tags.some(tag => matchesReference(tag, value)),
};

function split(tag: string): { readonly repository: string; readonly tag: string | undefined } {
  const at = tag.lastIndexOf(':');
  return at > tag.lastIndexOf('/')
    ? { repository: tag.slice(0, at), tag: tag.slice(at + 1) }
    : { repository: tag, tag: undefined };
}

/** One for each of its names. */
function toRows(info: ImageInfo, patterns: readonly string[], whole: boolean): Row[] {
  const tags = info.tags.filter(tag => patterns.every(pattern => matchesReference(tag, pattern)));
  const names = tags.map(split).map(({ repository, tag = NONE }) => ({ repository, tag }));
  const digests = info.repoDigests.map(name => name.split('@') as [string, string]);
  const untagged =
    digests.length === 0
      ? [{ repository: NONE, tag: NONE }]
      : [...new Set(digests.map(([repository]) => repository))].map(repository => ({ repository, tag: NONE }));
  return (names.length === 0 ? untagged : names).map(({ repository, tag }) => ({
    CreatedAt: info.createdAt === undefined ? 'N/A' : formatTime(info.createdAt),
    CreatedSince: info.createdAt === undefined ? 'N/A' : `${humanDuration(Date.now() - info.createdAt.getTime())} ago`,
    Digest: digests.find(([of]) => of === repository)?.[1] ?? NONE,
    ID: whole ? info.id : info.id.slice(7, 19),
    Repository: repository,
    Size: humanSize(info.sizeBytes),
    Tag: tag,
  }));
}

/** `rmi`. */
export async function removeImages({ globals, flags, args }: Invocation<typeof removeImageFlags>): Promise<number> {
  return withEngine(globals, async ({ engine, signal }) => {
    let exitCode = 0;
    for (const ref of args) {
      try {
        const { platform } = flags;
        const { untagged, deleted, layers } = await engine.images.remove(ref, {
          force: flags.force,
          noPrune: flags['no-prune'],
          signal,
          ...(platform === undefined ? {} : { platform: platform as PlatformString }),
        });
        for (const tag of untagged) print(`Untagged: ${tag}`);
        for (const id of [...deleted, ...layers]) print(`Deleted: ${id}`);
      } catch (error) {
        complain(error, globals.debug);
        exitCode = 1;
      }
    }
    return exitCode;
  });
}

/** `tag`. */
export async function tag({
  globals,
  args: [source = '', target = ''],
}: Invocation<Record<never, never>>): Promise<number> {
  return withEngine(globals, async ({ engine, signal }) => {
    await engine.images.tag(source, parseReference(target, { call: 'image.tag' }).toString(), { signal });
    return 0;
  });
}
