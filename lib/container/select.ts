import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { errorCode } from '../errors.js';
import type { AbortOptions } from '../types.js';
import { treeBytes } from '../util/tree-size.js';
import type { ContainerContext } from './context.js';
import { testOf, type Candidate, type ContainerFilter } from './filter.js';
import { readHealth } from './health.js';
import type { Live } from './live.js';
import type { ContainerRecord } from './record.js';

/** What is looked for in, and how a container that a filter names is found. */
export interface SelectSources {
  readonly context: ContainerContext;
  readonly live: Live;
  readonly records: readonly ContainerRecord[];
  /** @throws {@link NotFoundError} */
  find(ref: string, call: string): ContainerRecord;
  /** What is published, while it runs. */
  ports(record: ContainerRecord): ReturnType<Candidate['ports']>;
}

/** Those that match, newest first. */
export async function selectContainers(
  sources: SelectSources,
  filter: ContainerFilter,
  { call, ...options }: AbortOptions & { readonly call: string },
): Promise<Candidate[]> {
  options.signal?.throwIfAborted();
  const { context, records } = sources;
  const networks = await networkNames(context, filter.network ?? [], options);
  const matches = testOf(
    filter,
    {
      createdAt: ref => sources.find(ref, call).createdAt,
      image: ref => context.images.tryResolve(ref, call),
      network: ref => networks.get(ref) ?? [ref],
    },
    call,
  );
  return records
    .map(record => candidateOf(record, sources))
    .filter(matches)
    .sort((a, b) => (a.record.createdAt < b.record.createdAt ? 1 : -1));
}

function candidateOf(record: ContainerRecord, { live, ports }: SelectSources): Candidate {
  let state: ReturnType<Candidate['state']> | undefined;
  return {
    record,
    state: () => (state ??= live.state(record.id)),
    health: () => readHealth(record, live).status,
    ports: () => ports(record),
  };
}

/** A record calls a network by its name or its id, as its user did. */
async function networkNames(
  { networks }: ContainerContext,
  refs: string | readonly string[],
  options: AbortOptions,
): Promise<Map<string, readonly string[]>> {
  const names = new Map<string, readonly string[]>();
  for (const ref of [refs].flat()) {
    try {
      const { id, name } = await networks.get(ref, options);
      names.set(ref, [id, name]);
    } catch (error) {
      if (errorCode(error) !== 'CTR_NOT_FOUND') throw error; // `host` and `none` are modes, and have no record.
    }
  }
  return names;
}

/** What a container has written, in bytes on disk. */
export async function writtenBytes(
  { records }: ContainerContext,
  id: string,
  options: AbortOptions = {},
): Promise<number> {
  const home = records.directory(id);
  const upper = join(home, 'upper');
  // A plain copy has no directory of its own changes: all of it is the container's.
  return treeBytes(existsSync(upper) ? upper : join(home, 'rootfs'), options);
}
