import { closeSync, constants, fstatSync, lstatSync, openSync, readlinkSync, readSync, realpathSync } from 'node:fs';
import { join } from 'node:path';

import { errorCode, LimitError } from '../errors.js';

/** As the kernel's own limit on symbolic links in one look-up. */
const MAX_LINKS = 40;

/** One directory of a stack, as `images.resolve` gives them. */
export interface LayerView {
  readonly dir: string;
  /** Directories in it, relative to its root, that hide all below them. Their mark is an xattr, which Node cannot read. */
  readonly opaque: readonly string[];
}

/** One layer's share of a merged directory. */
interface Part {
  readonly layer: LayerView;
  /** Inside the layer, `''` for its root. */
  readonly path: string;
}

type Found =
  | { readonly kind: 'directory'; readonly parts: readonly Part[] }
  | { readonly kind: 'link'; readonly target: string }
  | { readonly kind: 'file'; readonly part: Part };

/**
 * Reads a file out of a stack of layer directories as overlayfs would show it, without mounting anything: whiteouts,
 * opaque directories and symbolic links are honoured, and no link leads out of the stack.
 *
 * Synchronous, because it belongs to the start of a container and reads files of a few hundred bytes.
 *
 * @param layers - Top first. A container's upper directory may be the first of them.
 * @param options.maxBytes - A larger file is refused. Default 1 MiB.
 * @returns `undefined` when there is no such regular file.
 * @throws {@link LimitError} when the file is larger than `maxBytes`.
 */
export function readInLayers(
  layers: readonly LayerView[],
  path: string,
  options: { readonly maxBytes?: number } = {},
): Buffer | undefined {
  const found = resolveInLayers(layers, path);
  return found?.kind === 'file' ? readRegular(found.part, path, options.maxBytes ?? 1 << 20) : undefined;
}

/** Whether the stack shows a directory there. */
export function isDirectoryInLayers(layers: readonly LayerView[], path: string): boolean {
  return resolveInLayers(layers, path)?.kind === 'directory';
}

/** The directories of the host that the stack shows as one at a path, top first; none when it shows no directory there. */
export function partsInLayers(layers: readonly LayerView[], path: string): string[] {
  const found = resolveInLayers(layers, path);
  return found?.kind === 'directory' ? found.parts.map(part => join(part.layer.dir, part.path)) : [];
}

/** What the stack shows at a path, links followed: the host's path of the file, or of the topmost part of the directory. */
export function locateInLayers(layers: readonly LayerView[], path: string): string | undefined {
  const found = resolveInLayers(layers, path);
  const part = found?.kind === 'file' ? found.part : found?.parts[0];
  return part === undefined ? undefined : join(part.layer.dir, part.path);
}

function resolveInLayers(layers: readonly LayerView[], path: string): Exclude<Found, { kind: 'link' }> | undefined {
  const root: readonly Part[] = layers.map(layer => ({ layer, path: '' }));
  let trail: (readonly Part[])[] = [root];
  const todo = components(path).reverse();
  for (let name = todo.pop(), links = 0; name !== undefined; name = todo.pop()) {
    if (name === '..' && trail.length > 1) trail.pop();
    if (name === '.' || name === '..') continue;
    const found = step(trail.at(-1) ?? root, name);
    if (found === undefined) return undefined;
    if (found.kind === 'file') return todo.length === 0 ? found : undefined;
    if (found.kind === 'directory') {
      trail.push(found.parts);
      continue;
    }
    if (++links > MAX_LINKS) return undefined;
    if (found.target.startsWith('/')) trail = [root];
    todo.push(...components(found.target).reverse());
  }
  return { kind: 'directory', parts: trail.at(-1) ?? root };
}

function components(path: string): string[] {
  return path.split('/').filter(part => part !== '');
}

/** Looks a name up in a merged directory. Each part of that was seen to be a directory, so no link is followed here. */
function step(parts: readonly Part[], name: string): Found | undefined {
  const merged: Part[] = [];
  for (const { layer, path } of parts) {
    const inside = path === '' ? name : `${path}/${name}`;
    const stat = lstatSync(join(layer.dir, inside), { throwIfNoEntry: false });
    if (stat === undefined) continue;
    if (stat.isDirectory()) {
      merged.push({ layer, path: inside });
      if (layer.opaque.includes(inside)) break;
      continue;
    }
    if (merged.length > 0) break;
    // A character device 0/0 is overlayfs's whiteout: the name was deleted in this layer.
    if (stat.isCharacterDevice() && stat.rdev === 0) return undefined;
    if (stat.isSymbolicLink()) return { kind: 'link', target: readlinkSync(join(layer.dir, inside)) };
    return { kind: 'file', part: { layer, path: inside } };
  }
  return merged.length > 0 ? { kind: 'directory', parts: merged } : undefined;
}

function readRegular(part: Part, path: string, maxBytes: number): Buffer | undefined {
  let fd: number;
  try {
    // A fifo must not block us.
    fd = openSync(join(part.layer.dir, part.path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    // It was replaced since the look-up, by nothing, a link or a socket.
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO'].includes(errorCode(error) ?? '')) return undefined;
    throw error;
  }
  try {
    const stat = fstatSync(fd);
    // In the upper directory of a running container, a directory on the way may have become a link meanwhile.
    const where = readlinkSync(`/proc/self/fd/${fd}`);
    if (!stat.isFile() || where !== join(realpathSync.native(part.layer.dir), part.path)) return undefined;
    if (stat.size > maxBytes) {
      const reason = `has ${stat.size} bytes, at most ${maxBytes} are read`;
      throw new LimitError({ call: 'image.read', what: path, reason, limit: maxBytes });
    }
    return readAll(fd, stat.size);
  } finally {
    closeSync(fd);
  }
}

function readAll(fd: number, size: number): Buffer {
  const buffer = Buffer.alloc(size);
  let length = 0;
  while (length < size) {
    const count = readSync(fd, buffer, length, size - length, length);
    if (count === 0) break;
    length += count;
  }
  return buffer.subarray(0, length);
}
