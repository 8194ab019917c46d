import { once } from 'node:events';

import type { Container } from '../../container/container.js';
import { isKept } from '../../container/log-config.js';
import type { LogChunk, LogLine, LogOptions } from '../../container/options.js';
import type { Invocation } from '../command.js';
import type { logsFlags } from '../commands/container.js';
import { instantOf } from '../instant.js';
import { withEngine } from '../session.js';
import { UsageError } from '../usage-error.js';

/** Lines are written together up to this length: a call for each would be most of the work. */
const BATCH = 64 * 1024;

/** `logs`. */
export async function logs({ globals, flags, args: [ref = ''] }: Invocation<typeof logsFlags>): Promise<number> {
  const { follow, timestamps, details } = flags;
  const since = instantOf('since', flags.since);
  const until = instantOf('until', flags.until);
  const tail = tailOf(flags.tail);
  return withEngine(globals, async ({ engine, signal }) => {
    const container = await engine.containers.get(ref, { signal });
    const { tty, log } = engine.containers.record(container.id, 'container.logs').config;
    if (!isKept(log)) throw new UsageError('configured logging driver does not support reading', 1);
    const options: LogOptions = {
      follow,
      signal,
      ...(tail === undefined ? {} : { tail }),
      ...(since === undefined ? {} : { since }),
      ...(until === undefined ? {} : { until }),
    };
    for await (const { stream, bytes } of pieces(container, options, { timestamps, details })) {
      const to = stream === 'stderr' && !tty ? process.stderr : process.stdout;
      if (!to.write(bytes)) await once(to, 'drain');
    }
    return 0;
  });
}

/** A number; to Docker, anything else is all. */
function tailOf(text = 'all'): number | undefined {
  return /^\+?\d+$/.test(text) ? Number(text) : undefined;
}

function pieces(
  container: Container,
  options: LogOptions,
  show: { readonly timestamps: boolean; readonly details: boolean },
): AsyncIterable<LogChunk> {
  const { timestamps, details } = show;
  return details
    ? detailed(container.logs(options), timestamps, options.follow === true ? 0 : BATCH)
    : container.rawLogs({ ...options, timestamps });
}

async function* detailed(
  lines: AsyncIterable<LogLine>,
  timestamps: boolean,
  most: number,
): AsyncGenerator<LogChunk, void, undefined> {
  let batch = '';
  let last: LogLine['stream'] = 'stdout';
  // With `most` 0 each line goes as it comes: nobody waits for the next one to see this one.
  for await (const line of lines) {
    const { stream, text, partial } = line;
    if (batch !== '' && stream !== last) {
      yield { stream: last, bytes: Buffer.from(batch) };
      batch = '';
    }
    last = stream;
    batch += `${timestamps ? `${fixedTime(line.timestamp)} ` : ''}${attributesOf(line)} ${text}${partial ? '' : '\n'}`;
    if (batch.length <= most) continue;
    yield { stream, bytes: Buffer.from(batch) };
    batch = '';
  }
  if (batch !== '') yield { stream: last, bytes: Buffer.from(batch) };
}

/** With nine digits, whatever they are. */
function fixedTime(timestamp: string): string {
  const [seconds = '', fraction = ''] = timestamp.slice(0, -1).split('.');
  return `${seconds}.${fraction.padEnd(9, '0')}Z`;
}

/** `name=value,…`, each as in the query of a URL. */
function attributesOf({ attributes = {} }: LogLine): string {
  return Object.entries(attributes)
    .map(([name, value]) => `${queryEscape(name)}=${queryEscape(value)}`)
    .sort()
    .join(',');
}

function queryEscape(text: string): string {
  return encodeURIComponent(text)
    .replace(/[!'()*]/g, character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+');
}
