import { BadValue } from './flags.js';

/** A `key=value`, as it was written. */
export type Pair = readonly [key: string, value: string];

/** Checks `NAME=value`, or `NAME` alone, which takes its value from the environment of the caller. */
export function checkEnv(text: string): string {
  if (text === '' || text.startsWith('=')) throw new BadValue(`invalid environment variable: ${text}`);
  return text;
}

/** Checks `key=value`, or `key` alone, whose value is empty. */
export function checkLabel(text: string): string {
  if (text === '' || text.startsWith('=')) throw new BadValue(`invalid label '${text}': empty name`);
  return text;
}

/** Reads `key=value`; without `=` the value is empty. */
export function toPair(text: string): Pair {
  const at = text.indexOf('=');
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

/** Reads a `key=value` that needs both. */
export function parsePair(text: string): Pair {
  if (text.indexOf('=') < 1) throw new BadValue(`expected name=value, got ${JSON.stringify(text)}`);
  return toPair(text);
}

/** Reads a condition of `--filter`. */
export function parseFilter(text: string): Pair {
  if (!text.includes('=')) throw new BadValue('bad format of filter (expected name=value)');
  const [key, value] = toPair(text);
  return [key.trim().toLowerCase(), value.trim()];
}

/** Reads `name:address` or `name=address`; the address may be IPv6, with or without brackets. */
export function parseHost(text: string): Pair {
  const at = text.search(/[:=]/);
  if (at < 1 || at === text.length - 1) throw new BadValue(`bad format for add-host: ${JSON.stringify(text)}`);
  return [text.slice(0, at), text.slice(at + 1)];
}
