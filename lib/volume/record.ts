import { randomBytes } from 'node:crypto';

import type { Records } from '../store/records.js';
import type { AbortOptions, EngineEvents, Labels } from '../types.js';

/** What the store knows of a volume: `volumes/<name>/record.json`, next to `_data`. */
export interface VolumeRecord {
  /** Its name. */
  readonly id: string;
  readonly labels: Labels;
  /** RFC 3339. */
  readonly createdAt: string;
  /** Made for a container that named none, and gone with it. */
  readonly anonymous: boolean;
  /** Of the `local` driver: see `local-driver.ts`. */
  readonly driverOptions?: Readonly<Record<string, string>>;
  /** The process that it must not outlive, as `formatOwner` wrote it. */
  readonly owner?: string;
}

/** The parts of the store that volumes live in. */
export interface VolumeStore {
  records(kind: 'volumes'): Records<VolumeRecord>;
  lock(name: string, options?: AbortOptions): Promise<AsyncDisposable>;
  /** Takes a tree out of sight now and deletes it in the background. */
  discard(path: string): boolean;
}

/** How a collection tells the engine what happened. */
export type Emit = <K extends keyof EngineEvents>(type: K, event: EngineEvents[K][0]) => void;

/** Docker's grammar, and no longer than a file name may be. */
export const volumeName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,254}$/;

/** The name of a volume that was given none. */
export function newName(): string {
  return randomBytes(32).toString('hex');
}

/** As a record has it. */
export function now(): string {
  return new Date().toISOString();
}
