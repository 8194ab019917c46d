import { BadValue } from './flags.js';

const binary: Readonly<Record<string, number>> = { b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40, p: 2 ** 50 };

/**
 * Reads a size as Docker does: `512m`, `1.5GiB`, `100`; a unit is a power of 1024, with or without `b` or `ib`.
 *
 * @throws {@link BadValue}
 */
export function parseBytes(text: string): number {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d*)?|\.\d+) ?([a-z]*)$/i.exec(text) ?? [];
  if (number === '') throw new BadValue(`invalid size: '${text}'`);
  const [, letter = 'b'] = /^(?:([kmgtp])(?:i?b)?|b?)$/.exec(unit.toLowerCase()) ?? [undefined, '?'];
  const factor = binary[letter];
  if (factor === undefined) throw new BadValue(`invalid suffix: '${unit.toLowerCase()}'`);
  const bytes = Math.floor(Number(number) * factor);
  if (!Number.isSafeInteger(bytes)) throw new BadValue(`invalid size: '${text}' is too large`);
  return bytes;
}

/** As {@link parseBytes}; `-1` is no limit. */
export function parseSwap(text: string): number {
  return text === '-1' ? -1 : parseBytes(text);
}

/** A number of processors: `1.5`. */
export function parseDecimal(text: string): number {
  if (!/^(\d+(\.\d*)?|\.\d+)$/.test(text)) throw new BadValue(`failed to parse ${text} as a rational number`);
  return Number(text);
}

const spans: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Go's notation, in milliseconds: `1h30m`, `1.5s`, `300ms`; `undefined` when it is not that. */
export function parseDuration(text: string): number | undefined {
  if (!/^-?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(text)) return text === '0' ? 0 : undefined;
  let ms = 0;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g))
    ms += Number(number) * (spans[unit ?? ''] ?? NaN);
  return text.startsWith('-') ? -ms : ms;
}

/**
 * A span of time in Go's notation, in milliseconds.
 *
 * @throws {@link BadValue}
 */
export function parseSpan(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new BadValue(`time: invalid duration ${JSON.stringify(text)}`);
  return ms;
}

/**
 * An instant: RFC 3339 or a beginning of it, seconds since 1970, or a duration before `now`.
 *
 * @throws {@link BadValue}
 */
export function parseInstant(text: string, now = Date.now()): Date {
  const duration = parseDuration(text);
  if (duration !== undefined && text !== '0') return new Date(now - duration);
  if (/^\d+(\.\d+)?$/.test(text)) return new Date(Number(text) * 1000);
  const match = /^(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?))?(Z|[+-]\d{2}:\d{2})?$/.exec(text);
  const [, day, time = '00:00', zone = ''] = match ?? [];
  // Without a zone the machine's own is meant; JavaScript does the same for a date with a time.
  const date = new Date(`${day}T${time}${zone}`);
  if (match === null || Number.isNaN(date.getTime()))
    throw new BadValue(`${JSON.stringify(text)} is no time: write 2026-01-31T10:00:00Z, 1767225600 or 10m`);
  return date;
}

const decimalUnits = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB'] as const;

/** A size for people, in powers of 1000 with at most `digits` of them significant: `7.8MB`. */
export function humanSize(bytes: number, digits = 3): string {
  let value = bytes;
  let unit = 0;
  for (; value >= 1000 && unit < decimalUnits.length - 1; unit++) value /= 1000;
  return `${Number(value.toPrecision(digits))}${decimalUnits[unit]}`;
}

const binaryUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'] as const;

/** A size for people, in powers of 1024 with four digits at most: `1.953GiB`. */
export function binarySize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  for (; value >= 1024 && unit < binaryUnits.length - 1; unit++) value /= 1024;
  return `${Number(value.toPrecision(4))}${binaryUnits[unit]}`;
}

const longer: readonly (readonly [below: number, unit: number, name: string])[] = [
  [48, 1, 'hours'],
  [24 * 7 * 2, 24, 'days'],
  [24 * 30 * 2, 24 * 7, 'weeks'],
  [24 * 365 * 2, 24 * 30, 'months'],
  [Infinity, 24 * 365, 'years'],
];

/** A span of time for people, in the words that Docker uses: `About a minute`, `3 days`. */
export function humanDuration(ms: number): string {
  const seconds = Math.floor(Math.max(0, ms) / 1000);
  const minutes = Math.floor(seconds / 60);
  const hours = Math.round(seconds / 3600);
  if (seconds < 1) return 'Less than a second';
  if (seconds === 1) return '1 second';
  if (seconds < 60) return `${seconds} seconds`;
  if (minutes === 1) return 'About a minute';
  if (minutes < 60) return `${minutes} minutes`;
  if (hours === 1) return 'About an hour';
  const [, unit, name] = longer.find(([below]) => hours < below) as (typeof longer)[number];
  return `${Math.floor(hours / unit)} ${name}`;
}
