import type { Fact } from '../host/job.js';
import { toEnded, toStarted, type MonitoredProcess, type Started } from '../runtime/monitor.js';
import type { ContainerContext } from './context.js';
import { eventOf, type ContainerRecord } from './record.js';
import { statusOf } from './status.js';

/** What the teller is told. */
export interface NewsOptions {
  /** It runs, for the first time in this conversation. */
  onStart(started: Started): void;
  /** Looks whether it is up still, when its monitor says nothing any more: then it was us who hung up. */
  isUp(): boolean;
  /** Its monitor was killed. */
  onLost(): void;
}

/**
 * Tells the engine's listeners of what a monitor says, from the start on. The journal has it from the monitor itself, so
 * that it is there also when this process is gone; but the first start is ours to tell, and that a monitor was killed.
 */
export function tellNews(
  context: ContainerContext,
  record: ContainerRecord,
  monitored: MonitoredProcess,
  { onStart, isUp, onLost }: NewsOptions,
): void {
  const about = (time?: Date): ReturnType<typeof eventOf> => eventOf(context.records.get(record.id) ?? record, time);
  let starts = 0;
  let isOver = false;
  monitored.connection.on('fact', fact => {
    const journaled = { journaled: fact['journaled'] === true };
    if (fact.fact === 'started') {
      const started = toStarted(fact);
      if (starts++ === 0) onStart(started);
      context.emit('container:start', { ...about(started.startedAt), pid: started.pid }, journaled);
    } else if (fact.fact === 'health') {
      context.emit('container:health', { ...about(), health: healthOf(fact) }, journaled);
    } else if (fact.fact === 'exit') {
      const ended = toEnded(fact);
      const { restartInMs } = ended;
      isOver = restartInMs === undefined;
      if (ended.oomKilled) context.emit('container:oom', about(ended.finishedAt), journaled);
      context.emit(
        'container:exit',
        { ...about(ended.finishedAt), status: statusOf(ended), ...(restartInMs === undefined ? {} : { restartInMs }) },
        journaled,
      );
    } else if (fact.fact === 'over') isOver = true;
  });
  monitored.closed
    .then(() => {
      if (starts === 0 || isOver || isUp()) return;
      onLost();
      context.emit('container:exit', { ...about(), status: statusOf(undefined) });
    })
    .catch(() => {}); // The store is gone, and with it whoever would want to know.
}

function healthOf(fact: Fact): 'starting' | 'healthy' | 'unhealthy' {
  const { health } = fact;
  return health === 'healthy' || health === 'unhealthy' ? health : 'starting';
}
