import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { errorCode } from '../errors.js';
import { toEnded, toStarted, type Ended, type Started } from '../runtime/monitor.js';

/** Where a container stands, as far as this machine's files and processes tell. */
export type State =
  | { readonly name: 'created' }
  | { readonly name: 'running'; readonly started: Started }
  | { readonly name: 'exited'; readonly ended: Ended | undefined };

/** The paths that tell of a container's state. */
export interface StatePaths {
  /** In the run directory, written by the monitor; there while it runs. */
  readonly runDir: string;
  /** Where the monitor may have written at the end how it went. */
  readonly exitFiles: readonly string[];
}

/**
 * Finds out the state. There is nothing to be kept in step: the monitor writes one file when the container runs and
 * another when it has ended, and a monitor that was killed is told by its pid and start time.
 */
export function readState(paths: StatePaths): State {
  const running = readJson(join(paths.runDir, 'running'));
  if (running !== undefined) {
    const started = toStarted(running);
    if (processStartTime(started.monitor) === started.monitorStartTime) return { name: 'running', started };
  }
  const ended = paths.exitFiles.map(readJson).find(found => found !== undefined);
  if (ended !== undefined) return { name: 'exited', ended: toEnded(ended) };
  // The monitor was killed, or the machine went down: it ran, and nobody saw how it ended.
  return running === undefined ? { name: 'created' } : { name: 'exited', ended: undefined };
}

/** When a process began, in clock ticks since boot; `undefined` when there is none, or only its zombie. */
export function processStartTime(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : Number(fields[19]);
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ESRCH') return undefined;
    throw error;
  }
}

function readJson(path: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}
