import { readFileSync } from 'node:fs';

import type { CreateContainerOptions } from '../container/options.js';
import { isEngineError } from '../errors.js';
import { parseSeccompProfile } from '../runtime/seccomp-profile.js';
import { UsageError } from './usage-error.js';

type Wishes = Pick<
  CreateContainerOptions,
  'seccomp' | 'noNewPrivileges' | 'appArmor' | 'maskedPaths' | 'readOnlyPaths' | 'writableCgroups'
>;
type Writable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Reads `--security-opt`, any number of them: `no-new-privileges[=true|false]`, `seccomp=FILE|unconfined|builtin`,
 * `apparmor=PROFILE|unconfined`, `label=disable`, `systempaths=unconfined`, `writable-cgroups=true|false`. In old scripts
 * there is a colon in place of the equals sign.
 */
export function securityOptions(options: readonly string[]): Wishes {
  const found: Writable<Wishes> = {};
  options.forEach((option, index) => {
    const [, key = option, value] = /^([^=:]+)[=:](.*)$/s.exec(option) ?? [];
    const rule = Object.hasOwn(rules, key) ? rules[key] : undefined;
    if (rule === undefined || (value === undefined && key !== 'no-new-privileges'))
      throw new UsageError(`Invalid --security-opt: ${JSON.stringify(option)}`);
    if (!rule(found, value ?? 'true')) {
      throw new UsageError(`invalid --security-opt ${index + 1}: ${JSON.stringify(option)}`);
    }
  });
  return found;
}

/** Each takes a value, or says that it is none. */
const rules: Readonly<Partial<Record<string, (found: Writable<Wishes>, value: string) => boolean>>> = {
  'no-new-privileges': (found, value) => asBoolean(value, truth => (found.noNewPrivileges = truth)),
  'writable-cgroups': (found, value) => asBoolean(value, truth => (found.writableCgroups = truth)),
  systempaths: (found, value) => {
    found.maskedPaths = [];
    found.readOnlyPaths = [];
    return value === 'unconfined';
  },
  seccomp: (found, value) => {
    if (value === 'builtin') delete found.seccomp;
    else found.seccomp = value === 'unconfined' ? value : readProfile(value);
    return true;
  },
  apparmor: (found, value) => {
    found.appArmor = value;
    return value !== '';
  },
  label: (_found, value) => {
    // Without SELinux there is nothing to switch off; anything else would be a promise that nobody keeps.
    if (value !== 'disable')
      throw new UsageError(
        `--security-opt label=${value}: SELinux labels are not supported: leave it out, or say label=disable`,
      );
    return true;
  },
};

const truths: Readonly<Partial<Record<string, boolean>>> = Object.fromEntries([
  ...['1', 't', 'T', 'TRUE', 'true', 'True'].map(word => [word, true]),
  ...['0', 'f', 'F', 'FALSE', 'false', 'False'].map(word => [word, false]),
]);

function asBoolean(text: string, set: (truth: boolean) => void): boolean {
  const truth = Object.hasOwn(truths, text) ? truths[text] : undefined;
  if (truth !== undefined) set(truth);
  return truth !== undefined;
}

function readProfile(path: string): object {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(`opening seccomp profile (${path}) failed: ${(error as Error).message}`);
  }
  try {
    return parseSeccompProfile(text, path, 'run');
  } catch (error) {
    if (!isEngineError(error)) throw error;
    throw new UsageError(`parsing seccomp profile (${path}) failed: ${error.message}`);
  }
}
