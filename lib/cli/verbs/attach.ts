import type { Invocation } from '../command.js';
import type { attachOnlyFlags } from '../commands/container.js';
import { converse, exitCodeOf } from '../converse.js';
import { withEngine } from '../session.js';
import { detachKeysOf, requireTerminal } from '../terminal.js';
import { UsageError } from '../usage-error.js';

/** `attach`. */
export async function attach({
  globals,
  flags,
  args: [ref = ''],
}: Invocation<typeof attachOnlyFlags>): Promise<number> {
  const detachKeys = detachKeysOf(flags['detach-keys']);
  return withEngine(globals, async session => {
    const { engine, signal } = session;
    const container = await engine.containers.get(ref, { signal });
    const { tty, stdin, stdinOnce = false } = engine.containers.record(container.id, 'container.attach').config;
    const wantsInput = stdin && !flags['no-stdin'];
    const { state } = await container.inspect();
    if (state === 'paused') throw new UsageError('You cannot attach to a paused container, unpause it first', 1);
    if (state === 'restarting')
      throw new UsageError('You cannot attach to a restarting container, wait until it is running', 1);
    if (state !== 'running') throw new UsageError('You cannot attach to a stopped container, start it first', 1);
    if (wantsInput && tty) requireTerminal();
    const inside = await container.attach({
      signal,
      stdin: wantsInput,
      ...(tty ? { detachKeys } : {}),
    });
    session.letSignalsGo();
    const outcome = await converse(inside, {
      stdin: wantsInput,
      stdout: true,
      stderr: true,
      tty,
      proxySignals: flags['sig-proxy'] && !tty,
      endsInput: stdinOnce,
    });
    if (outcome === 'detached') process.stderr.write('read escape sequence\n');
    return exitCodeOf(outcome);
  });
}
