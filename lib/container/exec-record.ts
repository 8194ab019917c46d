import { mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { errorCode, type ExitStatus } from '../errors.js';
import { toEnded } from '../runtime/monitor.js';
import { processStartTime } from './state.js';
import { statusOf } from './status.js';

/** So many that have ended are remembered for each container. */
const REMEMBERED = 100;

/** What was asked for when a further process was started. */
export interface ExecRequest {
  /** 64 hexadecimal digits. */
  readonly id: string;
  readonly containerId: string;
  readonly command: readonly string[];
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly privileged: boolean;
  readonly user: string;
  readonly cwd: string;
}

/** A frozen copy of what is known of a further process at one moment. */
export interface ExecInfo extends ExecRequest {
  /** Whether it has not ended. */
  readonly running: boolean;
  /** As the host numbers it. */
  readonly pid: number;
  readonly startedAt: Date;
  /** How it ended. */
  readonly exit: ExitStatus | undefined;
}

/** Where the helper keeps the record of one; its socket is beside it. */
export function recordFile(runDir: string, id: string): string {
  return join(runDir, 'x', id.slice(0, 12));
}

/** The beginning of a record: the helper adds how it goes. */
export function execHead(runDir: string, request: ExecRequest): { file: string; head: string } {
  mkdirSync(join(runDir, 'x'), { recursive: true, mode: 0o700 });
  const file = recordFile(runDir, request.id);
  return { file, head: `{"request":${JSON.stringify(request)}` };
}

/** `undefined` when there is none of that name. */
export function readExec(file: string): ExecInfo | undefined {
  const text = readIfThere(file);
  if (text === undefined) return undefined;
  const found = JSON.parse(text) as Record<string, unknown> & { readonly request: ExecRequest };
  const hasEnded = 'exitCode' in found;
  const isAlive = !hasEnded && processStartTime(Number(found['monitor'])) === Number(found['monitorStartTime']);
  return Object.freeze({
    ...found.request,
    running: isAlive,
    pid: Number(found['pid']),
    startedAt: new Date(Number(found['startedAtMs'])),
    // One whose helper was killed was killed with it.
    exit: isAlive ? undefined : statusOf(hasEnded ? toEnded(found) : undefined),
  });
}

/** All of a container that are remembered, oldest first. Those that ended long ago are forgotten. */
export function listExecs(runDir: string): ExecInfo[] {
  const directory = join(runDir, 'x');
  const infos = namesIn(directory)
    .filter(name => /^[0-9a-f]{12}$/.test(name))
    .map(name => readExec(join(directory, name)))
    .filter(info => info !== undefined)
    .sort((a, b) => a.startedAt.getTime() - b.startedAt.getTime());
  const ended = infos.filter(({ running }) => !running);
  const forgotten = new Set(ended.slice(0, Math.max(0, ended.length - REMEMBERED)).map(({ id }) => id));
  for (const id of forgotten) {
    for (const ending of ['', '.sock']) rmSync(`${recordFile(runDir, id)}${ending}`, { force: true });
  }
  return infos.filter(({ id }) => !forgotten.has(id));
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
