import { ConflictError } from '../errors.js';
import { parseReference } from '../oci/reference.js';
import { familiar } from './inspect.js';
import type { ImageRecord } from './record.js';

/** A container that uses an image. */
export interface ImageUser {
  /** The container's. */
  readonly id: string;
  /** It has a process, so its image stays whatever is forced. */
  readonly running: boolean;
}

/** What is to go: the image, or some of its names. */
export type Removal = 'image' | { readonly names: readonly string[] };

interface Asked {
  readonly call: string;
  /** As the user wrote it. */
  readonly ref: string;
  readonly force: boolean;
  readonly record: ImageRecord;
  /** The image's, in full. */
  readonly tags: readonly string[];
  readonly users: readonly ImageUser[];
}

/**
 * What `docker rmi` would take away: a name; with the last one, or by id, the image. Force takes the last name from an
 * image that runs, which then stays without one.
 *
 * @throws {@link ConflictError} when the image must stay.
 */
export function decideRemoval(asked: Asked): Removal {
  const { record, tags, force, users } = asked;
  const names = namesMeant(asked);
  const byDigest = names.some(name => name.includes('@'));
  const all = [...tags, ...(byDigest ? record.repoDigests : [])];
  if (names.length > 0 && !all.every(name => names.includes(name))) return { names };
  if (names.length > 0 && force && users.some(user => user.running)) return { names };
  if (names.length === 0 && !force) refuseSeveral(asked);
  refuseUsed(asked);
  return 'image';
}

/** The names that a reference takes away; none when it is an id, which means the image itself. */
function namesMeant({ call, ref, record, tags }: Asked): string[] {
  if (/^(?:sha(?:256|512):)?[0-9a-f]+$/.test(ref) && !tags.includes(asTag(ref))) return [];
  const { repository, tag, digest } = parseReference(ref, { call });
  if (digest !== undefined) return record.repoDigests.filter(name => name === `${repository}@${digest}`);
  return [`${repository}:${tag}`];
}

/** A tag in full; text that could only be an id gives one that no image has. */
function asTag(ref: string): string {
  return ref.length === 64 || ref.includes(':') ? '' : parseReference(ref).toString();
}

function refuseSeveral({ call, ref, tags }: Asked): void {
  if (tags.length < 2) return;
  throw new ConflictError({
    call,
    kind: 'image',
    ref,
    reason: 'has several names',
    usedBy: tags.map(familiar),
    remedy: 'Remove it by one name after the other, or pass force: true',
  });
}

function refuseUsed({ call, ref, force, users }: Asked): void {
  const inTheWay = users.filter(user => user.running || !force);
  if (inTheWay.length === 0) return;
  const running = inTheWay.some(user => user.running);
  const who = inTheWay.map(user => user.id.slice(0, 12)).join(', ');
  throw new ConflictError({
    call,
    kind: 'image',
    ref,
    reason: `is used by the ${running ? 'running' : 'stopped'} container ${who}`,
    usedBy: inTheWay.map(user => user.id),
    remedy: running ? 'Stop and remove the container first' : 'Remove the container first, or pass force: true',
  });
}
