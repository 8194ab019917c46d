import { isEngineError } from '../../errors.js';
import type { Invocation } from '../command.js';
import type { execFlags } from '../commands/container.js';
import { converse, exitCodeOf } from '../converse.js';
import { readEnvironment } from '../env-file.js';
import { withEngine } from '../session.js';
import { currentSize, detachKeysOf, requireTerminal } from '../terminal.js';
import { UsageError } from '../usage-error.js';

/** `exec`. */
export async function exec({
  globals,
  flags,
  args: [ref = '', ...command],
}: Invocation<typeof execFlags>): Promise<number> {
  const { detach, interactive, tty, privileged, user, workdir } = flags;
  const stdin = interactive && !detach;
  if (stdin && tty) requireTerminal();
  const env = readEnvironment(flags.env, flags['env-file']);
  const detachKeys = detachKeysOf(flags['detach-keys']);
  const terminalSize = tty ? currentSize() : undefined;
  return withEngine(globals, async session => {
    const { engine, signal } = session;
    const container = await engine.containers.get(ref, { signal });
    const spawning = container.spawn(command, {
      env,
      tty,
      privileged,
      stdin,
      ...(terminalSize === undefined ? {} : { terminalSize }),
      ...(user === undefined ? {} : { user }),
      ...(workdir === undefined ? {} : { cwd: workdir }),
      ...(tty ? { detachKeys } : {}),
      signal,
    });
    await using inside = await (detach ? spawning.catch(failDetached) : spawning);
    session.letSignalsGo();
    if (detach) {
      await inside.detach();
      return 0;
    }
    return exitCodeOf(
      await converse(inside, { stdin, stdout: true, stderr: true, tty, proxySignals: true, endsInput: true }),
    );
  });
}

/** Of a command that nobody waits for, Docker's client knows no exit code: it is 1 for whatever was refused. */
function failDetached(error: unknown): never {
  throw isEngineError(error) ? new UsageError(error.message, 1) : error;
}
