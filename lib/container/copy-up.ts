import { readdirSync } from 'node:fs';

import { pipeArchive } from '../host/file-transfer.js';
import { Plan } from '../host/plan.js';
import type { ResolvedImage } from '../image/resolve.js';
import { partsInLayers } from '../image/view.js';
import type { AbortOptions } from '../types.js';
import { adoptAttributes } from '../volume/content.js';
import type { PreparedMounts } from '../volume/prepared.js';
import type { ContainerContext } from './context.js';
import { mountpointOf } from './spec.js';

/**
 * Fills volumes that are still empty with what the image has at the places where they are mounted, as Docker does when a
 * container is created: files with their owners, modes, times and attributes, and those of the directory itself.
 */
export async function copyUp(
  context: ContainerContext,
  image: ResolvedImage,
  fresh: PreparedMounts['fresh'],
  options: AbortOptions & { readonly call: string },
): Promise<void> {
  for (const { volume, target } of fresh) {
    const parts = partsInLayers(image.views, target);
    const [top] = parts;
    if (top === undefined) continue;
    await context.volumes.fill(
      volume,
      async directory => {
        // Most images have nothing there but the directory: no helper is needed for that.
        if (parts.some(part => readdirSync(part).length > 0))
          await fill(context, image, { target, directory }, options);
        adoptAttributes(directory, top);
      },
      options,
    );
  }
}

/** One helper reads them in the image as a container would see it, another writes them, each confined to its own. */
async function fill(
  context: ContainerContext,
  image: ResolvedImage,
  { target, directory }: { readonly target: string; readonly directory: string },
  options: AbortOptions & { readonly call: string },
): Promise<void> {
  const lowers = context.store.snapshots.lowers(image.chain);
  const [only = '', ...more] = lowers;
  const read = new Plan();
  // One layer is all there is to see, and overlayfs does not take one alone.
  if (more.length === 0) read.op('root-bind', mountpointOf(context), only);
  else read.op('root-overlay', mountpointOf(context), '/', '', '', '', ...lowers);
  // The last component is the directory itself, so that links on the way to it are followed as inside.
  read.op('pivot').op('archive', `${target}/.`, '.');
  await pipeArchive(read, new Plan().op('target', directory).op('extract', '.', 'keep'), options);
}
