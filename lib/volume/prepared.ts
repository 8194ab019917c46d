import type { AbortOptions } from '../types.js';
import { readLocalOptions } from './local-driver.js';
import { checkMounts, type ImageMount, type Mount, type VolumeMount } from './mount.js';
import { checkSource, type SettledMount } from './mounts.js';
import { newName, now, type VolumeRecord } from './record.js';

/** What is mounted into a container, and what was made for that. */
export interface PreparedMounts {
  readonly mounts: SettledMount[];
  /** Volumes without a name, which go with the container. */
  readonly anonymous: string[];
  /** Volumes that are new, or still empty, and get what the image has at their targets. */
  readonly fresh: readonly { readonly volume: string; readonly target: string }[];
}

/** @internal */
export interface PrepareOptions extends AbortOptions {
  /** The user's call, for error messages. */
  readonly call: string;
  /** Mounts of other containers: the user's own win over them, and they over the image's. */
  readonly borrowed?: readonly SettledMount[];
  readonly imageOf: (mount: ImageMount) => SettledMount;
}

/** What mounts ask of the volumes that there are. */
export interface PreparedHome {
  /** Makes a volume unless it is there. */
  ensure(record: VolumeRecord): Promise<unknown>;
  /** Whether it is one that may be filled, and nothing is in it. */
  isEmpty(volume: string): boolean;
  /** Removes one that was made. Never rejects. */
  discard(volume: string): Promise<void>;
}

/**
 * Checks the mounts of a container to be created and makes the volumes that it needs: named ones that are not there,
 * and nameless ones for mounts without a name and for the image's volumes that nothing else is mounted at.
 *
 * @returns The mounts with all names settled.
 */
export async function prepareMounts(
  mounts: readonly Mount[],
  imageVolumes: readonly string[],
  home: PreparedHome,
  { call, borrowed = [], imageOf }: PrepareOptions,
): Promise<PreparedMounts> {
  const checked = checkMounts(call, mounts);
  for (const mount of checked) if (mount.type === 'bind') checkSource(mount, call);
  const targets = new Set(checked.map(mount => mount.target));
  const lent = borrowed.filter(({ target }) => !targets.has(target));
  for (const { target } of lent) targets.add(target);
  const declared = checkMounts(
    call,
    imageVolumes.filter(path => path.startsWith('/')).map(target => ({ type: 'volume', target })),
  );
  const anonymous: string[] = [];
  const fresh: { volume: string; target: string }[] = [];
  const settled: SettledMount[] = [...lent];
  try {
    for (const mount of [...checked, ...declared.filter(({ target }) => !targets.has(target))]) {
      if (mount.type === 'image') settled.push(imageOf(mount));
      else if (mount.type !== 'volume') settled.push(mount);
      else {
        const record = recordOf(mount, call);
        if (record.anonymous) anonymous.push(record.id);
        await home.ensure(record);
        settled.push({ ...mount, source: record.id });
        if (mount.noCopy !== true && mount.subpath === undefined && home.isEmpty(record.id))
          fresh.push({ volume: record.id, target: mount.target });
      }
    }
  } catch (error) {
    for (const name of anonymous) await home.discard(name);
    throw error;
  }
  return { mounts: settled, anonymous, fresh };
}

/** The volume of a mount, as it is to be if it is not there. */
function recordOf({ source, labels = {}, driverOptions = {} }: VolumeMount, call: string): VolumeRecord {
  const id = source ?? newName();
  readLocalOptions(call, id, driverOptions);
  const options = Object.keys(driverOptions).length === 0 ? {} : { driverOptions };
  return { id, labels, createdAt: now(), anonymous: source === undefined, ...options };
}
