import { ConflictError, NotFoundError } from '../errors.js';
import type { AbortOptions } from '../types.js';
import type { ContainerContext } from './context.js';
import { CONTAINER_NAME } from './names.js';
import { eventOf, type ContainerRecord } from './record.js';

/**
 * Gives a container another name. The record says beforehand which name it will have, and afterwards which it had, so
 * that a kill at any moment leaves one name to the container and none to nobody: see {@link finishRename}.
 *
 * @throws {@link ConflictError} when another has that name, or it is the same as before.
 */
export async function renameContainer(
  context: ContainerContext,
  id: string,
  name: string,
  { call, ...options }: AbortOptions & { readonly call: string },
): Promise<void> {
  if (!CONTAINER_NAME.test(name)) {
    throw new TypeError(
      `${call}: name: expected letters, digits, '_', '.' and '-', at least two, beginning with a letter or digit; got ${JSON.stringify(name)}`,
    );
  }
  const { records } = context;
  const renamed = await locked(context, id, options, () => {
    const record = records.get(id);
    if (record === undefined) throw new NotFoundError({ call, kind: 'container', ref: id.slice(0, 12) });
    if (record.name === name) throw taken(name, 'is its name already', [id], call);
    return claimAndRename(context, record, name, call);
  });
  context.emit('container:rename', { ...eventOf(renamed.record), oldName: renamed.oldName });
}

function claimAndRename(
  { records }: ContainerContext,
  { id, name: oldName, lifetime }: ContainerRecord,
  name: string,
  call: string,
): { readonly record: ContainerRecord; readonly oldName: string } {
  const durable = { durable: lifetime === 'detached' };
  records.update(id, before => ({ ...before, spareName: name }), durable);
  if (!records.claim(name, id, durable)) {
    const holder = records.resolve(name);
    records.update(id, withoutSpare, durable);
    throw taken(name, `is in use by container ${holder?.slice(0, 12) ?? '(being created)'}`, holder, call);
  }
  const record = records.update(id, before => ({ ...before, name, spareName: oldName }), durable);
  if (record === undefined) {
    records.release(name, id);
    throw new NotFoundError({ call, kind: 'container', ref: id.slice(0, 12), remedy: 'It was removed' });
  }
  records.release(oldName, id);
  records.update(id, withoutSpare, durable);
  return { record: withoutSpare(record), oldName };
}

/** Ends a renaming whose process was killed: the container keeps the name that its record says. */
export async function finishRename(context: ContainerContext, { id, lifetime }: ContainerRecord): Promise<void> {
  const { records } = context;
  await locked(context, id, {}, () => {
    // Looked at again: whoever was at it may have finished meanwhile.
    const record = records.get(id);
    if (record?.spareName === undefined) return;
    records.release(record.spareName, id);
    records.update(id, withoutSpare, { durable: lifetime === 'detached' });
  });
}

async function locked<T>({ store }: ContainerContext, id: string, options: AbortOptions, step: () => T): Promise<T> {
  const lock = await store.lock(`rename-${id}`, options);
  try {
    return step();
  } finally {
    await lock[Symbol.asyncDispose]();
  }
}

function withoutSpare(record: ContainerRecord): ContainerRecord {
  const { spareName, ...rest } = record;
  return spareName === undefined ? record : rest;
}

function taken(
  name: string,
  reason: string,
  holder: string | readonly string[] | undefined,
  call: string,
): ConflictError {
  return new ConflictError({
    call,
    kind: 'container',
    ref: name,
    reason: `the name ${reason}`,
    usedBy: holder === undefined ? [] : [holder].flat(),
    remedy: 'Choose another name',
  });
}
