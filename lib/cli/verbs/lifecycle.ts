import { toProcess } from '../../container/process.js';
import type { StopOptions } from '../../container/options.js';
import { errorCode } from '../../errors.js';
import { parseSignal } from '../../runtime/signals.js';
import type { Invocation } from '../command.js';
import type { killFlags, removeFlags, startFlags, stopFlags } from '../commands/container.js';
import { converse, exitCodeOf } from '../converse.js';
import { graceMs } from '../create-options.js';
import type { Values } from '../flags.js';
import { eachOf, withEngine, type Session } from '../session.js';
import { detachKeysOf, requireTerminal } from '../terminal.js';
import { UsageError } from '../usage-error.js';

/** `start`. */
export async function start({ globals, flags, args }: Invocation<typeof startFlags>): Promise<number> {
  const attached = flags.attach || flags.interactive;
  if (attached && args.length > 1) throw new UsageError('you cannot start and attach multiple containers at once', 1);
  return withEngine(globals, async session => {
    const { engine, signal } = session;
    if (attached) return startAttached(session, flags, args[0] ?? '');
    return eachOf(args, globals, async ref => {
      await (await engine.containers.get(ref, { signal })).start({ signal });
      return ref;
    });
  });
}

async function startAttached(session: Session, flags: Values<typeof startFlags>, ref: string): Promise<number> {
  const { engine, signal } = session;
  const call = 'container.start';
  const { id } = await engine.containers.get(ref, { signal });
  const record = engine.containers.record(id, call);
  const { tty, stdin } = record.config;
  const detachKeys = detachKeysOf(flags['detach-keys']);
  const streams = {
    stdin: flags.interactive && stdin,
    stdout: true,
    stderr: true,
    tty,
    proxySignals: flags['sig-proxy'],
    endsInput: record.config.stdinOnce ?? false,
  };
  if (streams.stdin && tty) requireTerminal();
  const { monitored, ready } = await engine.containers.startAttached(record, { call, signal });
  const inside = toProcess(monitored, 0, {
    id,
    onDispose: 'detach',
    ...(tty ? { detachKeys } : {}),
    readOnly: !streams.stdin,
  });
  session.letSignalsGo();
  const outcome = await converse(inside, streams, ready);
  return exitCodeOf(outcome);
}

/** `stop`. */
export async function stop({ globals, flags, args }: Invocation<typeof stopFlags>): Promise<number> {
  return withEngine(globals, async ({ engine, signal }) =>
    eachOf(args, globals, async ref => {
      try {
        await (await engine.containers.get(ref, { signal })).stop({ ...grace(flags), signal });
      } catch (error) {
        // One that was never started is as stopped as can be, to Docker.
        if (errorCode(error) !== 'CTR_INVALID_STATE') throw error;
      }
      return ref;
    }),
  );
}

/** `restart`. */
export async function restart({ globals, flags, args }: Invocation<typeof stopFlags>): Promise<number> {
  return withEngine(globals, async ({ engine, signal }) =>
    eachOf(args, globals, async ref => {
      await (await engine.containers.get(ref, { signal })).restart({ ...grace(flags), signal });
      return ref;
    }),
  );
}

function grace({ timeout, time, signal }: Values<typeof stopFlags>): StopOptions {
  const seconds = timeout ?? time;
  return {
    ...(seconds === undefined ? {} : { graceMs: graceMs(seconds) }),
    ...(signal === undefined ? {} : { stopSignal: parseSignal(signal, 'container.stop').name }),
  };
}

/** `pause`. */
export async function pause({ globals, args }: Invocation<Record<never, never>>): Promise<number> {
  return withEngine(globals, async ({ engine, signal }) =>
    eachOf(args, globals, async ref => {
      await (await engine.containers.get(ref, { signal })).pause({ signal });
      return ref;
    }),
  );
}

/** `unpause`. */
export async function unpause({ globals, args }: Invocation<Record<never, never>>): Promise<number> {
  return withEngine(globals, async ({ engine, signal }) =>
    eachOf(args, globals, async ref => {
      await (await engine.containers.get(ref, { signal })).unpause({ signal });
      return ref;
    }),
  );
}

/** `kill`. */
export async function kill({ globals, flags, args }: Invocation<typeof killFlags>): Promise<number> {
  const { number } = parseSignal(flags.signal ?? 'SIGKILL');
  return withEngine(globals, async ({ engine, signal }) =>
    eachOf(args, globals, async ref => {
      await (await engine.containers.get(ref, { signal })).kill(number, { signal });
      return ref;
    }),
  );
}

/** `rm`. */
export async function remove({ globals, flags, args }: Invocation<typeof removeFlags>): Promise<number> {
  return withEngine(globals, async ({ engine, signal }) =>
    eachOf(args, globals, async ref => {
      await (
        await engine.containers.get(ref, { signal })
      ).remove({ force: flags.force, volumes: flags.volumes, signal });
      return ref;
    }),
  );
}

/** `wait`. All are waited for side by side; what they ended with is told in order. */
export async function wait({ globals, args }: Invocation<Record<never, never>>): Promise<number> {
  return withEngine(globals, async ({ engine, signal }) => {
    const waiting = args.map(async ref => {
      const container = await engine.containers.get(ref, { signal });
      // One that was never started does not run either, to Docker.
      if ((await container.inspect({ signal })).state === 'created') return '0';
      return String(exitCodeOf(await container.wait({ signal })));
    });
    for (const each of waiting) each.catch(() => {}); // Heard of below, in its turn.
    return eachOf([...waiting.keys()].map(String), globals, async index => waiting[Number(index)]);
  });
}
