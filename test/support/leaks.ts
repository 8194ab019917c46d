import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync, rmdirSync } from 'node:fs';
import { basename, join } from 'node:path';

import { programPath } from './needs.js';

/** Something of a store's that is still there, and how to take it away. */
export interface Leak {
  readonly what: string;
  /** So that one failure does not become many. */
  clear(): void;
}

/** Where to look. Other workers and other engines use this machine as well: only what is of this place counts. */
export interface Traces {
  /** A directory whose name is unique on the machine; the root and the run root are in it. */
  readonly directory: string;
  readonly root: string;
  readonly runRoot: string;
  /** Descriptors that were open before. */
  readonly descriptors: ReadonlySet<string>;
}

/** What is left of the engines that were opened in a place. Call it when all of them are closed. */
export function findLeaks(traces: Traces): Leak[] {
  const ids = knownIds(traces.root);
  return [
    ...mounts(traces),
    ...processes(traces, ids),
    ...cgroups(ids),
    ...devices(ids),
    ...tables(ids),
    ...runState(traces.runRoot),
    ...temporary(traces.root),
    ...descriptorLeaks(traces),
  ];
}

/**
 * Open descriptors of this process that an engine may open: files, Unix sockets, pipes and watches, but not TCP. Node opens
 * its one inotify when a file is first watched and keeps it; so what counts is the watches in it.
 */
export function openDescriptors(): Set<string> {
  const unix = new Set(
    read('/proc/self/net/unix')
      .split('\n')
      .slice(1)
      .map(line => `socket:[${line.trim().split(/\s+/)[6] ?? ''}]`),
  );
  const found = readdirSync('/proc/self/fd').flatMap(fd => {
    const link = linkOf(`/proc/self/fd/${fd}`);
    if (link === undefined || (link.startsWith('socket:') && !unix.has(link))) return [];
    return link === 'anon_inode:inotify' ? watches(fd) : [`${fd} ${link}`];
  });
  return new Set(found);
}

function watches(fd: string): string[] {
  const lines = read(`/proc/self/fdinfo/${fd}`).match(/^inotify wd:\S+ ino:\S+ sdev:\S+/gm) ?? [];
  return lines.map(line => `watch ${line}`);
}

function descriptorLeaks({ descriptors, directory }: Traces): Leak[] {
  const ours = /^\d+ (socket:|pipe:|anon_inode:\[pidfd\])|^watch /;
  return [...openDescriptors()]
    .filter(each => !descriptors.has(each) && (ours.test(each) || each.includes(directory)))
    .map(each => leak(`open descriptor ${each}`));
}

/** Every container and network that there ever was: the records of those that are gone are, too, the journal is not. */
function knownIds(root: string): Set<string> {
  const text = [
    ...files(join(root, 'journal')).map(path => readFileSync(path, 'latin1')),
    ...['containers', 'networks'].flatMap(kind => entries(join(root, kind))),
  ].join('\n');
  return new Set(text.match(/\b[0-9a-f]{64}\b/g));
}

function mounts({ directory }: Traces): Leak[] {
  const mark = basename(directory);
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter(line => line.includes(mark))
    .map(line => leak(`mount on the host: ${line}`));
}

/** Helpers carry the run root in their arguments; a container's processes have a root file system that is ours. */
function processes({ directory }: Traces, ids: ReadonlySet<string>): Leak[] {
  const mark = basename(directory);
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap(pid => {
      const at = `/proc/${pid}`;
      const command = read(`${at}/cmdline`).replaceAll('\0', ' ').trim();
      const name = read(`${at}/comm`).trim();
      const isHelper = /tsc-|tscontainer/.test(`${name} ${command}`) && (command.includes(mark) || isOurChild(at));
      const isInside =
        [...ids].some(id => read(`${at}/cgroup`).includes(id)) ||
        [linkOf(`${at}/root`), linkOf(`${at}/cwd`)].some(path => path?.includes(mark) === true && isHelperName(name));
      if (!isHelper && !isInside) return [];
      return [leak(`process ${pid} (${name}): ${command}`, () => process.kill(Number(pid), 'SIGKILL'))];
    });
}

function isHelperName(name: string): boolean {
  return /^(tsc-|tscontainer|memfd:tscontain)/.test(name);
}

function isOurChild(at: string): boolean {
  const stat = read(`${at}/stat`);
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === process.pid;
}

function cgroups(ids: ReadonlySet<string>): Leak[] {
  const top = '/sys/fs/cgroup';
  return ['', ...entries(top)]
    .map(name => join(top, name, 'tscontainer'))
    .flatMap(parent => entries(parent).map(id => ({ id, path: join(parent, id) })))
    .filter(({ id }) => ids.has(id))
    .map(({ path }) => leak(`cgroup ${path}`, () => rmdirSync(path)));
}

/** A bridge is named after its network, a veth hangs on a bridge. */
function devices(ids: ReadonlySet<string>): Leak[] {
  const bridges = new Set([...ids].map(id => `tsc${id.slice(0, 12)}`));
  return entries('/sys/class/net')
    .filter(name => bridges.has(name) || bridges.has(basename(linkOf(`/sys/class/net/${name}/master`) ?? '')))
    .map(name => leak(`network device ${name}`, () => run('ip', 'link', 'delete', name)));
}

function tables(ids: ReadonlySet<string>): Leak[] {
  if (programPath('nft') === undefined || process.getuid?.() !== 0) return [];
  const listed = run('nft', 'list', 'tables').match(/(?<= )tscontainer-tsc[0-9a-f]{12}$/gm) ?? [];
  const ours = new Set([...ids].map(id => `tscontainer-tsc${id.slice(0, 12)}`));
  return listed
    .filter(name => ours.has(name))
    .map(name => leak(`nftables table ${name}`, () => run('nft', 'delete', 'table', 'inet', name)));
}

/** Directories may stay for the next engine; sockets and files tell of something that runs. */
function runState(runRoot: string): Leak[] {
  return files(runRoot).map(path => leak(`run state ${path}`));
}

function temporary(root: string): Leak[] {
  return ['tmp', 'trash'].flatMap(name => entries(join(root, name)).map(entry => leak(`unfinished ${name}/${entry}`)));
}

function leak(what: string, clear: () => void = () => {}): Leak {
  return { what, clear };
}

function run(program: string, ...args: readonly string[]): string {
  return execFileSync(programPath(program) ?? program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
}

function entries(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}

function files(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter(entry => !entry.isDirectory())
    .map(entry => join(entry.parentPath, entry.name));
}

/** What is looked at may end while it is looked at. */
function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return ''; // Gone, or not for our eyes: then it is not ours either.
  }
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined; // As above.
  }
}
