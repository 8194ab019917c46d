import type { HistoryStep } from '../../image/history.js';
import type { PlatformString } from '../../types.js';
import type { Invocation } from '../command.js';
import type { historyFlags } from '../commands/image.js';
import { printListing, type Row } from '../format.js';
import { withEngine } from '../session.js';
import { ellipsis } from '../table.js';
import { humanDuration, humanSize } from '../units.js';

const headings = {
  Comment: 'COMMENT',
  CreatedAt: 'CREATED AT',
  CreatedBy: 'CREATED BY',
  CreatedSince: 'CREATED',
  ID: 'IMAGE',
  Size: 'SIZE',
};

/** `history`. */
export async function history({ globals, flags, args: [ref = ''] }: Invocation<typeof historyFlags>): Promise<number> {
  const { platform } = flags;
  return withEngine(globals, async ({ engine, signal }) => {
    const of = platform === undefined ? { signal } : { signal, platform: platform as PlatformString };
    const steps = await (await engine.images.get(ref, of)).history({ signal });
    const rows = steps.map(step => toRow(step, flags['no-trunc'], flags.human));
    const columns = ['ID', flags.human ? 'CreatedSince' : 'CreatedAt', 'CreatedBy', 'Size', 'Comment'];
    printListing({ rows, headings, columns, key: 'ID' }, flags);
    return 0;
  });
}

function toRow(step: HistoryStep, whole: boolean, human: boolean): Row {
  const createdAt = step.createdAt === undefined ? 'N/A' : step.createdAt.toISOString().replace(/\.\d+Z$/, 'Z');
  const since = step.createdAt === undefined ? 'N/A' : `${humanDuration(Date.now() - step.createdAt.getTime())} ago`;
  const by = step.createdBy.replaceAll('\t', ' ');
  return {
    Comment: step.comment,
    CreatedAt: createdAt,
    CreatedBy: whole ? by : ellipsis(by, 45),
    CreatedSince: human ? since : createdAt,
    ID: step.id === undefined ? '<missing>' : whole ? step.id : step.id.slice(7, 19),
    Size: human ? humanSize(step.sizeBytes) : String(step.sizeBytes),
  };
}
