import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Beside the source of this file, not beside what the compiler made of it. */
const sources = fileURLToPath(new URL('../../../test/differential/probe/', import.meta.url));

let built: Buffer | undefined;

/** The program that looks around in a container: static, from C. Built once per worker. */
export function probe(): Buffer {
  built ??= build();
  return built;
}

function build(): Buffer {
  const directory = mkdtempSync(join(tmpdir(), 'tsc-probe-'));
  try {
    const out = join(directory, 'probe');
    const files = readdirSync(sources).filter(name => name.endsWith('.c'));
    execFileSync('cc', [
      '-std=gnu11',
      '-Wall',
      '-Wextra',
      '-Werror',
      '-O1',
      '-static',
      '-s',
      '-o',
      out,
      ...files.map(name => join(sources, name)),
    ]);
    return readFileSync(out);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
