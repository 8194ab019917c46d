import { describe, expect, test } from '@jest/globals';

import { BadValue } from '../../lib/cli/flags.js';
import {
  humanDuration,
  humanSize,
  parseBytes,
  parseDecimal,
  parseDuration,
  parseInstant,
  parseSwap,
} from '../../lib/cli/units.js';

function reasonOf(work: () => unknown): string | undefined {
  try {
    work();
  } catch (error) {
    if (error instanceof BadValue) return error.reason;
    throw error;
  }
  return undefined;
}

describe('sizes', () => {
  test.each([
    ['0', 0],
    ['100', 100],
    ['100b', 100],
    ['1k', 1024],
    ['512m', 512 * 2 ** 20],
    ['512M', 512 * 2 ** 20],
    ['512mb', 512 * 2 ** 20],
    ['512MiB', 512 * 2 ** 20],
    ['1.5g', 1.5 * 2 ** 30],
    ['.5g', 0.5 * 2 ** 30],
    ['2 GB', 2 * 2 ** 30],
    ['1t', 2 ** 40],
  ])('%s', (text, bytes) => {
    expect(parseBytes(text)).toBe(bytes);
  });

  test.each([
    ['', "invalid size: ''"],
    ['m', "invalid size: 'm'"],
    ['-1', "invalid size: '-1'"],
    ['1..5m', "invalid size: '1..5m'"],
    ['1e', "invalid suffix: 'e'"],
    ['1bb', "invalid suffix: 'bb'"],
    ['1mi', "invalid suffix: 'mi'"],
    ['1megabyte', "invalid suffix: 'megabyte'"],
    ['100000p', "invalid size: '100000p' is too large"],
  ])('%s is none', (text, reason) => {
    expect(reasonOf(() => parseBytes(text))).toBe(reason);
  });

  test('-1 is no limit for swap', () => {
    expect(parseSwap('-1')).toBe(-1);
    expect(parseSwap('1g')).toBe(2 ** 30);
    expect(reasonOf(() => parseSwap('-2'))).toBe("invalid size: '-2'");
  });

  test('processors', () => {
    expect(parseDecimal('1.5')).toBe(1.5);
    expect(parseDecimal('.5')).toBe(0.5);
    for (const wrong of ['', 'x', '-1', '1e3', '0x10', 'NaN'])
      expect(reasonOf(() => parseDecimal(wrong))).toContain('rational number');
  });

  test.each([
    [0, '0B'],
    [999, '999B'],
    [1000, '1kB'],
    [7_797_760, '7.8MB'],
    [77_800_000, '77.8MB'],
    [117_000_000, '117MB'],
    [1_234_567_890, '1.23GB'],
    [2 ** 53, '9.01PB'],
  ])('%d for people', (bytes, text) => {
    expect(humanSize(bytes)).toBe(text);
  });
});

describe('spans of time', () => {
  test.each([
    ['10s', 10_000],
    ['1h30m', 5_400_000],
    ['1.5s', 1_500],
    ['300ms', 300],
    ['-10s', -10_000],
    ['0', 0],
    ['10', undefined],
    ['s', undefined],
    ['1d', undefined],
    ['', undefined],
  ])('%s', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  const minute = 60_000;
  const hour = 60 * minute;
  const day = 24 * hour;

  // What Docker's CLI prints for them.
  test.each([
    [-5, 'Less than a second'],
    [999, 'Less than a second'],
    [1_000, '1 second'],
    [59_999, '59 seconds'],
    [minute, 'About a minute'],
    [2 * minute, '2 minutes'],
    [59 * minute, '59 minutes'],
    [hour, 'About an hour'],
    [1.4 * hour, 'About an hour'],
    [1.6 * hour, '2 hours'],
    [47 * hour, '47 hours'],
    [2 * day, '2 days'],
    [13 * day, '13 days'],
    [20 * day, '2 weeks'],
    [59 * day, '8 weeks'],
    [200 * day, '6 months'],
    [800 * day, '2 years'],
  ])('%d ms for people', (ms, text) => {
    expect(humanDuration(ms)).toBe(text);
  });
});

describe('instants', () => {
  const now = Date.parse('2026-01-31T10:00:00Z');

  test.each([
    ['10m', '2026-01-31T09:50:00.000Z'],
    ['2026-01-31T09:00:00Z', '2026-01-31T09:00:00.000Z'],
    ['2026-01-31T09:00:00.25+01:00', '2026-01-31T08:00:00.250Z'],
    ['2026-01-31T09:00Z', '2026-01-31T09:00:00.000Z'],
    ['2026-01-31Z', '2026-01-31T00:00:00.000Z'],
    ['1767225600', '2026-01-01T00:00:00.000Z'],
    ['1767225600.5', '2026-01-01T00:00:00.500Z'],
    ['0', '1970-01-01T00:00:00.000Z'],
  ])('%s', (text, instant) => {
    expect(parseInstant(text, now).toISOString()).toBe(instant);
  });

  test.each(['yesterday', '2026', '2026-13-01', '2026-01-31 10:00', ''])('%j is none', text => {
    if (text === '2026') expect(parseInstant(text).getTime()).toBe(2026_000);
    else expect(reasonOf(() => parseInstant(text))).toContain('is no time');
  });
});
