import type { Engine } from '../../lib/engine.js';
import type { Image } from '../../lib/image/image.js';
import { programPath } from './needs.js';

/** What test scripts may use. Every Debian has these; what a smaller machine lacks is left out. */
const PROGRAMS = (
  'sh cat ls sleep id env true false echo pwd head tail seq yes wc grep tr mkdir rm touch chmod chown ln readlink stat ' +
  'dd mknod mount umount kill hostname stty tty date'
).split(' ');

const images = new WeakMap<Engine, Promise<Image>>();
const nodes = new WeakMap<Engine, Promise<Image>>();

/**
 * An image with the host's own small programs; made once per engine. Needs no network.
 * A program more here is a few milliseconds more for every test with an engine.
 */
export function baseImage(engine: Engine): Promise<Image> {
  return cached(
    images,
    engine,
    PROGRAMS.map(programPath).filter(path => path !== undefined),
  );
}

/** The same with the Node that runs this, for tests that need a server inside. */
export function nodeImage(engine: Engine): Promise<Image> {
  return cached(nodes, engine, [
    process.execPath,
    ...['sh', 'cat'].map(programPath).filter(path => path !== undefined),
  ]);
}

function cached(cache: WeakMap<Engine, Promise<Image>>, engine: Engine, binaries: readonly string[]): Promise<Image> {
  let image = cache.get(engine);
  if (image === undefined) {
    image = engine.images.fromHost({ binaries });
    cache.set(engine, image);
  }
  return image;
}
