import { readFileSync } from 'node:fs';

import { toPair } from './pairs.js';
import { UsageError } from './usage-error.js';

/** The variables of `--env-file`, then those of `--env`: the later wins. A name without a value has the caller's, if any. */
export function readEnvironment(
  entries: readonly string[],
  files: readonly string[],
  own: Readonly<Record<string, string | undefined>> = process.env,
): Record<string, string> {
  // Not an object yet: a variable may be called __proto__.
  const env = new Map<string, string>();
  for (const entry of [...files.flatMap(readFile), ...entries]) {
    const [name, given] = toPair(entry);
    const value = entry.includes('=') ? given : own[name];
    if (value !== undefined) env.set(name, value);
  }
  return Object.fromEntries(env);
}

/** Docker's rules: no quotes, no expansion; `#` begins a comment only as the first character of a line. */
export function parseEnvFile(text: string, path: string): string[] {
  return text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .map(line => line.trimStart())
    .filter(line => line !== '' && !line.startsWith('#'))
    .map(line => {
      const [name] = toPair(line);
      if (name === '') throw new UsageError(`${path}: no variable name on line '${line}'`);
      if (/\s/.test(name)) throw new UsageError(`${path}: variable '${name}' contains whitespaces`);
      return line;
    });
}

function readFile(path: string): string[] {
  try {
    return parseEnvFile(readFileSync(path, 'utf8'), path);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`open ${path}: ${(error as Error).message}`);
  }
}
