import { type EngineError, LimitError, NotFoundError, StartError, SyscallError } from '../errors.js';
import { toSyscallError, type Fact } from '../host/job.js';
import { explainPublish } from '../network/publish.js';
import { StartFailure } from '../runtime/monitor.js';

/** What a start was about, for its error. */
export interface StartContext {
  readonly call: string;
  /** The container's name. */
  readonly ref: string;
  readonly command: readonly string[];
  /** The name of the container that a process is the monitor of. */
  readonly containerOf?: (monitor: number) => string | undefined;
}

/** Whether it did not start since another monitor has the container: it runs, or has just ended. */
export function isClaimed(error: unknown): boolean {
  return (
    error instanceof SyscallError &&
    error.stage === 'monitor' &&
    (error.syscall === 'flock' || error.errno === 'ENOENT')
  );
}

/**
 * Says in the user's terms why a container or an exec did not start. Exit codes as Docker's CLI has them: 127 when the
 * command is not there, 126 when it cannot be executed, 125 for all else.
 */
export function explainStart(error: unknown, context: StartContext): unknown {
  if (!(error instanceof StartFailure)) return error;
  const { fact } = error;
  switch (fact['stage']) {
    case 'exec':
    case 'cwd':
      return commandError(fact, context, error);
    case 'limit':
      return limitError(fact, context);
    case 'publish':
      return explainPublish(context.call, toSyscallError(context.call, fact), context.containerOf);
    case 'bind':
    case 'mount':
      return bindError(fact, context);
    default:
      return toSyscallError(context.call, fact, remedies[String(fact['errno'])]);
  }
}

const remedies: Readonly<Record<string, string>> = {
  EPERM: 'The kernel or a security module refuses it to this user: `npx tscontainer doctor` says what would be needed',
  ENOSPC: 'A file system or a kernel limit (user.max_*_namespaces) is full',
  ENOMEM: 'The machine, or the cgroup this process is in, has no memory left',
};

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  ENOTDIR: 'not a directory',
  EISDIR: 'is a directory',
  ENOEXEC: 'exec format error',
  E2BIG: 'arguments and environment are too long',
  EXDEV: 'it is outside of the root',
};

function commandError(fact: Fact, { call, ref, command }: StartContext, cause: unknown): EngineError {
  const errno = String(fact['errno']);
  const path = String(fact['path']);
  const exec = fact['stage'] === 'exec';
  // Docker looks for an executable in the PATH: what is there but is none has not been found.
  const inPath = exec && (errno === 'ENOENT' || errno === 'EACCES') && !path.includes('/');
  const what = exec ? `exec ${JSON.stringify(path)}` : `working directory ${JSON.stringify(path)}`;
  return new StartError({
    call,
    ref,
    command,
    reason: `${what}: ${inPath ? 'executable file not found in $PATH' : (reasons[errno] ?? errno)}`,
    exitCode: inPath || errno === 'ENOENT' ? 127 : cannotExecute.has(errno) ? 126 : furtherCalls.has(call) ? 127 : 125,
    ...remedyOf(errno, { exec, inPath }),
    cause,
  });
}

/** Of these, `docker exec` says 127 for whatever else there was. */
const furtherCalls: ReadonlySet<string> = new Set(['container.exec', 'container.spawn']);

/** Those that `docker run` exits with 126 for. */
const cannotExecute: ReadonlySet<string> = new Set(['EACCES', 'EISDIR', 'ENOEXEC']);

function remedyOf(errno: string, { exec, inPath }: { exec: boolean; inPath: boolean }): { remedy?: string } {
  if (inPath && errno === 'EACCES') return { remedy: 'There is a file of that name, but it is not executable' };
  if (errno === 'ENOENT' && exec && !inPath) {
    return {
      remedy: 'The file itself, the interpreter in its first line, or its dynamic loader is missing in the image',
    };
  }
  if (errno === 'ENOEXEC') return { remedy: 'It was built for another architecture, or is a script without `#!`' };
  return {};
}

/** The helper puts the user's option where other facts have the system call. */
function limitError(fact: Fact, { call, ref }: StartContext): EngineError {
  const [option, value] = [String(fact['syscall']), String(fact['path'])];
  return new LimitError({
    call,
    what: `container ${ref}: ${option}`,
    reason: `the kernel refused ${JSON.stringify(value.trim())} with ${String(fact['errno'])}`,
    limit: Number(value),
    remedy: 'Ask for a value within what this machine, and the cgroup above, allow',
  });
}

function bindError(fact: Fact, { call }: StartContext): EngineError {
  const path = String(fact['path']);
  if (fact['syscall'] === 'open_tree' && fact['errno'] === 'ENOENT') {
    return new NotFoundError({ call, kind: 'file', ref: path, remedy: 'A bind mount needs its source on the host' });
  }
  if (fact['syscall'] === 'open' && fact['errno'] === 'EPERM')
    return toSyscallError(call, fact, 'It is inside /proc, over which nothing can be mounted: choose another target');
  return toSyscallError(
    call,
    fact,
    fact['errno'] === 'ENOTDIR'
      ? 'A file can only be mounted on a file, a directory on a directory'
      : remedies[String(fact['errno'])],
  );
}
