import { createWriteStream, renameSync, rmSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';

import type { Invocation } from '../command.js';
import type { exportFlags } from '../commands/files.js';
import { withEngine } from '../session.js';
import { UsageError } from '../usage-error.js';

/** `export`. */
export async function exportContainer({
  globals,
  flags: { output },
  args: [ref = ''],
}: Invocation<typeof exportFlags>): Promise<number> {
  if (output === undefined && process.stdout.isTTY) {
    throw new UsageError('cowardly refusing to save to a terminal. Use the -o flag or redirect', 1);
  }
  return withEngine(globals, async ({ engine, signal }) => {
    const container = await engine.containers.get(ref, { signal });
    const archive = container.export({ signal });
    if (output === undefined) await pipeline(archive, process.stdout, { end: false });
    else await write(archive, output);
    return 0;
  });
}

/** Under another name until it is whole. */
async function write(archive: NodeJS.ReadableStream, path: string): Promise<void> {
  const aside = `${path}.${process.pid}.part`;
  try {
    await pipeline(archive, createWriteStream(aside, { mode: 0o600 }));
    renameSync(aside, path);
  } catch (error) {
    rmSync(aside, { force: true });
    throw error;
  }
}
