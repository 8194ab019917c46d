import { isEngineError } from '../errors.js';
import type { ContainerContext } from './context.js';
import type { Live } from './live.js';
import type { ContainerRecord } from './record.js';

/**
 * Starts the containers that should be running by their restart policy and are not, because the machine was rebooted or
 * their monitors were killed. One that cannot be started is a warning: it keeps no other from it.
 */
export async function restore(
  context: ContainerContext,
  live: Live,
  start: (record: ContainerRecord) => Promise<void>,
): Promise<void> {
  await Promise.all(
    context.records
      .list()
      .filter(record => shouldRun(record, live))
      .map(async record => {
        try {
          await start(record);
        } catch (error) {
          context.emit('warning', {
            time: new Date(),
            message: `container ${record.name} could not be restored: ${(error as Partial<Error>).message ?? String(error)}`,
            ...(isEngineError(error) ? { error } : {}),
          });
        }
      }),
  );
}

/**
 * As Docker's daemon decides when it starts: `always` means also what was stopped, as its documentation says. What failed
 * and was not started again any more stays as it is.
 */
function shouldRun(record: ContainerRecord, live: Live): boolean {
  const { restart } = record.config;
  const intent = restart === undefined ? undefined : live.intent(record.id);
  if (restart === undefined || intent === undefined) return false;
  const state = live.state(record.id);
  if (state.name !== 'exited') return false;
  if (restart.name === 'always') return true;
  return !intent.stopped && (restart.name === 'unless-stopped' || state.ended === undefined);
}
