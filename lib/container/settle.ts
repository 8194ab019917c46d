import type { ImageRunConfig } from '../oci/image-spec.js';
import type { CreateContainerOptions, Healthcheck, RestartPolicy } from './options.js';
import type { SettledHealthcheck, SettledRestart } from './record.js';

const DEFAULT_SHELL = ['/bin/sh', '-c'];
/** The longest that a timer can be: 24 days. */
const LONGEST_MS = 2 ** 31 - 1;

/**
 * When a container is started again, checked by Docker's rules; `undefined` for never.
 *
 * @throws `TypeError` for a policy that there is none, or that contradicts `autoRemove`.
 */
export function settleRestart(
  { restart = 'no', autoRemove }: Pick<CreateContainerOptions, 'restart' | 'autoRemove'>,
  call: string,
): SettledRestart | undefined {
  const policy = restartOf(restart, call);
  if (policy !== undefined && autoRemove === true) {
    throw new TypeError(`${call}: restart: a container with autoRemove cannot be restarted. Leave one of the two out`);
  }
  return policy;
}

function restartOf(restart: RestartPolicy, call: string): SettledRestart | undefined {
  if (restart === 'no') return undefined;
  if (restart === 'always' || restart === 'unless-stopped' || restart === 'on-failure')
    return { name: restart, maxRetries: 0 };
  const maxRetries = typeof restart === 'object' ? restart?.onFailure : undefined;
  if (maxRetries !== undefined && Number.isInteger(maxRetries) && maxRetries >= 0 && maxRetries < 2 ** 31)
    return { name: 'on-failure', maxRetries };
  throw new TypeError(
    `${call}: restart: expected 'no', 'always', 'unless-stopped', 'on-failure' or {onFailure: 3}, got ${JSON.stringify(restart)}`,
  );
}

/**
 * How a container's health is told: the user's fields and else the image's; `undefined` for not at all.
 *
 * @throws `TypeError` for times and numbers that cannot be, and for a check without a command.
 */
export function settleHealthcheck(
  own: Healthcheck | false | undefined,
  image: ImageRunConfig,
  call: string,
): SettledHealthcheck | undefined {
  if (own === false) return undefined;
  const theirs = image.Healthcheck;
  const test = own?.command === undefined ? (theirs?.Test ?? []) : testOf(own.command);
  if (test.length === 0 || test[0] === 'NONE') {
    if (own === undefined || test[0] === 'NONE') return undefined;
    throw new TypeError(`${call}: healthcheck.command: the image has no health check, so one must be given`);
  }
  if ((test[0] !== 'CMD' && test[0] !== 'CMD-SHELL') || test.length < 2 || test.some(word => word.includes('\0'))) {
    throw new TypeError(`${call}: healthcheck.command: expected words without NUL bytes, got ${JSON.stringify(test)}`);
  }
  const shell = image.Shell === undefined || image.Shell.length === 0 ? DEFAULT_SHELL : image.Shell;
  const onFailure = own?.onFailure ?? 'none';
  if (!['none', 'kill', 'restart', 'stop'].includes(onFailure)) {
    throw new TypeError(
      `${call}: healthcheck.onFailure: expected 'none', 'kill', 'restart' or 'stop', got ${JSON.stringify(onFailure)}`,
    );
  }
  const time = (field: TimeField, nanoseconds: number | undefined): number =>
    checkTime(`${call}: healthcheck.${field}`, own?.[field] ?? Math.ceil((nanoseconds ?? 0) / 1e6));
  return {
    test,
    shell,
    intervalMs: time('intervalMs', theirs?.Interval),
    timeoutMs: time('timeoutMs', theirs?.Timeout),
    startPeriodMs: time('startPeriodMs', theirs?.StartPeriod),
    startIntervalMs: time('startIntervalMs', theirs?.StartInterval),
    retries: checkCount(`${call}: healthcheck.retries`, own?.retries ?? theirs?.Retries ?? 0),
    onFailure,
  };
}

type TimeField = 'intervalMs' | 'timeoutMs' | 'startPeriodMs' | 'startIntervalMs';

/** What the monitor executes. */
export function healthCommand({ test, shell }: SettledHealthcheck): readonly string[] {
  return test[0] === 'CMD-SHELL' ? [...shell, ...test.slice(1)] : test.slice(1);
}

function testOf(command: readonly string[] | string): readonly string[] {
  return typeof command === 'string' ? ['CMD-SHELL', command] : ['CMD', ...command];
}

/** 0 is Docker's way to say the default. */
function checkTime(what: string, value: number): number {
  if (value === 0 || (Number.isFinite(value) && value >= 1)) return Math.min(value, LONGEST_MS);
  throw new TypeError(`${what}: expected 1 ms or more, or 0 for the default; got ${String(value)}`);
}

function checkCount(what: string, value: number): number {
  if (Number.isInteger(value) && value >= 0) return value;
  throw new TypeError(`${what}: expected a whole number, 0 for the default; got ${String(value)}`);
}
