import type { Filter } from '../types.js';
import type { Pair } from './pairs.js';
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
  const byName = new Map<string, string[]>();
  for (const [name, value] of filters) {
    if (!Object.hasOwn(tests, name))
      throw new UsageError(`invalid filter '${name}': it is one of ${Object.keys(tests).sort().join(', ')}`, 1);
    byName.set(name, [...(byName.get(name) ?? []), value]);
  }
  return thing =>
    [...byName].every(([name, values]) => {
      const test = tests[name] as Test<T>;
      return name === 'label' ? values.every(value => test(thing, value)) : values.some(value => test(thing, value));
    });
}

/** The condition `label=key` or `label=key=value`. */
export function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const [, key = '', value] = /^([^=]*)(?:=(.*))?$/s.exec(wanted) ?? [];
  return Object.hasOwn(labels, key) && (value === undefined || labels[key] === value);
}

/** Docker takes `name` as a regular expression that may match anywhere. */
export function matchesName(name: string, pattern: string): boolean {
  try {
    return new RegExp(pattern).test(name);
  } catch {
    return name.includes(pattern); // Not a regular expression: then it is a part of the name.
  }
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
