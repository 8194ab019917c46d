import type { UpdatableResources } from '../../container/update.js';
import type { Invocation } from '../command.js';
import type { updateFlags } from '../commands/observe.js';
import { parseRestart } from '../restart.js';
import { eachOf, withEngine } from '../session.js';
import { UsageError } from '../usage-error.js';

/** `update`. */
export async function update({ globals, flags, args }: Invocation<typeof updateFlags>): Promise<number> {
  const resources = given({
    blkioWeight: flags['blkio-weight'],
    cpuPeriodMicros: flags['cpu-period'],
    cpuQuotaMicros: flags['cpu-quota'],
    cpuShares: flags['cpu-shares'],
    cpus: flags.cpus,
    cpusetCpus: flags['cpuset-cpus'],
    cpusetMems: flags['cpuset-mems'],
    maxProcesses: flags['pids-limit'],
    memoryBytes: flags.memory,
    memoryReservationBytes: flags['memory-reservation'],
    memorySwapBytes: flags['memory-swap'],
  });
  const restart = flags.restart === undefined ? {} : { restart: parseRestart(flags.restart) };
  if (Object.keys(resources).length === 0 && flags.restart === undefined)
    throw new UsageError('you must provide one or more flags when using this command', 1);
  return withEngine(globals, async ({ engine, signal }) =>
    eachOf(args, globals, async ref => {
      await (await engine.containers.get(ref, { signal })).update({ resources, ...restart, signal });
      return ref;
    }),
  );
}

function given(values: {
  readonly [K in keyof UpdatableResources]: UpdatableResources[K] | undefined;
}): UpdatableResources {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
