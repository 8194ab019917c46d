import { basename, dirname, join, normalize } from 'node:path/posix';

/** What is to be copied, or where to. */
export interface CopyEnd {
  /** Absolute; with the trailing slash or `/.` that it was given with. */
  readonly path: string;
  readonly exists: boolean;
  readonly isDirectory: boolean;
}

/** How a copy is carried out: which directory the archive goes into, and what its top is called there. */
export interface CopyMove {
  readonly directory: string;
  readonly name: string;
}

/** Why it cannot be. */
export type CopyRefusal = 'cannot copy directory' | 'no such directory';

/** Whether a path can only be that of a directory. */
export function assertsDirectory(path: string): boolean {
  return path.endsWith('/') || specifiesCurrent(path);
}

/** Whether what is in the directory is meant, and not the directory: it ends in `/.`. */
export function specifiesCurrent(path: string): boolean {
  return basename(path) === '.';
}

/** The directory and the last name, cleaned; the name is `.` when what is in a directory is meant. */
export function splitPath(path: string): { readonly directory: string; readonly base: string } {
  const cleaned = normalize(path).replace(/(.)\/+$/, '$1');
  const whole = specifiesCurrent(path) && cleaned !== '.' ? `${cleaned.replace(/\/$/, '')}/.` : cleaned;
  return { directory: dirname(whole), base: basename(whole) };
}

/** Cleans a path, and keeps the ending that says that a directory, or what is in it, is meant. */
export function cleanPath(path: string): string {
  const cleaned = normalize(path).replace(/(.)\/+$/, '$1');
  if (specifiesCurrent(path) && cleaned !== '.') return cleaned.endsWith('/') ? `${cleaned}.` : `${cleaned}/.`;
  return path.endsWith('/') && !cleaned.endsWith('/') ? `${cleaned}/` : cleaned;
}

/**
 * Docker's table for `cp SRC DEST`: into a directory that is there goes the source under its own name (what is in it, with
 * `/.`); else the source becomes the destination, which must not be a file when the source is a directory.
 *
 * @param source.name - What it is to be called in an existing directory. Default: the last name of its path.
 */
export function planCopy(
  source: CopyEnd & { readonly name?: string },
  destination: CopyEnd,
): CopyMove | { readonly refused: CopyRefusal } {
  const own = source.name ?? splitPath(source.path).base;
  if (destination.exists && destination.isDirectory) return { directory: destination.path, name: own };
  if (destination.exists && source.isDirectory) return { refused: 'cannot copy directory' };
  if (!source.isDirectory && assertsDirectory(destination.path)) return { refused: 'no such directory' };
  const { directory, base } = splitPath(destination.path);
  return { directory, name: base };
}

/** A symbolic link's target, as an absolute path, for a link at that path. */
export function linkTarget(link: string, target: string): string {
  return target.startsWith('/') ? target : join(dirname(link.replace(/(.)\/+$/, '$1')), target);
}

/** A path inside a container: relative ones are from the root, as in Docker. */
export function containerPath(path: string): string {
  return cleanPath(path.startsWith('/') ? path : `/${path}`);
}
