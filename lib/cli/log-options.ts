import type { LogAttributes, LogOptionsOnCreate, LogRotation } from '../container/options.js';
import { UsageError } from './usage-error.js';

const rotationKeys = ['max-size', 'max-file', 'compress'];
const attributeKeys = ['labels', 'labels-regex', 'env', 'env-regex', 'tag'];

/** What `--log-driver` and `--log-opt` ask for; `undefined` when nothing. */
export function toLogOptions(
  driver: string | undefined,
  options: readonly (readonly [key: string, value: string])[],
): LogOptionsOnCreate | undefined {
  if (driver === undefined && options.length === 0) return undefined;
  const given = new Map(options);
  switch (driver ?? 'json-file') {
    case 'none':
      if (given.size > 0) throw new UsageError('invalid logging opts for driver none');
      return { driver: 'none' };
    case 'json-file':
      checkKeys(given, [...rotationKeys, ...attributeKeys], 'for json-file log driver');
      return { driver: 'json-file', ...rotation(given), ...attributes(given) };
    case 'local':
      checkKeys(given, rotationKeys, 'for log driver local');
      return { driver: 'local', ...rotation(given) };
    default:
      throw new UsageError(
        `error looking up logging plugin ${driver}: plugin ${JSON.stringify(driver)} not found: there are json-file, local and none`,
      );
  }
}

function checkKeys(given: ReadonlyMap<string, string>, known: readonly string[], whose: string): void {
  const unknown = [...given.keys()].find(key => !known.includes(key));
  if (unknown !== undefined) throw new UsageError(`unknown log opt '${unknown}' ${whose}`);
}

function rotation(given: ReadonlyMap<string, string>): LogRotation {
  return {
    ...maybe(given, 'max-size', value => ({ maxBytes: parseDecimalSize(value) })),
    ...maybe(given, 'max-file', value => ({ maxFiles: parseCount(value) })),
    ...maybe(given, 'compress', value => ({ compress: parseTruth(value) })),
  };
}

function attributes(given: ReadonlyMap<string, string>): LogAttributes {
  return {
    ...maybe(given, 'labels', value => ({ labels: value.split(',') })),
    ...maybe(given, 'labels-regex', value => ({ labelsPattern: value })),
    ...maybe(given, 'env', value => ({ env: value.split(',') })),
    ...maybe(given, 'env-regex', value => ({ envPattern: value })),
    ...maybe(given, 'tag', value => ({ tag: value })),
  };
}

function maybe<T extends object>(
  given: ReadonlyMap<string, string>,
  key: string,
  read: (value: string) => T,
): T | object {
  const value = given.get(key);
  return value === undefined || value === '' ? {} : read(value);
}

const decimal: Readonly<Record<string, number>> = { '': 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12, p: 1e15 };

/** Unlike all other sizes, those of logs are in powers of 1000: `10m` is ten million bytes. `-1` is no limit. */
function parseDecimalSize(text: string): number {
  if (text === '-1') return 0;
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?$/i.exec(text) ?? [];
  if (number === '') throw new UsageError(`invalid value for max-size: invalid size: '${text}'`);
  return Math.floor(Number(number) * (decimal[unit.toLowerCase()] ?? 1));
}

function parseCount(text: string): number {
  if (!/^[+-]?\d+$/.test(text)) throw new UsageError(`max-file: parsing ${JSON.stringify(text)}: invalid syntax`);
  if (Number(text) < 1) throw new UsageError('max-file cannot be less than 1');
  return Number(text);
}

function parseTruth(text: string): boolean {
  if (/^(1|t|true)$/i.test(text)) return true;
  if (/^(0|f|false)$/i.test(text)) return false;
  throw new UsageError(`compress: parsing ${JSON.stringify(text)}: invalid syntax`);
}
