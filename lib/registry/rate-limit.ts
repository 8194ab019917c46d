import { retryAfterMs } from './retry.js';
import type { Response } from './transport.js';

/** What a registry says of how much it lets us ask; what it does not say is `undefined`. */
export interface RateLimit {
  readonly resetAt: Date | undefined;
  readonly limit: number | undefined;
  readonly remaining: number | undefined;
  readonly windowMs: number | undefined;
}

/** Larger numbers are instants, smaller ones are seconds from now: both are found under the same name. */
const EPOCH_S = 1_000_000_000;

/**
 * Reads `RateLimit-Limit: 100;w=21600`, `RateLimit-Remaining: 76;w=21600`, and when it begins anew: `Retry-After`, or
 * `X-RateLimit-Reset`.
 */
export function readRateLimit(response: Pick<Response, 'header'>): RateLimit {
  const limit = response.header('ratelimit-limit') ?? response.header('x-ratelimit-limit');
  const remaining = response.header('ratelimit-remaining') ?? response.header('x-ratelimit-remaining');
  const window = /;\s*w=(\d{1,12})/.exec(limit ?? '')?.[1];
  return {
    limit: first(limit),
    remaining: first(remaining),
    windowMs: window === undefined ? undefined : Number(window) * 1000,
    resetAt: resetAt(response),
  };
}

function resetAt(response: Pick<Response, 'header'>): Date | undefined {
  const wait = retryAfterMs(response.header('retry-after'));
  if (wait !== undefined) return instant(Date.now() + wait);
  const reset = first(
    response.header('ratelimit-reset') ?? response.header('x-ratelimit-reset') ?? response.header('x-retry-after'),
  );
  if (reset === undefined) return undefined;
  return instant(reset > EPOCH_S ? reset * 1000 : Date.now() + reset * 1000);
}

/** A number that is too large for a date says nothing. */
function instant(ms: number): Date | undefined {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? undefined : date;
}

function first(text: string | undefined): number | undefined {
  const digits = /^\s*(\d{1,15})/.exec(text ?? '')?.[1];
  return digits === undefined ? undefined : Number(digits);
}
