import { existsSync } from 'node:fs';

import { isAlive, parseOwner } from '../store/owner.js';
import type { Live } from './live.js';
import type { ContainerRecord } from './record.js';

/**
 * Whether a container is to go now: it goes when it has ended, and has; it ends with a process that has ended; or somebody
 * began to remove it, and did not come to the end of it.
 */
export function isToGo(record: ContainerRecord, live: Live): boolean {
  const orphan = isOrphan(record);
  if (record.autoRemove !== true && !orphan && !existsSync(live.paths(record.id).removing)) return false;
  const { name } = live.state(record.id);
  return (
    name === 'dead' || (name === 'exited' && (record.autoRemove === true || orphan)) || (name === 'created' && orphan)
  );
}

/** Whether a container was to end with a process that has ended. */
export function isOrphan(record: ContainerRecord): boolean {
  if (record.lifetime === 'detached') return false;
  const owner = parseOwner(record.owner);
  return owner === undefined || !isAlive(owner);
}
