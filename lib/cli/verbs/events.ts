import { signalNumber } from '../../runtime/signals.js';
import type { EngineEvent } from '../../types.js';
import type { Invocation } from '../command.js';
import type { eventsFlags } from '../commands/system.js';
import { allOf, hasLabel, type Test } from '../filters.js';
import { toJson } from '../format.js';
import { print, withEngine } from '../session.js';
import { Template } from '../template.js';

/** An event in Docker's words. */
interface DockerEvent {
  readonly Type: string;
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
  readonly scope: 'local';
  readonly time: number;
  readonly timeNano: number;
}

/** `events`. */
export async function events({ globals, flags }: Invocation<typeof eventsFlags>): Promise<number> {
  const matches = allOf(flags.filter, tests);
  const template = flags.format === undefined || flags.format === 'json' ? undefined : new Template(flags.format);
  const { since, until } = flags;
  return withEngine(globals, async ({ engine, signal }) => {
    const deadline = until === undefined ? undefined : AbortSignal.timeout(Math.max(0, until.getTime() - Date.now()));
    const either = deadline === undefined ? signal : AbortSignal.any([signal, deadline]);
    try {
      for await (const event of engine.events({ signal: either, ...(since === undefined ? {} : { since }) })) {
        const told = toDocker(event);
        if (until !== undefined && event.time > until) break;
        if (!matches(told)) continue;
        if (template !== undefined) print(template.render(told));
        else print(flags.format === 'json' ? toJson(told) : toLine(told, event.time));
      }
    } catch (error) {
      if (deadline === undefined || error !== deadline.reason) throw error;
    }
    return 0;
  });
}

const tests: Readonly<Record<string, Test<DockerEvent>>> = {
  container: (event, value) => isOf(event, 'container', value),
  event: ({ Action }, value) => Action === value,
  image: (event, value) => isOf(event, 'image', value) || event.Actor.Attributes['image'] === value,
  label: ({ Actor }, value) => hasLabel(Actor.Attributes, value),
  network: (event, value) => isOf(event, 'network', value),
  type: ({ Type }, value) => Type === value,
  volume: (event, value) => isOf(event, 'volume', value),
};

function isOf({ Type, Actor }: DockerEvent, kind: string, ref: string): boolean {
  return (
    Type === kind &&
    (Actor.ID === ref ||
      Actor.Attributes['name'] === ref ||
      (ref.length >= 4 && Actor.ID.replace('sha256:', '').startsWith(ref)))
  );
}

/** Where Docker has another word for what happened. */
const actions: Readonly<Record<string, string>> = {
  'container:exit': 'die',
  'container:remove': 'destroy',
  'volume:remove': 'destroy',
  'network:remove': 'destroy',
  'image:remove': 'delete',
};

function toDocker(event: EngineEvent): DockerEvent {
  const [type = '', action = ''] = event.type === 'warning' ? ['daemon', 'warning'] : event.type.split(':');
  const at = event.time.getTime();
  return {
    Type: type,
    // The result is part of Docker's word.
    Action: event.type === 'container:health' ? `health_status: ${event.health}` : (actions[event.type] ?? action),
    Actor:
      event.type === 'warning'
        ? { ID: '', Attributes: { message: event.message } }
        : { ID: event.id, Attributes: { ...event.labels, ...attributes(event) } },
    scope: 'local',
    time: Math.floor(at / 1000),
    timeNano: at * 1_000_000,
  };
}

function attributes(event: Exclude<EngineEvent, { type: 'warning' }>): Record<string, string> {
  return {
    ...('name' in event ? { name: event.name } : {}),
    ...('ref' in event ? { name: event.ref } : {}),
    ...('oldName' in event ? { oldName: event.oldName } : {}),
    ...(event.type === 'container:kill' ? { signal: String(signalNumber(event.signal)) } : {}),
    ...('pid' in event ? { pid: String(event.pid) } : {}),
    ...('status' in event ? exitAttributes(event.status) : {}),
  };
}

function exitAttributes({
  exitCode,
  signal,
  oomKilled,
  durationMs,
}: Extract<EngineEvent, { type: 'container:exit' }>['status']): Record<string, string> {
  return {
    ...(exitCode === undefined ? {} : { exitCode: String(exitCode) }),
    ...(signal === undefined ? {} : { signal }),
    ...(oomKilled ? { oomKilled: 'true' } : {}),
    execDuration: String(Math.round(durationMs / 1000)),
  };
}

function toLine({ Type, Action, Actor }: DockerEvent, time: Date): string {
  const attributes = Object.entries(Actor.Attributes).sort(([a], [b]) => (a < b ? -1 : 1));
  const detail = attributes.map(([key, value]) => `${key}=${value}`).join(', ');
  return `${time.toISOString()} ${Type} ${Action} ${Actor.ID}${detail === '' ? '' : ` (${detail})`}`;
}
