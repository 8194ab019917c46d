import { availableParallelism, totalmem } from 'node:os';

import type { CgroupHost, Controller } from '../host/cgroups.js';
import { readCgroupStats, type CgroupStats } from '../host/cgroups-stats.js';
import { readSmall } from '../host/small-files.js';
import type { AbortOptions } from '../types.js';
import { sleep } from '../util/abort.js';
import type { ContainerContext } from './context.js';
import type { ContainerRecord } from './record.js';
import { cgroupsOf } from './spec.js';

/** What a container uses, at one moment. */
export interface ContainerStats {
  /** Whose. */
  readonly id: string;
  /** Whose. */
  readonly name: string;
  /** When it was looked at. */
  readonly time: Date;
  /** Processor time. */
  readonly cpu: {
    /**
     * Of one processor: 200 is two of them, all the time. Between this sample and the one before it or, where there is
     * none, since the container was started.
     */
    readonly percent: number;
    /** Since it was started, in microseconds. */
    readonly usedMicros: number;
    /** Of these, in programs. */
    readonly userMicros: number;
    /** Of these, in the kernel on their behalf. */
    readonly systemMicros: number;
    /** How many processors the machine has. */
    readonly onlineCpus: number;
    /** Periods in which there was a quota to keep to, those in which it was used up, and how long was waited then. */
    readonly throttling: {
      readonly periods: number;
      readonly throttledPeriods: number;
      readonly throttledMicros: number;
    };
  };
  /** Memory. */
  readonly memory: {
    /** As `docker stats` counts it: without the cached files that the kernel can have back at any time. */
    readonly usedBytes: number;
    /** Those cached files. */
    readonly cacheBytes: number;
    /** `undefined` when there is no limit. */
    readonly limitBytes: number | undefined;
    /** The limit, or all of the machine's memory where there is none. */
    readonly availableBytes: number;
    /** Used, of what is available. */
    readonly percent: number;
  };
  /** By interface inside the container, without the loopback; empty with the host's network. */
  readonly networks: Readonly<Record<string, NetworkCounters>>;
  /** What was read from and written to disks. */
  readonly block: {
    readonly readBytes: number;
    readonly writtenBytes: number;
    readonly reads: number;
    readonly writes: number;
  };
  /** Processes and threads. */
  readonly processes: number;
  /** `undefined` when there is no limit. */
  readonly maxProcesses: number | undefined;
}

/** What has passed through an interface since it was made. */
export interface NetworkCounters {
  readonly receivedBytes: number;
  readonly receivedPackets: number;
  readonly receiveErrors: number;
  readonly receiveDropped: number;
  readonly sentBytes: number;
  readonly sentPackets: number;
  readonly sendErrors: number;
  readonly sendDropped: number;
}

/** How a single sample is taken. */
export interface StatsOptions extends AbortOptions {
  /** `cpu.percent` is measured over so many milliseconds. @defaultValue `0`: since the container was started, at once */
  readonly intervalMs?: number;
}

/** How samples are taken over and over. */
export interface WatchStatsOptions extends AbortOptions {
  /** Between two samples, in milliseconds. @defaultValue `1_000`, as Docker */
  readonly intervalMs?: number;
}

/** A container that runs: what of it has to be known to look at it. */
export interface Subject {
  readonly record: ContainerRecord;
  readonly pid: number;
  readonly startedAt: Date;
}

/** What was counted, and when. */
interface Sample {
  readonly pid: number;
  readonly atMs: number;
  readonly usedMicros: number;
}

/** By record: planning anew which groups those are would cost as much as reading them. */
const groupsOf = new WeakMap<ContainerRecord, ReadonlyMap<Controller, string>>();

/** Looks at running containers. Remembers what it saw last, so that the next look can tell what has happened since. */
export class Sampler {
  readonly #context: ContainerContext;
  readonly #before = new Map<string, Sample>();
  #machine: { readonly host: CgroupHost; readonly memoryBytes: number; readonly cpus: number } | undefined;

  constructor(context: ContainerContext) {
    this.#context = context;
  }

  /** `undefined` for one that has ended meanwhile. */
  sample(subject: Subject, call: string): ContainerStats | undefined {
    const { record, pid, startedAt } = subject;
    this.#machine ??= { host: this.#context.cgroups(), memoryBytes: totalmem(), cpus: availableParallelism() };
    const { host, memoryBytes, cpus } = this.#machine;
    const counted = readCgroupStats(host, this.#groupsOf(record, call));
    const time = new Date();
    const hasOwnNetwork = record.config.networkMode !== 'host';
    const devices = hasOwnNetwork ? readSmall(`/proc/${pid}/net/dev`) : '';
    if (devices === undefined) return undefined;
    const now: Sample = { pid, atMs: performance.now(), usedMicros: counted.cpu.usedMicros };
    const before = this.#before.get(record.id);
    this.#before.set(record.id, now);
    const percent =
      before?.pid === pid
        ? percentOf(now.usedMicros - before.usedMicros, now.atMs - before.atMs)
        : percentOf(now.usedMicros, time.getTime() - startedAt.getTime());
    return {
      id: record.id,
      name: record.name,
      time,
      cpu: cpuOf(counted, percent, cpus),
      memory: memoryOf(counted, memoryBytes),
      networks: parseDevices(devices),
      block: counted.block,
      processes: counted.processes,
      maxProcesses: counted.maxProcesses,
    };
  }

  #groupsOf(record: ContainerRecord, call: string): ReadonlyMap<Controller, string> {
    const known = groupsOf.get(record);
    if (known !== undefined) return known;
    const groups = cgroupsOf(this.#context, record, call)?.groups ?? new Map<Controller, string>();
    groupsOf.set(record, groups);
    return groups;
  }
}

/**
 * One look, or two with `intervalMs` between them.
 *
 * @param subjects - Those that run, at the time of the call.
 */
export async function sampleOnce(
  context: ContainerContext,
  subjects: () => readonly Subject[],
  { intervalMs = 0, signal }: StatsOptions,
  call: string,
): Promise<ContainerStats[]> {
  signal?.throwIfAborted();
  const wait = checkInterval(intervalMs, 0, call);
  const sampler = new Sampler(context);
  const look = (): ContainerStats[] => subjects().flatMap(subject => sampler.sample(subject, call) ?? []);
  const first = look();
  if (wait === 0) return first;
  await sleep(wait, signal);
  return look();
}

/** Looks over and over, as long as `subjects` gives something to look at. */
export async function* sampleOften(
  context: ContainerContext,
  subjects: () => readonly Subject[] | undefined,
  { intervalMs = 1_000, signal }: WatchStatsOptions,
  call: string,
): AsyncGenerator<ContainerStats[], void, undefined> {
  const wait = checkInterval(intervalMs, 1, call);
  const sampler = new Sampler(context);
  for (;;) {
    signal?.throwIfAborted();
    const found = subjects();
    if (found === undefined) return;
    yield found.flatMap(subject => sampler.sample(subject, call) ?? []);
    await sleep(wait, signal);
  }
}

/** What one that does not run uses. */
export function nothingUsed({ id, name }: Pick<ContainerRecord, 'id' | 'name'>): ContainerStats {
  const throttling = { periods: 0, throttledPeriods: 0, throttledMicros: 0 };
  return {
    id,
    name,
    time: new Date(),
    cpu: {
      percent: 0,
      usedMicros: 0,
      userMicros: 0,
      systemMicros: 0,
      onlineCpus: availableParallelism(),
      throttling,
    },
    memory: { usedBytes: 0, cacheBytes: 0, limitBytes: undefined, availableBytes: totalmem(), percent: 0 },
    networks: {},
    block: { readBytes: 0, writtenBytes: 0, reads: 0, writes: 0 },
    processes: 0,
    maxProcesses: undefined,
  };
}

function checkInterval(intervalMs: unknown, least: number, call: string): number {
  if (typeof intervalMs === 'number' && intervalMs >= least && intervalMs <= 2 ** 31 - 1) return intervalMs;
  throw new TypeError(
    `${call}: intervalMs: expected a number of milliseconds, at least ${least}, got ${String(intervalMs)} (${typeof intervalMs})`,
  );
}

function percentOf(usedMicros: number, overMs: number): number {
  return overMs <= 0 ? 0 : Math.max(0, usedMicros / 10 / overMs);
}

function cpuOf({ cpu }: CgroupStats, percent: number, onlineCpus: number): ContainerStats['cpu'] {
  const { usedMicros, userMicros, systemMicros, periods, throttledPeriods, throttledMicros } = cpu;
  const throttling = { periods, throttledPeriods, throttledMicros };
  return { percent, usedMicros, userMicros, systemMicros, onlineCpus, throttling };
}

function memoryOf({ memory }: CgroupStats, machineBytes: number): ContainerStats['memory'] {
  const { totalBytes, cacheBytes, limitBytes } = memory;
  const usedBytes = cacheBytes < totalBytes ? totalBytes - cacheBytes : totalBytes;
  const availableBytes = limitBytes === undefined ? machineBytes : Math.min(limitBytes, machineBytes);
  return { usedBytes, cacheBytes, limitBytes, availableBytes, percent: (usedBytes / availableBytes) * 100 };
}

/** `/proc/net/dev`: two lines of headings, then a line for each interface. */
export function parseDevices(text: string): Record<string, NetworkCounters> {
  // The container names its interfaces: one called __proto__ has to be a key like any other.
  const found: [string, NetworkCounters][] = [];
  for (const line of text.split('\n').slice(2)) {
    const colon = line.lastIndexOf(':');
    const name = line.slice(0, colon).trim();
    if (colon < 0 || name === 'lo') continue;
    const [rb = 0, rp = 0, re = 0, rd = 0, , , , , sb = 0, sp = 0, se = 0, sd = 0] = line
      .slice(colon + 1)
      .trim()
      .split(/\s+/)
      .map(Number);
    found.push([
      name,
      {
        receivedBytes: rb,
        receivedPackets: rp,
        receiveErrors: re,
        receiveDropped: rd,
        sentBytes: sb,
        sentPackets: sp,
        sendErrors: se,
        sendDropped: sd,
      },
    ]);
  }
  return Object.fromEntries(found);
}
