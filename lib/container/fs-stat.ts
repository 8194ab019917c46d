import { SyscallError } from '../errors.js';
import { runFileJob } from '../host/file-job.js';
import { inView, type FilesOf } from './view.js';

/** What a file in a container is. */
export type FileType = 'file' | 'directory' | 'symlink' | 'character' | 'block' | 'fifo' | 'socket';

/** A file in a container, as the container's own processes see it. */
export interface FileStat {
  readonly type: FileType;
  /** Permissions and setuid, setgid, sticky: at most 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** In bytes. */
  readonly size: number;
  /** When its content was last changed. */
  readonly modifiedAt: Date;
  /** The same in nanoseconds since 1970. */
  readonly mtimeNs: bigint;
  /** Names that it has. */
  readonly links: number;
  /** What a symbolic link leads to, as it is written there. */
  readonly target?: string;
}

/** Asks what a path in a container is. */
export async function statFile(
  of: FilesOf,
  path: string,
  options: { readonly call: string; readonly signal?: AbortSignal | undefined; readonly follow: boolean },
): Promise<FileStat> {
  const { call, signal } = options;
  const facts = await inView(of, { call, signal, access: 'read', mounts: true }, plan =>
    runFileJob(plan.op('stat', path, options.follow ? 'follow' : 'link'), { call, signal }),
  );
  const stat = facts.find(({ fact }) => fact === 'stat');
  if (stat === undefined) throw new SyscallError({ call, stage: 'fs', syscall: 'stat', errno: 'EPROTO', path });
  const target = facts.find(({ fact }) => fact === 'link')?.['target'];
  const number = (key: string): number => Number(stat[key] ?? 0);
  const mtimeNs = BigInt(number('mtimeSeconds')) * 1_000_000_000n + BigInt(number('mtimeNanoseconds'));
  return Object.freeze({
    type: stat['type'] as FileType,
    mode: number('mode'),
    uid: number('uid'),
    gid: number('gid'),
    size: number('size'),
    modifiedAt: new Date(Number(mtimeNs / 1_000_000n)),
    mtimeNs,
    links: number('links'),
    ...(typeof target === 'string' ? { target } : {}),
  });
}
