import { execFile } from 'node:child_process';

import type { AbortOptions } from '../types.js';

/** What a program that ended said. */
export interface PsOutcome {
  /** `undefined` when there is no such program here. */
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the host's `ps`. A container does not choose which program that is, nor what it is told. */
export async function runPs(argv: readonly string[], { signal }: AbortOptions): Promise<PsOutcome> {
  return new Promise((resolve, reject) => {
    const options = {
      maxBuffer: 64 * 1024 * 1024,
      env: { ...process.env, LC_ALL: 'C.UTF-8' },
      ...(signal === undefined ? {} : { signal }),
    };
    execFile('ps', argv, options, (error, stdout, stderr) => {
      if (signal?.aborted === true) reject(signal.reason as Error);
      else if (error === null) resolve({ exitCode: 0, stdout, stderr });
      else if (error.code === 'ENOENT') resolve({ exitCode: undefined, stdout: '', stderr: '' });
      else if (typeof error.code === 'number') resolve({ exitCode: error.code, stdout, stderr });
      else reject(error);
    });
  });
}
