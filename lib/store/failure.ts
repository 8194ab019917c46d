import { errorCode, isEngineError, SyscallError } from '../errors.js';

/** Runs a step; what the kernel refuses becomes a {@link SyscallError} that says what would help. */
export function attempt<T>(call: string, path: string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    throw failure(call, path, error);
  }
}

/** {@link attempt} for steps that take their time. */
export async function attemptAsync<T>(call: string, path: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    throw failure(call, path, error);
  }
}

/** What was thrown, as the store reports it. Errors that are typed already, abort reasons and bugs pass as they are. */
export function failure(call: string, path: string, error: unknown): unknown {
  const code = errorCode(error);
  const { syscall, path: subject } = error as { syscall?: unknown; path?: unknown };
  if (isEngineError(error) || code === undefined || typeof syscall !== 'string') return error;
  const remedy = remedies[code];
  return new SyscallError({
    call,
    stage: 'store',
    syscall,
    errno: code,
    path: typeof subject === 'string' ? subject : path,
    cause: error,
    ...(remedy === undefined ? {} : { remedy }),
  });
}

const noSpace = 'The disk of the store is full: free some space, prune what is unused, or open a store on another disk';
const noPermission = 'Run as the owner of the store, or open a store under a directory that you may write';

const remedies: Readonly<Record<string, string>> = {
  ENOSPC: noSpace,
  EDQUOT: noSpace,
  EACCES: noPermission,
  EPERM: noPermission,
  EROFS: 'The store is on a read-only file system: remount it writable, or open a store elsewhere',
  EMFILE: 'This process has too many open files: raise its limit (ulimit -n), or do less at once',
  ENFILE: 'The system has too many open files: raise fs.file-max',
  EIO: 'The disk of the store reports errors: look into the kernel log',
};
