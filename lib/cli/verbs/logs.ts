import { once } from 'node:events';

import type { LogLine } from '../../container/options.js';
import type { Invocation } from '../command.js';
import type { logsFlags } from '../commands/container.js';
import { withEngine } from '../session.js';
import { UsageError } from '../usage-error.js';

/** Lines are written together up to this length: a call for each would be most of the work. */
const BATCH = 64 * 1024;

/** `logs`. */
export async function logs({ globals, flags, args: [ref = ''] }: Invocation<typeof logsFlags>): Promise<number> {
  const { follow, since, until, timestamps } = flags;
  const tail = tailOf(flags.tail);
  return withEngine(globals, async ({ engine, signal }) => {
    const container = await engine.containers.get(ref, { signal });
    const lines = container.logs({
      follow,
      signal,
      ...(tail === undefined ? {} : { tail }),
      ...(since === undefined ? {} : { since }),
      ...(until === undefined ? {} : { until }),
    });
    const { tty } = engine.containers.record(container.id, 'container.logs').config;
    await write(lines, { timestamps, follow, tty });
    return 0;
  });
}

/** `all`, or a number; to Docker, a negative one is all as well. */
function tailOf(text = 'all'): number | undefined {
  if (text === 'all' || /^-\d+$/.test(text)) return undefined;
  if (!/^\d+$/.test(text))
    throw new UsageError(`invalid argument ${JSON.stringify(text)} for "-n, --tail" flag: it is a number or all`, 1);
  return Number(text);
}

async function write(
  lines: AsyncIterable<LogLine>,
  { timestamps, follow, tty }: { timestamps: boolean; follow: boolean; tty: boolean },
): Promise<void> {
  let batch = '';
  let to: NodeJS.WriteStream = process.stdout;
  const flush = async (): Promise<void> => {
    if (batch !== '' && !to.write(batch)) await once(to, 'drain');
    batch = '';
  };
  for await (const { time, stream, text, partial } of lines) {
    const wanted = stream === 'stderr' && !tty ? process.stderr : process.stdout;
    if (wanted !== to) await flush();
    to = wanted;
    batch += `${timestamps ? `${time.toISOString()} ` : ''}${text}${partial ? '' : '\n'}`;
    if (follow || batch.length > BATCH) await flush();
  }
  await flush();
}
