import { mkdirSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { errorCode, InvalidStateError, NotFoundError, ParseError, SyscallError } from '../errors.js';
import { mountOf } from '../host/mountinfo.js';
import type { Digest } from '../types.js';
import type { LocalSource } from './local-driver.js';
import type { BindMount, ImageMount, Propagation, TmpfsMount, VolumeMount } from './mount.js';

/** A mount with all that it names found. */
export type SettledMount =
  | BindMount
  | TmpfsMount
  | (VolumeMount & {
      /** The volume's name. */
      readonly source: string;
    })
  | (ImageMount & {
      /** The id of the image, and the ChainIDs of its layers, lowest first. */
      readonly image: Digest;
      readonly chain: readonly Digest[];
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
      readonly shallow: boolean;
      readonly propagation: 'private' | 'slave' | 'shared';
      readonly create: 'like-source';
    }
  | {
      readonly kind: 'overlay';
      readonly target: string;
      readonly attributes: number;
      readonly subpath: string;
      readonly lowers: readonly string[];
      readonly base: string;
      readonly writable?: { readonly upper: string; readonly work: string };
      readonly options: string;
    };

const attribute = { readOnly: 1, noSuid: 2, noDev: 4, noExec: 8 } as const;

/** What mounts need to be told of the rest. */
export interface MountContext {
  /** The user's call, for error messages. */
  readonly call: string;
  /** Where a volume's content is, or what is mounted for it; throws when there is no such volume. */
  readonly sourceOf: (volume: string) => string | LocalSource;
  /** The directories of an image's layers, topmost first, or the one that has them all. */
  readonly layersOf: (
    chain: readonly Digest[],
  ) =>
    | { readonly kind: 'overlay'; readonly lowers: readonly string[] }
    | { readonly kind: 'plain'; readonly directory: string };
  /** Empty directories of the container's own, to write into in place of what is below. */
  readonly scratch: (target: string) => { readonly upper: string; readonly work: string };
}

/**
 * Turns mounts into what the helper does, parents before children, so that one mount may lie in another.
 *
 * @throws {@link NotFoundError} when the source of a bind mount, or a subpath of a volume, is not there.
 */
export function mountSteps(mounts: readonly SettledMount[], context: MountContext): MountStep[] {
  const depth = (mount: SettledMount): number => mount.target.split('/').length;
  return [...mounts].sort((a, b) => depth(a) - depth(b)).map(mount => stepOf(mount, context));
}

function stepOf(mount: SettledMount, context: MountContext): MountStep {
  switch (mount.type) {
    case 'tmpfs':
      return tmpfs(mount);
    case 'bind':
      return mount.overlay === true ? overlaid(mount, context) : bind(mount, context.call);
    case 'volume':
      return volume(mount, context);
    case 'image':
      return image(mount, context);
    default:
      return mount satisfies never;
  }
}

function bind(mount: BindMount, call: string): MountStep {
  checkSource(mount, call);
  const { source, target, readOnly = false, recursive = 'enabled', propagation = 'rprivate' } = mount;
  return {
    kind: 'bind',
    source,
    target,
    attributes: readOnly ? attribute.readOnly : 0,
    recursive: recursive !== 'disabled',
    shallow: recursive === 'writable',
    propagation: checkPropagation(propagation, source, call),
    create: 'like-source',
  };
}

/** As Docker: mounts can only go on to where they come from, and only from where they are let out. */
function checkPropagation(propagation: Propagation, source: string, call: string): 'private' | 'slave' | 'shared' {
  const word = propagation.replace(/^r/, '') as 'private' | 'slave' | 'shared';
  if (word === 'private') return word;
  const mount = mountOf(realpathSync(source));
  const tags = mount?.optional ?? [];
  const isShared = tags.some(tag => tag.startsWith('shared:'));
  if (isShared || (word === 'slave' && tags.some(tag => tag.startsWith('master:')))) return word;
  throw new InvalidStateError({
    call,
    kind: 'file',
    ref: source,
    state: `on ${mount?.target ?? '/'}, a private mount`,
    expected: word === 'slave' ? ['shared', 'slave'] : ['shared'],
    remedy: `Leave out propagation: '${propagation}', or make that mount shared: mount --make-shared ${mount?.target ?? '/'}`,
  });
}

function overlaid(mount: BindMount, context: MountContext): MountStep {
  checkSource(mount, context.call);
  const { source, target } = mount;
  if (!statSync(source).isDirectory())
    throw new ParseError({ call: context.call, source, reason: 'is no directory, and overlay: true needs one' });
  const writable = context.scratch(target);
  return { kind: 'overlay', target, attributes: 0, subpath: '', base: '/', lowers: [source], writable, options: '' };
}

function image(mount: Extract<SettledMount, { type: 'image' }>, context: MountContext): MountStep {
  const { target, subpath = '' } = mount;
  const layers = context.layersOf(mount.chain);
  if (layers.kind === 'plain') {
    const { directory } = layers;
    const source = subpath === '' ? directory : subpathOf(mount.source, directory, subpath, context.call);
    return { ...whole(source, target), attributes: attribute.readOnly };
  }
  // overlayfs does without a layer to write into only where there are two to read; nobody writes through this mount.
  const [writable, { lowers }] = [context.scratch(target), layers];
  return { kind: 'overlay', target, attributes: attribute.readOnly, subpath, base: '/', lowers, writable, options: '' };
}

/** A bind of one directory or file, without what is mounted below. */
function whole(source: string, target: string): Extract<MountStep, { kind: 'bind' }> {
  const nothing = { attributes: 0, recursive: false, shallow: false, propagation: 'private' } as const;
  return { kind: 'bind', source, target, ...nothing, create: 'like-source' };
}

function volume(mount: Extract<SettledMount, { type: 'volume' }>, context: MountContext): MountStep {
  const { target, subpath } = mount;
  const found = context.sourceOf(mount.source);
  const readOnly = mount.readOnly === true ? attribute.readOnly : 0;
  if (typeof found !== 'string' && found.kind === 'filesystem') {
    if (subpath !== undefined)
      throw new ParseError({
        call: context.call,
        source: `${mount.source}:${subpath}`,
        reason: 'lies in a volume that is only mounted in its containers, so that nothing can be said of it before',
      });
    const { type, device, attributes, options } = found;
    return { kind: 'filesystem', type, source: device, target, attributes: attributes | readOnly, options };
  }
  const root = typeof found === 'string' ? found : found.source;
  const source = subpath === undefined ? root : subpathOf(mount.source, root, subpath, context.call);
  if (typeof found !== 'string') checkSource({ type: 'bind', source, target }, context.call);
  const attributes = typeof found !== 'string' && found.readOnly ? attribute.readOnly : readOnly;
  return { ...whole(source, target), attributes };
}

function tmpfs(mount: TmpfsMount): MountStep {
  const { target, sizeBytes, mode = 0o1777, uid, gid, maxInodes } = mount;
  const words = { size: sizeBytes, mode: mode.toString(8), uid, gid, nr_inodes: maxInodes };
  const options = Object.entries(words).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]));
  // As Docker: what is in memory for a container is neither programs nor devices, unless that is asked for.
  const attributes =
    (mount.suid === true ? 0 : attribute.noSuid) |
    (mount.dev === true ? 0 : attribute.noDev) |
    (mount.exec === true ? 0 : attribute.noExec) |
    (mount.readOnly === true ? attribute.readOnly : 0);
  return { kind: 'filesystem', type: 'tmpfs', source: 'tmpfs', target, attributes, options: options.join(',') };
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
function subpathOf(volume: string, root: string, subpath: string, call: string): string {
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
