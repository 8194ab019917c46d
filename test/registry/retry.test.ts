import { describe, expect, test } from '@jest/globals';

import { isTransientStatus, retryAfterMs, waitBefore } from '../../lib/registry/retry.js';

describe('before the next try', () => {
  const policy = { retries: 4, delayMs: 100 };

  test.each([
    [1, 50, 100],
    [2, 100, 200],
    [3, 200, 400],
    [4, 400, 800],
  ])('after %i tries between %i and %i ms pass', (attempt, least, most) => {
    for (let i = 0; i < 50; i++) {
      const wait = waitBefore(policy, attempt) ?? -1;
      expect(wait).toBeGreaterThanOrEqual(least);
      expect(wait).toBeLessThanOrEqual(most);
    }
  });

  test('what the registry says goes before what we think', () => {
    expect(waitBefore(policy, 1, '7')).toBe(7000);
    expect(waitBefore(policy, 1, '0')).toBe(0);
  });

  test('nobody waits for ever', () => {
    expect(waitBefore(policy, 5)).toBeUndefined();
    expect(waitBefore(policy, 1, '61')).toBeUndefined();
    expect(waitBefore({ retries: 100, delayMs: 100 }, 99)).toBeLessThanOrEqual(10_000);
  });
});

test('Retry-After is seconds or a date', () => {
  expect(retryAfterMs('120')).toBe(120_000);
  expect(retryAfterMs(new Date(Date.now() + 60_000).toUTCString())).toBeGreaterThan(58_000);
  expect(retryAfterMs('Fri, 31 Dec 1999 23:59:59 GMT')).toBe(0);
  expect(retryAfterMs('soon')).toBeUndefined();
  expect(retryAfterMs(undefined)).toBeUndefined();
});

test('only what may pass is tried again', () => {
  const transient = [200, 400, 401, 403, 404, 408, 429, 500, 501, 502, 503, 504].filter(isTransientStatus);
  expect(transient).toEqual([408, 429, 500, 502, 503, 504]);
});
