import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { errorCode } from '../errors.js';
import { toEnded, toStarted, type Ended, type Started } from '../runtime/monitor.js';
import { isAlive, parseOwner } from '../store/owner.js';

/** Where a container stands, as far as this machine's files and processes tell. Docker's seven words. */
export type State =
  /** It was never started. */
  | { readonly name: 'created' }
  | { readonly name: 'running'; readonly started: Started }
  /** Its processes are frozen. */
  | { readonly name: 'paused'; readonly started: Started }
  /** It has ended, and its monitor is about to start it again. */
  | { readonly name: 'restarting'; readonly ended: Ended | undefined }
  /** Some process is taking it away. */
  | { readonly name: 'removing' }
  /** It ran. Without `ended`, nobody saw how it ended: its monitor was killed, or the machine went down. */
  | { readonly name: 'exited'; readonly ended: Ended | undefined }
  /** Somebody began to take it away, and could not. All that is left to do is to remove it. */
  | { readonly name: 'dead' };

/** The paths that tell of a container's state. */
export interface StatePaths {
  /** In the run directory, written by the monitor; there while it runs. */
  readonly runDir: string;
  /** Where the monitor may have written at the end how it went. */
  readonly exitFiles: readonly string[];
  /** There while it is being removed: who does. */
  readonly removing: string;
  /** There once it was started, if that is to be remembered over a reboot. */
  readonly intent: string;
}

/** What the user last asked for: it was started and, perhaps, stopped. */
export interface Intent {
  readonly stopped: boolean;
}

/**
 * Finds out the state. There is nothing to be kept in step: the monitor writes one file when the container runs and
 * another when it has ended, a monitor that was killed is told by its pid and start time, and the kernel knows whether
 * the container is frozen.
 */
export function readState(paths: StatePaths): State {
  const removal = readJson(paths.removing);
  if (removal !== undefined) return { name: isGoingOn(removal) ? 'removing' : 'dead' };
  const running = readJson(join(paths.runDir, 'running'));
  if (running !== undefined) {
    const started = toStarted(running);
    if (processStartTime(started.monitor) === started.monitorStartTime) {
      if (running['restarting'] === true) return { name: 'restarting', ended: readEnd(paths) };
      return { name: isFrozen(started) ? 'paused' : 'running', started };
    }
  }
  const ended = readEnd(paths);
  if (ended !== undefined) return { name: 'exited', ended };
  // The monitor was killed, or the machine went down: it ran, and nobody saw how it ended.
  const ran = running !== undefined || readIntent(paths) !== undefined;
  return ran ? { name: 'exited', ended: undefined } : { name: 'created' };
}

/** Whether it has processes, or will have again in a moment: what Docker calls running. */
export function isUp(state: State): boolean {
  return state.name === 'running' || state.name === 'paused' || state.name === 'restarting';
}

/** Whether its processes stand still: the kernel is asked. */
export function isFrozen({ freezer }: Started): boolean {
  if (freezer === undefined) return false;
  try {
    return readFileSync(freezer.path, 'latin1').split('\n').includes(freezer.done);
  } catch (error) {
    // The group goes when the container ends.
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENODEV') return false;
    throw error;
  }
}

/** How it last ended, if that was written down. */
export function readEnd(paths: StatePaths): Ended | undefined {
  for (const file of paths.exitFiles) {
    const ended = readJson(file);
    if (ended !== undefined) return toEnded(ended);
  }
  return undefined;
}

/** What the user last asked for; `undefined` when it was never started, or that is not remembered. */
export function readIntent(paths: StatePaths): Intent | undefined {
  const intent = readJson(paths.intent);
  return intent === undefined ? undefined : { stopped: intent['stopped'] === true };
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

function isGoingOn(removal: Record<string, unknown>): boolean {
  const owner = typeof removal['owner'] === 'string' ? parseOwner(removal['owner']) : undefined;
  return removal['failed'] !== true && owner !== undefined && isAlive(owner);
}

/** `undefined` when there is no such file, and for half of one: what is here is written whole, but for a power cut. */
function readJson(path: string): Record<string, unknown> | undefined {
  // Most of what is looked for is not there, and an exception costs ten times what this look does.
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {}; // It was there, and that alone tells something.
  }
}
