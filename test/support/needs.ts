import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

import { describe as jestDescribe, test as jestTest } from '@jest/globals';

/** Said once per worker and reason. */
const said = new Set<string>();

/** Under this nothing may be left out: what cannot run has failed. CI sets it where everything is installed. */
const mustWork = process.env['CTR_MUST_WORK'] === '1';

/** Jest's own, or what leaves its tests out. */
export interface Suite {
  readonly describe: typeof jestDescribe.skip;
  readonly test: typeof jestTest.skip;
}

/**
 * For tests that need more than Node and a compiler: `const { describe, test } = needs('root', 'nft')`.
 *
 * @param wants - `root`; `registry` and `docker` for the servers that `.ci/run` starts (see `peers.ts`); anything else is a
 * program that must be in the PATH.
 * @returns `describe` and `test` that run here, or are left out with the reason printed. Under `CTR_MUST_WORK=1` the
 * file fails instead.
 */
export function needs(...wants: readonly string[]): Suite {
  const missing = wants.map(lack).filter(reason => reason !== undefined);
  if (missing.length === 0) return { describe: jestDescribe, test: jestTest };
  const reason = missing.join('; ');
  if (mustWork) {
    // One failure for the file, which says why; what it would have tested is left out all the same.
    jestTest(`has what it needs: ${wants.join(', ')}`, () => {
      throw new Error(`CTR_MUST_WORK=1, but ${reason}`);
    });
  }
  if (!said.has(reason)) process.stderr.write(`left out: ${reason}\n`);
  said.add(reason);
  return { describe: jestDescribe.skip, test: jestTest.skip };
}

/** What is missing, or `undefined`. */
function lack(want: string): string | undefined {
  if (want === 'root') return process.getuid?.() === 0 ? undefined : 'needs root: run the suite with sudo';
  if (want === 'registry') return lackOf('TSC_TEST_REGISTRY', 'a real registry (host:port)');
  if (want === 'docker') return lackOf('TSC_TEST_DOCKER_HOST', 'a real Docker Engine (unix:///path)');
  return programPath(want) === undefined ? `needs the program ${want}` : undefined;
}

function lackOf(variable: string, what: string): string | undefined {
  return (process.env[variable] ?? '') === '' ? `needs ${what} in ${variable}: .ci/run starts one` : undefined;
}

/** Where a program is, as a shell would find it; `sbin` is looked into as well. */
export function programPath(name: string): string | undefined {
  return [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin']
    .filter(directory => directory.startsWith('/'))
    .map(directory => join(directory, name))
    .find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false; // Not there, or not for us.
  }
}
