import { parseReference } from '../oci/reference.js';
import type { Filter, Labels } from '../types.js';
import { matchesReference } from './glob.js';
import { familiar, instantOf } from './inspect.js';
import type { ImageRecord } from './record.js';

/** Which images are meant. */
export interface ImageFilter extends Filter {
  /** `true` for those without a tag, `false` for the others. */
  readonly dangling?: boolean;
  /** A name, or a pattern with `*`, `?` and `[…]`, none of which crosses a slash; of several, one has to fit. */
  readonly reference?: string | readonly string[];
  /** Made before this image. */
  readonly before?: string;
  /** Made after this image. */
  readonly since?: string;
  /** Made before this instant. */
  readonly until?: Date;
  /** None of these labels; `{key: true}` means that the label must not be there at all. */
  readonly notLabels?: Readonly<Record<string, string | true>>;
}

/** {@link ImageFilter} with references to images resolved to when those were made. */
export type ResolvedFilter = Omit<ImageFilter, 'before' | 'since'> & {
  readonly madeBefore?: Date;
  readonly madeAfter?: Date;
};

/** @param tags - The image's, in full. A name is compared as Docker prints it. */
export function matches(record: ImageRecord, tags: readonly string[], filter: ResolvedFilter): boolean {
  const { name, labels = {}, notLabels = {}, dangling, reference, until, madeBefore, madeAfter } = filter;
  if (dangling !== undefined && dangling !== (tags.length === 0)) return false;
  if (!Object.entries(labels).every(([key, value]) => hasLabel(record.labels, key, value))) return false;
  if (Object.entries(notLabels).some(([key, value]) => hasLabel(record.labels, key, value))) return false;
  const created = instantOf(record.created) ?? new Date(0);
  if (until !== undefined && created >= until) return false;
  if (madeBefore !== undefined && created >= madeBefore) return false;
  if (madeAfter !== undefined && created <= madeAfter) return false;
  if (reference !== undefined) {
    const names = [...tags, ...record.repoDigests].map(familiar);
    if (![reference].flat().some(pattern => names.some(each => matchesReference(each, pattern)))) return false;
  }
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
