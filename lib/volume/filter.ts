import type { Filter } from '../types.js';
import type { VolumeRecord } from './record.js';

/** Which volumes are meant. What is left out is no condition. */
export interface VolumeFilter extends Filter {
  /** Not those that have one of these labels; `{key: true}` is for every value. */
  readonly notLabels?: Readonly<Record<string, string | true>>;
}

/** Whether a volume is one of those that are meant. */
export function isMeant(record: VolumeRecord, { name, labels = {}, notLabels = {} }: VolumeFilter): boolean {
  const has = ([key, value]: readonly [string, string | true]): boolean =>
    value === true ? Object.hasOwn(record.labels, key) : record.labels[key] === value;
  if (typeof name === 'string' && record.id !== name) return false;
  if (name instanceof RegExp && record.id.search(name) < 0) return false;
  return Object.entries(labels).every(has) && !Object.entries(notLabels).some(has);
}
