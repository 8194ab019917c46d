import { parseReference } from '../oci/reference.js';
import type { Filter, Labels } from '../types.js';
import { familiar } from './inspect.js';
import type { ImageRecord } from './record.js';

/** Which images are meant. */
export interface ImageFilter extends Filter {
  /** `true` for those without a tag, `false` for the others. */
  readonly dangling?: boolean;
}

/** @param tags - The image's, in full. A name is compared as Docker prints it. */
export function matches(record: ImageRecord, tags: readonly string[], filter: ImageFilter): boolean {
  const { name, labels = {}, dangling } = filter;
  if (dangling !== undefined && dangling !== (tags.length === 0)) return false;
  if (!Object.entries(labels).every(([key, value]) => hasLabel(record.labels, key, value))) return false;
  if (name === undefined) return true;
  const fits =
    typeof name === 'string'
      ? (tag: string): boolean => tag === parseReference(name).toString()
      : (tag: string): boolean => familiar(tag).search(name) !== -1;
  return tags.some(fits);
}

function hasLabel(labels: Labels, key: string, value: string | true): boolean {
  return Object.hasOwn(labels, key) && (value === true || labels[key] === value);
}
