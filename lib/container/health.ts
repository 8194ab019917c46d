import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { errorCode } from '../errors.js';
import type { Fact } from '../host/job.js';
import { StartFailure } from '../runtime/monitor.js';
import type { Live } from './live.js';
import type { ContainerRecord } from './record.js';
import { healthCommand } from './settle.js';
import { explainStart } from './start-error.js';

/** What a health check says of a container. `none`: it has no health check, or was never started. */
export type HealthStatus = 'none' | 'starting' | 'healthy' | 'unhealthy';

/** How one check went. */
export interface HealthResult {
  /** When it began. */
  readonly start: Date;
  /** When it was over. */
  readonly end: Date;
  /** 0 is healthy; -1 when it could not be run, or took too long. */
  readonly exitCode: number;
  /** What it wrote, 4,096 bytes at most. */
  readonly output: string;
}

/** What is known of a container's health. */
export interface Health {
  readonly status: HealthStatus;
  readonly failingStreak: number;
  /** The last five, oldest first. */
  readonly log: readonly HealthResult[];
}

const NONE: Health = { status: 'none', failingStreak: 0, log: [] };

/** The file in which the monitor keeps the results. */
export function healthFile(directory: string): string {
  return join(directory, 'health.json');
}

/** Reads what the monitor has written. One that does not run is unhealthy: so Docker has it. */
export function readHealth(record: ContainerRecord, live: Live): Health {
  if (record.config.healthcheck === undefined) return NONE;
  let text: string;
  try {
    text = readFileSync(healthFile(live.directory(record)), 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return NONE;
    throw error;
  }
  const { status, failingStreak, log } = JSON.parse(text) as Written;
  const { name } = live.state(record.id);
  return {
    status: name === 'running' || name === 'paused' ? status : 'unhealthy',
    failingStreak,
    log: log.map(each => ({
      start: new Date(each.start),
      end: new Date(each.end),
      exitCode: each.exitCode,
      output: outputOf(each, record),
    })),
  };
}

/** What the monitor writes. */
interface Written {
  readonly status: HealthStatus;
  readonly failingStreak: number;
  readonly log: readonly WrittenResult[];
}

interface WrittenResult {
  readonly start: number;
  readonly end: number;
  readonly exitCode: number;
  readonly output: string;
  readonly timedOut?: true;
  /** The error fact of a check that could not be started. */
  readonly failure?: Omit<Fact, 'fact'>;
}

/** What it wrote or, in Docker's words, why it could not. */
function outputOf({ output, timedOut, failure }: WrittenResult, { name, config }: ContainerRecord): string {
  if (failure !== undefined) {
    const command = config.healthcheck === undefined ? [] : healthCommand(config.healthcheck);
    const error = explainStart(new StartFailure({ fact: 'error', ...failure }), {
      call: 'health check',
      ref: name,
      command,
    });
    return (error as Error).message;
  }
  if (timedOut !== true) return output;
  const limit = goDuration(config.healthcheck?.timeoutMs || 30_000);
  return `Health check exceeded timeout (${limit})${output === '' ? '' : `: ${output}`}`;
}

/** `1m30s`, `1.5s`, `300ms`. */
function goDuration(ms: number): string {
  if (ms < 1000) return `${ms}ms`;
  const [hours, minutes, seconds] = [Math.floor(ms / 3_600_000), Math.floor(ms / 60_000) % 60, (ms % 60_000) / 1000];
  return `${hours > 0 ? `${hours}h` : ''}${hours > 0 || minutes > 0 ? `${minutes}m` : ''}${seconds}s`;
}
