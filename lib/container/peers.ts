import { NotFoundError } from '../errors.js';
import type { ContainerContext } from './context.js';
import type { IpcMode, PidMode } from './options.js';
import type { Isolation } from './record.js';
import { peerId } from './confinement.js';

/**
 * Puts ids in the place of names of containers: a name may be somebody else's tomorrow.
 *
 * @throws {@link NotFoundError} when there is no such container.
 */
export function resolvePeers<T extends Isolation>(context: ContainerContext, config: T, call: string): T {
  const { pidMode, ipcMode } = config;
  const pid = peerId(pidMode);
  const ipc = peerId(ipcMode);
  if (pid === undefined && ipc === undefined) return config;
  const settled = (ref: string): `container:${string}` => `container:${idOf(context, ref, call)}`;
  const found: { pidMode?: PidMode; ipcMode?: IpcMode } = {};
  if (pid !== undefined) found.pidMode = settled(pid);
  if (ipc !== undefined) found.ipcMode = settled(ipc);
  return { ...config, ...found };
}

function idOf({ records }: ContainerContext, ref: string, call: string): string {
  const known = records.resolve(ref);
  if (known !== undefined) return known;
  const matches = /^[0-9a-f]+$/.test(ref) ? records.ids().filter(id => id.startsWith(ref)) : [];
  const [id, ...more] = matches;
  if (id !== undefined && more.length === 0) return id;
  throw new NotFoundError({ call, kind: 'container', ref, remedy: 'Its namespace was to be shared: create it first' });
}
