import { cgroupProcesses, killAll } from '../host/cgroups-control.js';
import { removeCgroups } from '../host/cgroups-remove.js';
import type { ContainerContext } from './context.js';
import type { Live } from './live.js';
import type { ContainerRecord } from './record.js';
import { cgroupsOf } from './spec.js';

/** Whether its monitor was killed, which would have taken its cgroups away. */
export function isAbandoned(record: ContainerRecord, live: Live): boolean {
  const state = live.state(record.id);
  return state.name === 'exited' && state.ended === undefined;
}

/**
 * Takes away the cgroups of a container whose monitor was killed. The kernel has ended its processes, but for those of
 * one without a pid namespace of its own.
 */
export async function clearCgroups(context: ContainerContext, record: ContainerRecord, call: string): Promise<void> {
  const plan = cgroupsOf(context, record, call);
  if (plan === undefined) return;
  if (record.config.pidMode !== undefined && cgroupProcesses(plan).length > 0) await killAll(plan);
  await removeCgroups(plan.remove);
}

/** The same for one that stays, where the sweep of all groups does not: elsewhere than usual, or not empty. */
export async function clearAbandoned(context: ContainerContext, live: Live, record: ContainerRecord): Promise<void> {
  if (isAbandoned(record, live)) await clearCgroups(context, record, 'engine.open');
}
