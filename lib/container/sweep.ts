import { isAlive, parseOwner } from '../store/owner.js';
import type { ContainerRecord } from './record.js';

/** Whether a container was to end with a process that has ended. */
export function isOrphan(record: ContainerRecord): boolean {
  if (record.lifetime === 'detached') return false;
  const owner = parseOwner(record.owner);
  return owner === undefined || !isAlive(owner);
}
