import { InvalidStateError } from '../../errors.js';
import type { Invocation } from '../command.js';
import type { attachOnlyFlags } from '../commands/container.js';
import { converse, exitCodeOf } from '../converse.js';
import { withEngine } from '../session.js';
import { parseDetachKeys, requireTerminal } from '../terminal.js';

/** `attach`. */
export async function attach({
  globals,
  flags,
  args: [ref = ''],
}: Invocation<typeof attachOnlyFlags>): Promise<number> {
  const detachKeys = parseDetachKeys(flags['detach-keys']);
  return withEngine(globals, async session => {
    const { engine, signal } = session;
    const container = await engine.containers.get(ref, { signal });
    const { tty, stdin } = engine.containers.record(container.id, 'container.attach').config;
    const wantsInput = stdin && !flags['no-stdin'];
    const { state } = await container.inspect();
    if (state !== 'running')
      throw new InvalidStateError({ call: 'container.attach', kind: 'container', ref, state, expected: ['running'] });
    if (wantsInput && tty) requireTerminal();
    const inside = await container.attach({ signal });
    session.letSignalsGo();
    const outcome = await converse(inside, {
      stdin: wantsInput,
      stdout: true,
      stderr: true,
      tty,
      proxySignals: flags['sig-proxy'] && !tty,
      detachKeys,
    });
    if (outcome === 'detached') {
      await inside[Symbol.asyncDispose]();
      process.stderr.write('read escape sequence\n');
    }
    return exitCodeOf(outcome);
  });
}
