import { randomBytes } from 'node:crypto';

import { ConflictError } from '../errors.js';
import { checkResources } from '../host/cgroups-limits.js';
import type { ResolvedImage } from '../image/resolve.js';
import { formatOwner, self } from '../store/owner.js';
import type { AbortOptions } from '../types.js';
import { Scope } from '../util/scope.js';
import type { ContainerContext } from './context.js';
import { prepareMounts } from './mounts.js';
import { CONTAINER_NAME, drawName } from './names.js';
import type { CreateContainerOptions } from './options.js';
import { eventOf, type ContainerRecord } from './record.js';
import { resolveConfig } from './resolve.js';

/**
 * Makes a container's record, with its name claimed and its volumes made; all of it or nothing.
 *
 * @throws {@link NotFoundError} when there is no such image, {@link ConflictError} when the name is taken.
 */
export async function createRecord(
  context: ContainerContext,
  options: CreateContainerOptions,
  call: string,
): Promise<ContainerRecord> {
  options.signal?.throwIfAborted();
  const image = await imageOf(context, options, call);
  const id = randomBytes(32).toString('hex');
  let config = resolveConfig(id, options, image.config.config);
  if (config.pidMode !== undefined || config.ipcMode !== undefined) {
    const { resolvePeers } = await import('./peers.js');
    config = resolvePeers(context, config, call);
  }
  checkResources(context.cgroups(), config.resources, call);
  const { records, volumes } = context;
  await using scope = new Scope();
  const lifetime = options.lifetime ?? 'process';
  const name = claimName(context, id, options.name, call, lifetime === 'detached');
  scope.defer(() => void records.release(name, id));
  const { mounts, anonymous, fresh } = await prepareMounts(context, options, image, call);
  scope.defer(async () => {
    for (const volume of anonymous) await volumes.discard(volume);
  });
  if (fresh.length > 0) {
    const { copyUp } = await import('./copy-up.js');
    await copyUp(context, image, fresh, { call, ...signalOf(options) });
  }
  const record: ContainerRecord = {
    id,
    name,
    createdAt: new Date().toISOString(),
    image: { id: image.id, ref: typeof options.image === 'string' ? options.image : options.image.id },
    chain: image.chain,
    labels: { ...image.config.config.Labels, ...options.labels },
    lifetime,
    ...(options.autoRemove === true ? { autoRemove: true } : {}),
    owner: formatOwner(self()),
    anonymousVolumes: anonymous,
    ...(options.asked === undefined ? {} : { asked: options.asked }),
    config: { ...config, mounts },
  };
  // One that ends with this process need not survive a power cut.
  records.put(record, { durable: lifetime === 'detached' });
  scope.keep();
  context.emit('container:create', eventOf(record, new Date(record.createdAt)));
  return record;
}

/** The image, pulled as `pull` says. */
function imageOf(
  { images }: ContainerContext,
  { image, pull, platform, signal }: CreateContainerOptions,
  call: string,
): ResolvedImage | Promise<ResolvedImage> {
  return images.obtain(image, {
    call,
    ...(pull && { policy: pull }),
    ...(platform && { platform }),
    ...(signal && { signal }),
  });
}

function claimName(
  { records }: ContainerContext,
  id: string,
  wanted: string | undefined,
  call: string,
  durable: boolean,
): string {
  if (wanted !== undefined) {
    if (!CONTAINER_NAME.test(wanted)) {
      throw new TypeError(
        `${call}: name: expected letters, digits, '_', '.' and '-', at least two, beginning with a letter or digit; got ${JSON.stringify(wanted)}`,
      );
    }
    if (!records.claim(wanted, id, { durable })) {
      const holder = records.resolve(wanted);
      throw new ConflictError({
        call,
        kind: 'container',
        ref: wanted,
        reason: `the name is in use by container ${holder?.slice(0, 12) ?? '(being created)'}`,
        usedBy: holder === undefined ? [] : [holder],
        remedy: 'Remove that container, or choose another name',
      });
    }
    return wanted;
  }
  for (let attempt = 0; ; attempt++) {
    const name = drawName(attempt);
    if (records.claim(name, id, { durable })) return name;
  }
}

function signalOf({ signal }: AbortOptions): AbortOptions {
  return signal === undefined ? {} : { signal };
}
