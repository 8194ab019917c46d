import { statSync } from 'node:fs';

import type { Records } from '../store/records.js';
import type { ContainerRecord } from './record.js';

interface Known {
  readonly inode: number;
  readonly changedMs: number;
  readonly bytes: number;
  readonly record: ContainerRecord;
}

/**
 * All records, each read again only when its file is another: records are written whole and renamed into place, so inode,
 * time and size tell. Looking costs a fifth of reading and parsing, which is what a list of a thousand is made of.
 */
export class Listing {
  readonly #records: Records<ContainerRecord>;
  #known = new Map<string, Known>();

  constructor(records: Records<ContainerRecord>) {
    this.#records = records;
  }

  /** In no particular order. The same object as last time for what has not changed. */
  all(): ContainerRecord[] {
    const known = new Map<string, Known>();
    for (const id of this.#records.ids()) {
      const found = this.#look(id);
      if (found !== undefined) known.set(id, found);
    }
    // Those that are gone are forgotten.
    this.#known = known;
    return Array.from(known.values(), ({ record }) => record);
  }

  /** One of them. */
  get(id: string): ContainerRecord | undefined {
    const found = this.#look(id);
    if (found === undefined) this.#known.delete(id);
    else this.#known.set(id, found);
    return found?.record;
  }

  #look(id: string): Known | undefined {
    const before = this.#known.get(id);
    // Looked at before it is read: what is written in between is read again the next time.
    const stat = statSync(`${this.#records.directory(id)}/record.json`, { throwIfNoEntry: false });
    if (stat === undefined) return undefined;
    const { ino: inode, ctimeMs: changedMs, size: bytes } = stat;
    if (before?.inode === inode && before.changedMs === changedMs && before.bytes === bytes) return before;
    const record = this.#records.get(id);
    return record && { inode, changedMs, bytes, record };
  }
}
