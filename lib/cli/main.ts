#!/usr/bin/env node
import { dispatch } from './dispatch.js';
import { UsageError } from './usage-error.js';

/** Reads the command line, does what it says, and returns what to exit with. */
async function main(argv: readonly string[]): Promise<number> {
  try {
    const request = dispatch(argv, { width: process.stdout.columns ?? 80, env: process.env });
    switch (request.kind) {
      case 'print':
        process.stdout.write(`${request.text}\n`);
        return 0;
      case 'version':
        return (await import('./verbs/version.js')).shortVersion();
      case 'run':
        return await (await import('./session.js')).supervise(request);
    }
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return error.exitCode;
  }
}

/** Resolves when all is written, or there is nobody to write to: a pipe takes what its reader has room for. */
async function flushed(stream: NodeJS.WriteStream): Promise<void> {
  if (stream.writableLength > 0) await new Promise<void>(resolve => stream.write('', () => resolve()));
}

const exitCode = await main(process.argv.slice(2));
await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
// What was asked for is done and everything was let go of. What could still keep Node alive, such as a terminal that was
// read from, is nothing to wait for.
process.exit(exitCode);
