/** When to try again, and how long to wait before. */
export interface RetryPolicy {
  /** Tries after the first. */
  readonly retries: number;
  /** Before the second try; doubled for each further one. */
  readonly delayMs: number;
}

/** Longer than this we do not wait for a registry: the caller is told instead. */
const MAX_WAIT_MS = 60_000;
const MAX_BACKOFF_MS = 10_000;

/** Statuses that a moment may change. */
export function isTransientStatus(status: number): boolean {
  return status === 408 || status === 429 || status === 500 || status === 502 || status === 503 || status === 504;
}

/**
 * How long to wait before the next try.
 *
 * @param attempt - Tries so far.
 * @param retryAfter - What the registry said in `Retry-After`.
 * @returns `undefined` when there is to be no next try.
 */
export function waitBefore(policy: RetryPolicy, attempt: number, retryAfter?: string): number | undefined {
  if (attempt > policy.retries) return undefined;
  const asked = retryAfterMs(retryAfter);
  if (asked !== undefined) return asked <= MAX_WAIT_MS ? asked : undefined;
  const backoff = Math.min(policy.delayMs * 2 ** (attempt - 1), MAX_BACKOFF_MS);
  // Half of it by chance, so that twenty pulls that failed together do not return together.
  return backoff / 2 + (Math.random() * backoff) / 2;
}

/** Seconds or a date: RFC 9110, section 10.2.3. `undefined` when it is neither. */
export function retryAfterMs(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\s*\d+\s*$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}
