import { BadValue } from './flags.js';
import { UsageError } from './usage-error.js';
import { parseInstant } from './units.js';

const NANOS_PER_MS = 1_000_000n;

/** The value of a flag that names an instant. Docker takes any text, and refuses it when it asks. */
export function instantOf(flag: string, text: string | undefined): bigint | undefined {
  if (text === undefined || text === '' || text === '0') return undefined;
  try {
    return parseNanos(text);
  } catch (error) {
    if (error instanceof BadValue) throw new UsageError(`invalid value for "${flag}": ${error.reason}`, 1);
    throw error;
  }
}

/**
 * An instant as {@link parseInstant} reads it, to the nanosecond: what `logs -t` shows can be asked for again.
 *
 * @throws {@link BadValue}
 */
export function parseNanos(text: string, now = Date.now()): bigint {
  const [, whole, fraction, zone] =
    /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})\.(\d{1,9})(Z|[+-]\d{2}:\d{2})?$/.exec(text) ?? [];
  if (whole !== undefined && fraction !== undefined)
    return nanos(parseInstant(`${whole}${zone ?? ''}`, now)) + BigInt(fraction.padEnd(9, '0'));
  const [, seconds, rest] = /^(\d+)\.(\d{1,9})$/.exec(text) ?? [];
  if (seconds !== undefined && rest !== undefined)
    return BigInt(seconds) * 1_000_000_000n + BigInt(rest.padEnd(9, '0'));
  return nanos(instant(text, now));
}

function instant(text: string, now: number): Date {
  try {
    return parseInstant(text, now);
  } catch (error) {
    if (error instanceof BadValue)
      throw new BadValue(`failed to parse value as time or duration: ${JSON.stringify(text)}`);
    throw error;
  }
}

function nanos(date: Date): bigint {
  return BigInt(Math.floor(date.getTime())) * NANOS_PER_MS;
}
