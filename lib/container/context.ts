import type { CgroupHost } from '../host/cgroups.js';
import type { Helper } from '../host/helper.js';
import type { ImageCollection } from '../image/images.js';
import type { Networks } from '../network/networks.js';
import type { Records } from '../store/records.js';
import type { Store } from '../store/store.js';
import type { EngineEvents } from '../types.js';
import type { VolumeCollection } from '../volume/volumes.js';
import type { InitLayers } from './init-layer.js';
import type { ContainerRecord } from './record.js';

type ContainerEvents = Pick<EngineEvents, Extract<keyof EngineEvents, `container:${string}` | 'warning'>>;

/** What containers need of the rest, given by the engine. */
export interface ContainerContext {
  readonly store: Store;
  readonly records: Records<ContainerRecord>;
  readonly helper: Helper;
  readonly images: ImageCollection;
  readonly networks: Networks;
  readonly volumes: VolumeCollection;
  readonly initLayers: InitLayers;
  /** Read when the first container starts, then kept. */
  cgroups(): CgroupHost;
  /** Tells listeners and, unless a monitor has done so, the journal. */
  emit<K extends keyof ContainerEvents>(
    type: K,
    event: ContainerEvents[K][0],
    options?: { readonly journaled?: boolean },
  ): void;
  /** A program that opens the store, and so takes away containers that are to go when they have ended. */
  readonly sweeper?: readonly string[];
}
