import { accessSync, constants } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import { UnsupportedError, errorCode } from '../errors.js';

let found: string | undefined;

/**
 * Where the helper is: `TSCONTAINER_HELPER`, else what `npm install` built beside the sources, else the prebuilt package
 * for this architecture.
 *
 * @throws {@link UnsupportedError} when there is none, with how to get one.
 */
export function helperPath(): string {
  found ??= candidates().find(isExecutable);
  if (found === undefined) {
    throw new UnsupportedError({
      call: 'engine.open',
      feature: 'linux',
      reason:
        process.platform === 'linux'
          ? 'the native helper was not built. Install a C compiler (Debian: apt-get install gcc libc6-dev) and run `npm rebuild tscontainer`, or point TSCONTAINER_HELPER at one'
          : `containers need Linux, this is ${process.platform}`,
    });
  }
  return found;
}

function candidates(): string[] {
  const named = process.env['TSCONTAINER_HELPER'];
  if (named !== undefined && named !== '') return [named];
  return [
    local('../../native/out/tscontainer-helper'),
    local('../../../native/out/tscontainer-helper'),
    packaged(),
  ].filter(path => path !== undefined);
}

function local(relative: string): string {
  return fileURLToPath(new URL(relative, import.meta.url));
}

function packaged(): string | undefined {
  try {
    return createRequire(import.meta.url).resolve(`@tscontainer/native-linux-${process.arch}/tscontainer-helper`);
  } catch (error) {
    if (errorCode(error) === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false; // Not there, or not for us: the next candidate is tried.
  }
}
