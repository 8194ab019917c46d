import type { Invocation } from '../command.js';
import type { execFlags } from '../commands/container.js';
import { converse, exitCodeOf } from '../converse.js';
import { readEnvironment } from '../env-file.js';
import { withEngine } from '../session.js';
import { currentSize, requireTerminal } from '../terminal.js';

/** `exec`. */
export async function exec({
  globals,
  flags,
  args: [ref = '', ...command],
}: Invocation<typeof execFlags>): Promise<number> {
  const { interactive, tty, privileged, user, workdir } = flags;
  if (interactive && tty) requireTerminal();
  const env = readEnvironment(flags.env, flags['env-file']);
  const terminalSize = tty ? currentSize() : undefined;
  return withEngine(globals, async session => {
    const { engine, signal } = session;
    const container = await engine.containers.get(ref, { signal });
    await using inside = await container.spawn(command, {
      env,
      tty,
      privileged,
      stdin: interactive,
      ...(terminalSize === undefined ? {} : { terminalSize }),
      ...(user === undefined ? {} : { user }),
      ...(workdir === undefined ? {} : { cwd: workdir }),
      signal,
    });
    session.letSignalsGo();
    // No keys to leave by: it ends with its caller.
    return exitCodeOf(
      await converse(inside, { stdin: interactive, stdout: true, stderr: true, tty, proxySignals: true }),
    );
  });
}
