import { writeFileSync } from 'node:fs';

import { toProcess } from '../../container/process.js';
import type { CreateContainerOptions } from '../../container/options.js';
import { errorCode } from '../../errors.js';
import { parseReference } from '../../oci/reference.js';
import type { PlatformString } from '../../types.js';
import { askedFor } from '../asked.js';
import type { Invocation } from '../command.js';
import type { createFlags, runFlags } from '../commands/run-flags.js';
import { converse, exitCodeOf, type Outcome } from '../converse.js';
import { toCreateOptions } from '../create-options.js';
import type { Values } from '../flags.js';
import { print, withEngine, type Session } from '../session.js';
import { currentSize, detachKeysOf, requireTerminal } from '../terminal.js';
import { UsageError } from '../usage-error.js';

type CreateFlags = Values<typeof createFlags>;
type RunFlags = Values<typeof runFlags>;
type ImageOptions = CreateContainerOptions & { readonly image: string };

/** `run`. */
export async function run({ globals, flags, args }: Invocation<typeof runFlags>): Promise<number> {
  if (flags.detach && flags.attach.length > 0)
    throw new UsageError('conflicting options: cannot specify both --attach and --detach', 1);
  const streams = streamsOf(flags);
  if (!flags.detach && streams.stdin && flags.tty) requireTerminal();
  return withEngine(globals, async session => {
    const options = await prepare(session, flags, args);
    return flags.detach
      ? runDetached(session, flags, options)
      : runAttached(session, flags, { ...attachedTo(options, streams), stdin: streams.stdin });
  });
}

/** `create`. */
export async function create({ globals, flags, args }: Invocation<typeof createFlags>): Promise<number> {
  return withEngine(globals, async session => {
    const options = attachedTo(await prepare(session, flags, args), {
      stdin: flags.interactive,
      stdout: true,
      stderr: true,
    });
    const { id } = await session.engine.containers.create({
      ...options,
      lifetime: 'detached',
      autoRemove: flags.rm,
      stdinOnce: flags.interactive,
      signal: session.signal,
    });
    announce(flags, id);
    print(id);
    return 0;
  });
}

async function runDetached({ engine, signal }: Session, flags: RunFlags, options: ImageOptions): Promise<number> {
  const container = await engine.containers.create({ ...options, lifetime: 'detached', autoRemove: flags.rm, signal });
  announce(flags, container.id);
  try {
    await container.start({ signal });
  } catch (error) {
    if (flags.rm) await container.remove({ force: true });
    throw error;
  }
  print(container.id);
  return 0;
}

async function runAttached(session: Session, flags: RunFlags, options: ImageOptions): Promise<number> {
  const { engine, signal } = session;
  const streams = streamsOf(flags);
  const detachKeys = detachKeysOf(flags['detach-keys']);
  // With --rm nothing of it is to be left, whatever becomes of this process; without, it stays as Docker's would. Who leaves
  // it by keys lets it run on, and it is removed when it has ended.
  const lifetime = flags.rm ? 'process' : 'detached';
  const { record, monitored, ready } = await engine.containers.launchAttached(
    { ...options, lifetime, autoRemove: flags.rm, stdinOnce: streams.stdin, signal },
    'containers.run',
  );
  // From here on in the same turn of the event loop: not a byte of output may come before there is somebody to take it.
  const inside = toProcess(monitored, 0, { id: record.id, onDispose: 'detach', ...(flags.tty ? { detachKeys } : {}) });
  let outcome: Outcome | undefined;
  try {
    announce(flags, record.id);
    session.letSignalsGo();
    outcome = await converse(
      inside,
      { ...streams, tty: flags.tty, proxySignals: flags['sig-proxy'], endsInput: true },
      ready,
    );
    return exitCodeOf(outcome);
  } finally {
    if (flags.rm && outcome !== 'detached') await engine.containers.remove(record, { force: true });
  }
}

/** Written down for `inspect`; to which streams somebody is connected is theirs to say anew each time. */
function attachedTo(
  options: ImageOptions,
  streams: { readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean },
): ImageOptions {
  const attach = (['stdin', 'stdout', 'stderr'] as const).filter(name => streams[name]);
  return { ...options, asked: { ...options.asked, attach } };
}

/** Which streams are wanted: all but standard input, which `--interactive` asks for, or those that are named. */
function streamsOf({ attach, interactive }: RunFlags): { stdin: boolean; stdout: boolean; stderr: boolean } {
  const named = attach.map(name => name.toLowerCase());
  const unknown = named.find(name => !['stdin', 'stdout', 'stderr'].includes(name));
  if (unknown !== undefined)
    throw new UsageError(`valid streams are STDIN, STDOUT and STDERR, not ${JSON.stringify(unknown)}`);
  if (named.length === 0) return { stdin: interactive, stdout: true, stderr: true };
  return {
    stdin: interactive || named.includes('stdin'),
    stdout: named.includes('stdout'),
    stderr: named.includes('stderr'),
  };
}

/** Sees to the image first, so that its progress can be shown and its ports are known. */
async function prepare(session: Session, flags: CreateFlags, args: readonly string[]): Promise<ImageOptions> {
  const { engine, signal } = session;
  const policy = flags.pull ?? 'missing';
  const [ref = ''] = args;
  if (policy !== 'always' && policy !== 'missing' && policy !== 'newer' && policy !== 'never') {
    throw new UsageError(`invalid pull option: '${policy}': must be one of "always", "missing", "newer" or "never"`);
  }
  if (
    policy === 'always' ||
    (policy === 'missing' &&
      engine.images.tryResolve(ref, 'containers.run', flags.platform as PlatformString | undefined) === undefined)
  ) {
    const { fetchImage } = await import('./pull.js');
    if (policy === 'missing')
      process.stderr.write(`Unable to find image '${parseReference(ref).familiar()}' locally\n`);
    await fetchImage(engine, ref, {
      quiet: flags.quiet,
      output: process.stderr,
      signal,
      ...(flags.platform === undefined ? {} : { platform: flags.platform }),
    });
  }
  if (policy === 'newer') {
    const platform = flags.platform as PlatformString | undefined;
    await engine.images.obtain(ref, { call: 'containers.run', policy, signal, ...(platform && { platform }) });
  }
  const terminalSize = flags.tty ? currentSize() : undefined;
  return {
    ...toCreateOptions(flags, args),
    asked: askedFor(flags),
    pull: 'never',
    ...(terminalSize === undefined ? {} : { terminalSize }),
  };
}

/** Tells the id to whoever asked for it in a file. */
function announce({ cidfile }: CreateFlags, id: string): void {
  if (cidfile === undefined) return;
  try {
    writeFileSync(cidfile, id, { flag: 'wx' });
  } catch (error) {
    const reason =
      errorCode(error) === 'EEXIST' ? 'it is there already: remove it, or name another file' : (error as Error).message;
    throw new UsageError(`container ID file ${cidfile}: ${reason}`);
  }
}
