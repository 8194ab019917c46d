import type { ContainerFilter } from '../container/filter.js';
import type { ImageFilter } from '../image/filter.js';
import type { Filter } from '../types.js';
import type { VolumeFilter } from '../volume/filter.js';
import { BadValue } from './flags.js';
import type { Pair } from './pairs.js';
import { parseInstant } from './units.js';
import { UsageError } from './usage-error.js';

/** Whether a thing meets one condition. */
export type Test<T> = (thing: T, value: string) => boolean;

/**
 * Makes one condition of several, as Docker reads `--filter`: values of the same name are alternatives, names add up;
 * but every label has to be there.
 *
 * @throws {@link UsageError} for a name that `tests` does not have.
 */
export function allOf<T>(filters: readonly Pair[], tests: Readonly<Record<string, Test<T>>>): (thing: T) => boolean {
  for (const [name] of filters) {
    if (!Object.hasOwn(tests, name))
      throw new UsageError(`invalid filter '${name}': it is one of ${Object.keys(tests).sort().join(', ')}`, 1);
  }
  const conditions = [...byName(filters)];
  return thing =>
    conditions.every(([name, values]) => {
      const test = tests[name] as Test<T>;
      return name === 'label' ? values.every(value => test(thing, value)) : values.some(value => test(thing, value));
    });
}

/** The condition `label=key` or `label=key=value`. */
export function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const [, key = '', value] = /^([^=]*)(?:=(.*))?$/s.exec(wanted) ?? [];
  return Object.hasOwn(labels, key) && (value === undefined || labels[key] === value);
}

/** Docker takes `name` as a regular expression that may match anywhere; what is none is a whole name. */
export function matchesName(name: string, pattern: string): boolean {
  if (name === pattern) return true;
  try {
    return new RegExp(pattern).test(name);
  } catch {
    return false;
  }
}

/** The values of `--filter`, by name. */
export function byName(filters: readonly Pair[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const [name, value] of filters) found.set(name, [...(found.get(name) ?? []), value]);
  return found;
}

/**
 * What a prune may be told, which is labels only.
 *
 * @throws {@link UsageError}
 */
export function labelFilter(filters: readonly Pair[]): Filter {
  const labels: Record<string, string | true> = {};
  for (const [name, wanted] of filters) {
    if (name !== 'label') throw new UsageError(`invalid filter '${name}': it is label`, 1);
    const [, key = '', value] = /^([^=]*)(?:=(.*))?$/s.exec(wanted) ?? [];
    labels[key] = value ?? true;
  }
  return { labels };
}

/**
 * What a prune of containers may be told: labels that they have or have not, and until when they were created.
 *
 * @throws {@link UsageError}
 */
export function pruneFilter(filters: readonly Pair[]): ContainerFilter {
  const labels = new Map<string, string | true>();
  const notLabels = new Map<string, string | true>();
  let until: Date | undefined;
  for (const [name, wanted] of filters) {
    const [, key = '', value = true] = /^([^=]*)(?:=(.*))?$/s.exec(wanted) ?? [];
    if (name === 'label') labels.set(key, value);
    else if (name === 'label!') notLabels.set(key, value);
    else if (name === 'until') until = instant(wanted);
    else throw new UsageError(`invalid filter '${name}': it is one of label, label!, until`, 1);
  }
  return {
    labels: Object.fromEntries(labels),
    notLabels: Object.fromEntries(notLabels),
    ...(until === undefined ? {} : { until }),
  };
}

/**
 * What a prune of volumes may be told: labels that they have or have not, and whether those with a name are meant, too.
 *
 * @throws {@link UsageError}
 */
export function volumePruneFilter(filters: readonly Pair[], all: boolean): VolumeFilter & { readonly all: boolean } {
  const asked = filters.filter(([name]) => name === 'all');
  const told = asked.map(([name, value]) => readBoolean(name, value));
  if (all && told[0] !== undefined)
    throw new UsageError(`conflicting options: cannot specify both --all and --filter all=${asked[0]?.[1]}`, 1);
  const others = filters.filter(([name]) => name !== 'all');
  const unknown = others.find(([name]) => name !== 'label' && name !== 'label!');
  if (unknown !== undefined) throw new UsageError(`invalid filter '${unknown[0]}': it is one of all, label, label!`, 1);
  const { labels = {}, notLabels = {} } = pruneFilter(others);
  return { labels, notLabels, all: all || told.includes(true) };
}

/** @throws {@link UsageError} for what is neither `true` nor `false`, `1` nor `0`. */
export function readBoolean(name: string, value: string): boolean {
  if (value === 'true' || value === '1') return true;
  if (value === 'false' || value === '0') return false;
  throw new UsageError(`invalid filter '${name}=${value}': it is true or false`, 1);
}

/** @throws {@link UsageError} */
export function instant(text: string): Date {
  try {
    return parseInstant(text);
  } catch (error) {
    throw error instanceof BadValue ? new UsageError(`invalid filter 'until=${text}': ${error.reason}`, 1) : error;
  }
}

/** As {@link pruneFilter}, for images. */
export function imagePruneFilter(filters: readonly Pair[]): ImageFilter {
  const { labels = {}, notLabels = {}, until } = pruneFilter(filters);
  return { labels, notLabels, ...(until && { until }) };
}
