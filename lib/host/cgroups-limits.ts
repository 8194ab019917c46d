import { LimitError, UnsupportedError } from '../errors.js';
import type { Features, Resources } from '../types.js';
import type { CgroupHost, Controller } from './cgroups.js';

/** As Docker: with less, not even the first process starts. */
const MINIMUM_MEMORY = 6 * 1024 * 1024;

interface Bound {
  readonly controller: Controller;
  readonly feature: keyof Features;
  /** Smallest and largest number; absent for text. */
  readonly range?: readonly [minimum: number, maximum: number];
  /** A number outside the range that means "no limit". */
  readonly unlimited?: readonly number[];
  readonly whole?: false;
  readonly pattern?: RegExp;
}

/** One row per option; the ranges are Docker's and the kernel's. */
const bounds: Readonly<Record<keyof Resources, Bound>> = {
  memoryBytes: { controller: 'memory', feature: 'memoryLimit', range: [MINIMUM_MEMORY, Number.MAX_SAFE_INTEGER] },
  memorySwapBytes: {
    controller: 'memory',
    feature: 'memoryLimit',
    range: [MINIMUM_MEMORY, Number.MAX_SAFE_INTEGER],
    unlimited: [-1],
  },
  memoryReservationBytes: {
    controller: 'memory',
    feature: 'memoryLimit',
    range: [MINIMUM_MEMORY, Number.MAX_SAFE_INTEGER],
  },
  cpus: { controller: 'cpu', feature: 'cpuLimit', range: [0.01, Number.MAX_SAFE_INTEGER], whole: false },
  cpuShares: { controller: 'cpu', feature: 'cpuLimit', range: [2, 262_144] },
  cpuPeriodMicros: { controller: 'cpu', feature: 'cpuLimit', range: [1_000, 1_000_000] },
  cpuQuotaMicros: { controller: 'cpu', feature: 'cpuLimit', range: [1_000, Number.MAX_SAFE_INTEGER], unlimited: [-1] },
  cpusetCpus: { controller: 'cpuset', feature: 'cpuLimit', pattern: /^\d+(-\d+)?(,\d+(-\d+)?)*$/ },
  cpusetMems: { controller: 'cpuset', feature: 'cpuLimit', pattern: /^\d+(-\d+)?(,\d+(-\d+)?)*$/ },
  maxProcesses: { controller: 'pids', feature: 'pidsLimit', range: [1, 4_194_304], unlimited: [-1, 0] },
};

/**
 * Checks every limit alone and against the others.
 *
 * @throws {@link UnsupportedError} when this host lacks the controller.
 * @throws {@link LimitError} when it is lower or higher than can be.
 * @throws `TypeError` for what is no number.
 */
export function checkResources(host: CgroupHost, resources: Resources, call: string): void {
  for (const [option, value] of Object.entries(resources) as [keyof Resources, unknown][]) {
    if (value === undefined) continue;
    const bound = bounds[option];
    if (bound === undefined) throw new TypeError(`${call}: resources.${option}: there is no such limit`);
    if (bound.pattern === undefined) checkNumber(host, option, value, bound, call);
    else if (typeof value !== 'string' || !bound.pattern.test(value)) {
      throw new TypeError(`${call}: resources.${option}: expected a list like 0-2,7, got ${JSON.stringify(value)}`);
    }
    const missing = host.missing.get(bound.controller);
    if (missing !== undefined) {
      throw new UnsupportedError({
        call,
        feature: bound.feature,
        reason: `resources.${option}: ${missing.reason}. ${missing.remedy}`,
      });
    }
  }
  checkTogether(host, resources, call);
}

function checkNumber(host: CgroupHost, option: keyof Resources, value: unknown, bound: Bound, call: string): void {
  if (typeof value !== 'number' || !Number.isFinite(value) || (bound.whole !== false && !Number.isSafeInteger(value))) {
    throw new TypeError(
      `${call}: resources.${option}: expected a ${bound.whole === false ? '' : 'whole '}number, got ${String(value)} (${typeof value})`,
    );
  }
  if (bound.unlimited?.includes(value)) return;
  const [minimum, most] = bound.range ?? [-Infinity, Infinity];
  const maximum = option === 'cpus' ? host.cpus : most;
  if (value < minimum) {
    throw new LimitError({
      call,
      what: `resources.${option}`,
      reason: `${value} is below the minimum of ${minimum}`,
      limit: minimum,
    });
  }
  if (value > maximum) {
    const why = option === 'cpus' ? `, as many as this host has` : '';
    throw new LimitError({
      call,
      what: `resources.${option}`,
      reason: `${value} is above the maximum of ${maximum}${why}`,
      limit: maximum,
    });
  }
}

function checkTogether(host: CgroupHost, resources: Resources, call: string): void {
  const { memoryBytes, memorySwapBytes, memoryReservationBytes, cpus, cpuQuotaMicros, cpuPeriodMicros } = resources;
  if (memorySwapBytes !== undefined && !host.swap) {
    throw new UnsupportedError({
      call,
      feature: 'memoryLimit',
      reason: 'resources.memorySwapBytes: this kernel does not count swap. Boot with swapaccount=1',
    });
  }
  if (memorySwapBytes !== undefined && memoryBytes === undefined) {
    throw new TypeError(
      `${call}: resources.memorySwapBytes is memory and swap together, so it needs resources.memoryBytes`,
    );
  }
  if (memorySwapBytes !== undefined && memorySwapBytes !== -1 && memorySwapBytes < (memoryBytes ?? 0)) {
    throw new TypeError(
      `${call}: resources.memorySwapBytes (${memorySwapBytes}) includes memory and cannot be below memoryBytes (${memoryBytes})`,
    );
  }
  if (memoryReservationBytes !== undefined && memoryBytes !== undefined && memoryReservationBytes > memoryBytes) {
    throw new TypeError(
      `${call}: resources.memoryReservationBytes (${memoryReservationBytes}) cannot be above memoryBytes (${memoryBytes})`,
    );
  }
  if (cpus !== undefined && (cpuQuotaMicros !== undefined || cpuPeriodMicros !== undefined)) {
    throw new TypeError(
      `${call}: resources.cpus is short for cpuQuotaMicros and cpuPeriodMicros; give one or the other`,
    );
  }
}
