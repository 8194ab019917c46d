import type { Container } from '../../container/container.js';
import type { CopyReport } from '../../container/copy.js';
import { containerPath } from '../../container/copy-paths.js';
import type { Invocation } from '../command.js';
import type { copyFlags } from '../commands/files.js';
import type { Values } from '../flags.js';
import { withEngine, type Session } from '../session.js';
import { humanSize } from '../units.js';
import { UsageError } from '../usage-error.js';

type Flags = Values<typeof copyFlags>;

/** One end of a copy: a path here, or in a container. */
interface End {
  /** `''` for this machine. */
  readonly container: string;
  readonly path: string;
}

/** `cp`. */
export async function copy({ globals, flags, args }: Invocation<typeof copyFlags>): Promise<number> {
  const [source = '', destination = ''] = args;
  if (source === '') throw new UsageError('source can not be empty', 1);
  if (destination === '') throw new UsageError('destination can not be empty', 1);
  const [from, to] = [endOf(source), endOf(destination)];
  if (from.container !== '' && to.container !== '') {
    throw new UsageError('copying between containers is not supported', 1);
  }
  if (from.container === '' && to.container === '') {
    throw new UsageError('must specify at least one container source', 1);
  }
  return withEngine(globals, async session => {
    const report = from.container === '' ? copyIn(session, flags, from, to) : copyOut(session, flags, from, to);
    say(flags, await report, to);
    return 0;
  });
}

/** As Docker: what is absolute, or begins with a dot, is a path of this machine, whatever colons it has. */
function endOf(text: string): End {
  const [, container = '', path = ''] = /^([^:]*):([^]*)$/.exec(text) ?? [];
  if (text.startsWith('/') || !text.includes(':') || container.startsWith('.')) return { container: '', path: text };
  return { container, path };
}

async function copyIn({ engine, signal }: Session, flags: Flags, from: End, to: End): Promise<CopyReport> {
  const container = await engine.containers.get(to.container, { signal });
  const owner = flags.archive && (await hasUser(container, signal)) ? 'user' : 'source';
  const source = from.path === '-' ? process.stdin : from.path;
  return container.copyIn(source, pathIn(to), { signal, owner, followLink: flags['follow-link'] });
}

/** As Docker: only a user that it was given takes over; else the numbers of the source stand. */
async function hasUser(container: Container, signal: AbortSignal): Promise<boolean> {
  const { Config } = await container.inspectDocker({ signal });
  return (Config as { readonly User: string }).User !== '';
}

async function copyOut({ engine, signal }: Session, flags: Flags, from: End, to: End): Promise<CopyReport> {
  const container = await engine.containers.get(from.container, { signal });
  const target = to.path === '-' ? process.stdout : to.path;
  if (target === process.stdout && process.stdout.isTTY) {
    throw new UsageError('cowardly refusing to copy to a terminal: redirect, or name a file', 1);
  }
  // Docker's --archive does nothing in this direction.
  return container.copyOut(pathIn(from), target, { signal, followLink: flags['follow-link'] });
}

function pathIn({ path }: End): string {
  if (path === '') throw new UsageError('no such directory', 1);
  return containerPath(path);
}

function say({ quiet }: Flags, { bytes }: CopyReport, { container, path }: End): void {
  if (quiet || path === '-' || !process.stdout.isTTY) return;
  const where = container === '' ? path : `${container}:${path}`;
  process.stderr.write(`Successfully copied ${humanSize(bytes)} to ${where}\n`);
}
