import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { errorCode } from '../errors.js';
import type { Live } from './live.js';
import type { ContainerRecord } from './record.js';

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
  const { status, failingStreak, log } = JSON.parse(text) as Health & {
    readonly log: readonly { start: number; end: number; exitCode: number; output: string }[];
  };
  const { name } = live.state(record.id);
  return {
    status: name === 'running' || name === 'paused' ? status : 'unhealthy',
    failingStreak,
    log: log.map(({ start, end, exitCode, output }) => ({
      start: new Date(start),
      end: new Date(end),
      exitCode,
      output,
    })),
  };
}
