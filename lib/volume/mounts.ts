import { mkdirSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { errorCode, NotFoundError, ParseError, SyscallError } from '../errors.js';
import type { BindMount, Mount, TmpfsMount } from './mount.js';

/** A volume mount whose volume has a name. */
export type SettledMount =
  | BindMount
  | TmpfsMount
  | (Extract<Mount, { type: 'volume' }> & {
      /** The volume's name. */
      readonly source: string;
    });

/** What the helper is to mount: the shape that the runtime's plan takes. */
export type MountStep =
  | {
      readonly kind: 'filesystem';
      readonly type: string;
      readonly source: string;
      readonly target: string;
      /** `MOUNT_ATTR_…` of mount_setattr(2). */
      readonly attributes: number;
      readonly options: string;
    }
  | {
      readonly kind: 'bind';
      readonly source: string;
      readonly target: string;
      readonly attributes: number;
      readonly recursive: boolean;
      readonly create: 'like-source';
    };

const attribute = { readOnly: 1, noSuid: 2, noDev: 4, noExec: 8 } as const;

interface Context {
  /** The user's call, for error messages. */
  readonly call: string;
  /** Where a volume's content is; throws when there is no such volume. */
  readonly pathOf: (volume: string) => string;
}

/**
 * Turns mounts into what the helper does, parents before children, so that one mount may lie in another.
 *
 * @throws {@link NotFoundError} when the source of a bind mount, or a subpath of a volume, is not there.
 */
export function mountSteps(mounts: readonly SettledMount[], context: Context): MountStep[] {
  const depth = (mount: SettledMount): number => mount.target.split('/').length;
  return [...mounts].sort((a, b) => depth(a) - depth(b)).map(mount => stepOf(mount, context));
}

function stepOf(mount: SettledMount, context: Context): MountStep {
  if (mount.type === 'tmpfs') return tmpfs(mount);
  const source = mount.type === 'bind' ? mount.source : volumeSource(mount.source, mount.subpath, context);
  if (mount.type === 'bind') checkSource(mount, context.call);
  const attributes = mount.readOnly === true ? attribute.readOnly : 0;
  return {
    kind: 'bind',
    source,
    target: mount.target,
    attributes,
    recursive: mount.type === 'bind',
    create: 'like-source',
  };
}

function tmpfs({ target, sizeBytes, mode = 0o1777 }: TmpfsMount): MountStep {
  const options = [...(sizeBytes === undefined ? [] : [`size=${sizeBytes}`]), `mode=${mode.toString(8)}`].join(',');
  // As Docker: what is in memory for a container is neither programs nor devices.
  const attributes = attribute.noSuid | attribute.noDev | attribute.noExec;
  return { kind: 'filesystem', type: 'tmpfs', source: 'tmpfs', target, attributes, options };
}

/**
 * Checks that the source of a bind mount is there, and makes it if that was asked for.
 *
 * @throws {@link NotFoundError} when it is not there, {@link SyscallError} when it cannot be looked at.
 */
export function checkSource({ source, createSource = false }: BindMount, call: string): void {
  try {
    statSync(source);
  } catch (error) {
    const errno = errorCode(error) ?? 'EUNKNOWN';
    if (errno !== 'ENOENT')
      throw new SyscallError({
        call,
        stage: 'mount',
        syscall: 'stat',
        errno,
        path: source,
        remedy: 'Mount something that this user may read',
        cause: error,
      });
    if (!createSource)
      throw new NotFoundError({ call, kind: 'file', ref: source, remedy: 'Create it before it is mounted' });
    mkdirSync(source, { recursive: true });
  }
}

/** What is in the volume may have been written by anybody, links that lead out of it included. */
function volumeSource(volume: string, subpath: string | undefined, { call, pathOf }: Context): string {
  const root = pathOf(volume);
  if (subpath === undefined) return root;
  let source: string;
  try {
    source = realpathSync(join(root, subpath));
  } catch (error) {
    const errno = errorCode(error);
    if (errno !== 'ENOENT' && errno !== 'ENOTDIR' && errno !== 'ELOOP') throw error;
    throw new NotFoundError({
      call,
      kind: 'file',
      ref: `${volume}:${subpath}`,
      remedy: 'A subpath must be there before it is mounted',
    });
  }
  const real = realpathSync(root);
  if (source === real || source.startsWith(`${real}/`)) return source;
  throw new ParseError({
    call,
    source: `${volume}:${subpath}`,
    reason: 'leads out of the volume through a symbolic link',
  });
}
