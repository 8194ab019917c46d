import { randomBytes } from 'node:crypto';

import { NotFoundError } from '../errors.js';
import type { Containers } from './containers.js';
import { parseDetachKeys } from './detach-keys.js';
import { Exec } from './exec.js';
import { recordFile, execHead, listExecs, readExec, type ExecRequest } from './exec-record.js';
import type { SpawnOptions } from './options.js';
import { toProcess, type Process } from './process.js';
import type { ContainerRecord } from './record.js';

/** Starts a further process that can be found again by its id. */
export async function spawnIn(
  home: Containers,
  record: ContainerRecord,
  command: readonly string[],
  options: SpawnOptions,
): Promise<Process> {
  const call = 'container.spawn';
  const { detachKeys, stdin = true, tty = false, privileged = false } = options;
  if (detachKeys !== undefined) parseDetachKeys(detachKeys, call);
  const request: ExecRequest = {
    id: randomBytes(32).toString('hex'),
    containerId: record.id,
    command,
    tty,
    stdin,
    privileged,
    user: options.user ?? record.config.user,
    cwd: options.cwd ?? record.config.cwd,
  };
  const { runDir } = home.live.paths(record.id);
  const monitored = await home.exec(record, command, { ...options, stdin, call }, () => execHead(runDir, request));
  // The streams before the first await: not a byte of output may come before there is somebody to take it.
  const process = toProcess(monitored, 0, { id: request.id, onDispose: 'kill', detachKeys, readOnly: !stdin });
  try {
    const { pid } = await monitored.started;
    return Object.assign(process, { pid });
  } catch (error) {
    throw home.explain(error, { call, ref: record.name, command });
  }
}

/** Those of a container that are remembered. */
export function execsOf(home: Containers, record: ContainerRecord): Exec[] {
  const { runDir } = home.live.paths(record.id);
  return listExecs(runDir).map(({ id }) => new Exec(home.helper, runDir, id));
}

/** @throws {@link NotFoundError} */
export function findExec(home: Containers, record: ContainerRecord, id: string, call: string): Exec {
  const { runDir } = home.live.paths(record.id);
  const info = /^[0-9a-f]{12,64}$/.test(id) ? readExec(recordFile(runDir, id)) : undefined;
  if (info?.id.startsWith(id) === true) return new Exec(home.helper, runDir, info.id);
  throw new NotFoundError({ call, kind: 'process', ref: id, remedy: 'It ended long ago, or was never started' });
}
