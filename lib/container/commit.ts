import { InvalidStateError } from '../errors.js';
import { freeze, thaw } from '../host/cgroups-control.js';
import { Catalog } from '../image/catalog.js';
import { commitImage } from '../image/commit.js';
import { Image } from '../image/image.js';
import type { LayerCompression } from '../oci/descriptor.js';
import type { ImageRunConfig } from '../oci/image-spec.js';
import { parseReference } from '../oci/reference.js';
import type { AbortOptions } from '../types.js';
import { layerOrigin } from './changes.js';
import { eventOf, type ContainerRecord, type SettledHealthcheck } from './record.js';
import { cgroupsOf } from './spec.js';
import type { FilesOf } from './view.js';

/** What a container is made into an image with. */
export interface CommitOptions extends AbortOptions {
  /** The image's name. Left out: none. */
  readonly ref?: string;
  /** Who made it. */
  readonly author?: string;
  /** What its history says. */
  readonly message?: string;
  /** Dockerfile instructions that change how a container of it starts: `CMD ["sh"]`, `ENV A=1`, `EXPOSE 80`. */
  readonly changes?: readonly string[];
  /** Whether its processes stand still while its files are read. @defaultValue `true` */
  readonly pause?: boolean;
  /** How the new layer is packed. @defaultValue `'gzip'` */
  readonly compression?: LayerCompression;
  /** When it says that it was made. Default: now. */
  readonly createdAt?: Date;
}

const NS_PER_MS = 1_000_000;

/** See `Container.commit`. */
export async function commitContainer(of: FilesOf, options: CommitOptions): Promise<Image> {
  const call = 'container.commit';
  const { context, record } = of;
  const { ref, author, message, signal, changes = [], compression = 'gzip', createdAt = new Date() } = options;
  signal?.throwIfAborted();
  const origin = await layerOrigin(of, call);
  const resume = options.pause === false ? (): void => {} : await hold(of, call, signal);
  const resolved = context.images.resolve(record.image.id, call);
  const catalog = new Catalog(context.store);
  const input = {
    base: catalog.find(record.image.id, call),
    baseConfig: resolved.config,
    origin,
    compression,
    config: runConfig(record, resolved.config.config),
    changes,
    createdBy: record.config.command.join(' '),
    ...(ref === undefined ? {} : { ref }),
    ...(author === undefined ? {} : { author }),
    ...(message === undefined ? {} : { message }),
    createdAt,
    onRead: resume,
    onSkipped: (count: number) => {
      const files = count === 1 ? '1 file is' : `${count} files are`;
      context.emit('warning', {
        time: new Date(),
        message: `${call}: container ${record.name}: ${files} not in the layer: a name that begins with .wh. means something else there`,
      });
    },
  };
  try {
    const arrival = {
      call,
      store: context.store,
      catalog,
      signal: signal ?? new AbortController().signal,
      report: () => {},
      concurrency: 1,
      maxLayerBytes: Number.MAX_SAFE_INTEGER,
      // It is our own work: a file of zeros is no attack.
      maxLayerRatio: Number.MAX_SAFE_INTEGER,
    };
    const image = Image.of(context.images, await commitImage(input, arrival));
    context.emit('container:commit', {
      ...eventOf(record),
      imageId: image.id,
      ...(ref === undefined ? {} : { ref: parseReference(ref, { call }).familiar() }),
      ...(message === undefined ? {} : { message }),
    });
    return image;
  } finally {
    resume();
  }
}

/** Has its processes stand still, if they run. @returns What lets them go on; once. */
async function hold(
  { context, live, record }: FilesOf,
  call: string,
  signal: AbortSignal | undefined,
): Promise<() => void> {
  if (live.state(record.id).name !== 'running') return () => {};
  const plan = cgroupsOf(context, record, call);
  if (plan?.freeze === undefined) return () => {};
  let held = true;
  try {
    await freeze(plan, { call, ...(signal && { signal }) });
  } catch (error) {
    // It ended just then, and its group with it.
    if (live.state(record.id).name === 'running' || error instanceof InvalidStateError) throw error;
    held = false;
  }
  return () => {
    if (!held) return;
    held = false;
    try {
      thaw(plan, call);
    } catch (error) {
      if (live.state(record.id).name !== 'exited') throw error;
    }
  };
}

/** How it is run, as an image says it: what Docker takes over from a container. */
function runConfig(record: ContainerRecord, image: ImageRunConfig): Record<string, unknown> {
  const { config } = record;
  const words = (list: readonly string[]): readonly string[] | undefined => (list.length === 0 ? undefined : list);
  const keys = (list: readonly string[]): Record<string, object> | undefined =>
    list.length === 0 ? undefined : Object.fromEntries([...new Set(list)].sort().map(key => [key, {}]));
  const ports = config.ports.map(port => `${port.container}/${port.protocol}`);
  const anonymous = config.mounts.flatMap(mount =>
    mount.type === 'volume' && record.anonymousVolumes.includes(mount.source) ? [mount.target] : [],
  );
  const document = {
    User: config.user || undefined,
    ExposedPorts: keys([...(image.ExposedPorts ?? []), ...(config.exposed ?? []), ...ports]),
    Env: words(config.env),
    Entrypoint: words(config.entrypoint),
    Cmd: words(config.command),
    Volumes: keys([...(image.Volumes ?? []), ...anonymous]),
    WorkingDir: config.cwd === '/' && (image.WorkingDir ?? '') === '' ? undefined : config.cwd,
    Labels: Object.keys(record.labels).length === 0 ? undefined : record.labels,
    StopSignal: config.stopSignalGiven === true ? config.stopSignal : image.StopSignal,
    Healthcheck: config.healthcheck === undefined ? noCheck(image) : healthcheck(config.healthcheck),
    Shell: image.Shell,
  };
  return Object.fromEntries(Object.entries(document).filter(([, value]) => value !== undefined));
}

/** The image has one, and the container was told to do without. */
function noCheck(image: ImageRunConfig): object | undefined {
  return image.Healthcheck === undefined ? undefined : { Test: ['NONE'] };
}

function healthcheck(check: SettledHealthcheck): object {
  const { test, intervalMs, timeoutMs, retries, startPeriodMs, startIntervalMs } = check;
  const document = {
    Interval: intervalMs * NS_PER_MS,
    Timeout: timeoutMs * NS_PER_MS,
    StartPeriod: startPeriodMs * NS_PER_MS,
    StartInterval: startIntervalMs * NS_PER_MS,
    Retries: retries,
  };
  return { Test: test, ...Object.fromEntries(Object.entries(document).filter(([, value]) => value > 0)) };
}
