import { errorCode } from '../../errors.js';
import type { VolumeInfo } from '../../volume/volume.js';
import type { Invocation } from '../command.js';
import type { inspectFlags } from '../commands/container.js';
import { toDockerNetwork } from '../docker-network.js';
import type { Values } from '../flags.js';
import { complain, print, withEngine, type Session } from '../session.js';
import { Template } from '../template.js';
import { UsageError } from '../usage-error.js';

type Kind = 'container' | 'image' | 'network' | 'volume';
type Look = (session: Session, ref: string, size: boolean) => Promise<object>;

const kinds: Readonly<Record<Kind, Look>> = { container, image, network, volume };

/** `inspect`, and that of one kind. Without a kind, all are asked in turn. */
export async function inspect({ globals, flags, args }: Invocation<typeof inspectFlags>): Promise<number> {
  const asked = kindsOf(flags);
  const template = flags.format === undefined || flags.format === 'json' ? undefined : new Template(flags.format);
  return withEngine(globals, async session => {
    const found: object[] = [];
    let exitCode = 0;
    for (const ref of args) {
      try {
        const object = await look(session, asked, ref, flags.size);
        found.push(object);
        if (template !== undefined) print(template.render(object));
      } catch (error) {
        complain(error, globals.debug);
        exitCode = 1;
      }
    }
    if (template === undefined) print(flags.format === 'json' ? JSON.stringify(found) : JSON.stringify(found, null, 4));
    return exitCode;
  });
}

function kindsOf({ type }: Values<typeof inspectFlags>): Kind[] {
  if (type === undefined || type === '') return ['container', 'image', 'network', 'volume'];
  if (!Object.hasOwn(kinds, type))
    throw new UsageError(`"${type}" is not a valid value for --type: it is container, image, network or volume`, 1);
  return [type as Kind];
}

async function look(session: Session, asked: readonly Kind[], ref: string, size: boolean): Promise<object> {
  let missing: unknown;
  for (const kind of asked) {
    try {
      return await kinds[kind](session, ref, size);
    } catch (error) {
      const code = errorCode(error);
      // A name that one kind of thing cannot have is no reason not to ask the next.
      if (code !== 'CTR_NOT_FOUND' && !(code === 'CTR_PARSE' && asked.length > 1)) throw error;
      missing ??= error;
    }
  }
  throw asked.length > 1 ? new UsageError(`No such object: ${ref}`, 1) : missing;
}

async function container({ engine, signal }: Session, ref: string, size: boolean): Promise<object> {
  return (await engine.containers.get(ref, { signal })).inspectDocker({ signal, size });
}

async function image({ engine, signal }: Session, ref: string): Promise<object> {
  return (await engine.images.get(ref, { signal })).inspectDocker({ signal });
}

async function network({ engine, signal }: Session, ref: string): Promise<object> {
  const info = await (await engine.networks.get(ref, { signal })).inspect({ signal });
  return toDockerNetwork(info, id => engine.containers.endpointOf(id, info.id));
}

async function volume({ engine, signal }: Session, ref: string): Promise<object> {
  return toDockerVolume(await (await engine.volumes.get(ref, { signal })).inspect({ signal }));
}

function toDockerVolume({ name, path, labels, createdAt, driverOptions }: VolumeInfo): object {
  return {
    // In seconds, as Docker has it.
    CreatedAt: createdAt.toISOString().replace(/\.\d+Z$/, 'Z'),
    Driver: 'local',
    Labels: labels,
    Mountpoint: path,
    Name: name,
    Options: Object.keys(driverOptions).length === 0 ? null : driverOptions,
    Scope: 'local',
  };
}
