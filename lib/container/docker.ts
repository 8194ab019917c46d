import { basename, dirname } from 'node:path';

import { errorCode } from '../errors.js';
import type { AbortOptions } from '../types.js';
import type { Containers } from './containers.js';
import type { ContainerContext } from './context.js';
import { dockerInspect } from './docker-inspect.js';
import type { ContainerRecord } from './record.js';
import { isUp } from './state.js';

/** Gathers what is known of a container, and says it in Docker's words. */
export async function inspectDocker(
  home: Containers,
  context: ContainerContext,
  record: ContainerRecord,
  { size = false, ...options }: AbortOptions & { readonly size?: boolean },
): Promise<Record<string, unknown>> {
  const { id } = record;
  const { images, records, volumes } = context;
  const state = home.live.state(id);
  const image = images.tryResolve(record.image.id, 'container.inspectDocker');
  const lower = lowerOf(context, record, image);
  const written = size ? await home.writtenBytes(id, options) : 0;
  const ofImage = size && image !== undefined ? (await (await images.get(image.id)).inspect(options)).sizeBytes : 0;
  return dockerInspect({
    info: home.describe({ record, state: () => state }),
    record,
    image: image?.config.config,
    endpoints: isUp(state) ? home.endpoints(record) : [],
    networks: state.name === 'created' ? new Map() : await networkIds(context, record, options),
    cgroups: context.cgroups().mode,
    paths: {
      log: home.logPath(record),
      files: home.live.directory(record),
      ...(lower === undefined ? {} : { lower }),
      home: records.directory(id),
      volume: name => volumes.path(name),
    },
    ...(size ? { sizes: { written, whole: written + ofImage } } : {}),
  });
}

/** The networks that it was on, by what its record calls them. */
async function networkIds(
  { networks }: ContainerContext,
  { config }: ContainerRecord,
  options: AbortOptions,
): Promise<Map<string, string>> {
  const ids = new Map<string, string>();
  for (const { network } of config.networks) {
    try {
      ids.set(network, (await networks.get(network, options)).id);
    } catch (error) {
      if (errorCode(error) !== 'CTR_NOT_FOUND') throw error; // Removed since.
    }
  }
  return ids;
}

/** As overlayfs takes it; `undefined` where trees are copied. */
function lowerOf(
  { store, initLayers }: ContainerContext,
  { chain }: ContainerRecord,
  image: Parameters<ContainerContext['initLayers']['for']>[0] | undefined,
): string | undefined {
  try {
    const lowers = store.snapshots.lowers([...chain]);
    if (lowers.some(path => basename(dirname(path)) === 'trees')) return undefined;
    const init = image === undefined ? undefined : initLayers.for(image);
    return [...(init === undefined ? [] : [init]), ...lowers].join(':');
  } catch (error) {
    // Its image was removed by force, and its layers with it.
    if (errorCode(error) !== 'CTR_NOT_FOUND') throw error;
    return '';
  }
}
