import { parseReference } from '../../oci/reference.js';
import { signalNumber } from '../../runtime/signals.js';
import type { EngineEvent } from '../../types.js';
import type { Invocation } from '../command.js';
import type { eventsFlags } from '../commands/system.js';
import { allOf, hasLabel, type Test } from '../filters.js';
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
        if (template !== undefined) print(template.render(forTemplate(told)));
        else print(flags.format === 'json' ? JSON.stringify(asJson(told)) : toLine(told, event.time));
      }
    } catch (error) {
      if (deadline === undefined || error !== deadline.reason) throw error;
    }
    return 0;
  });
}

const tests: Readonly<Record<string, Test<DockerEvent>>> = {
  container: (event, value) => isNamed(event, 'container', value),
  // What comes after the colon need not be said of what is `health_status: healthy` in full.
  event: ({ Action }, value) => Action === value || Action.startsWith(`${value}:`),
  image: ({ Type, Actor }, value) => {
    const name = Actor.Attributes[Type === 'image' ? 'name' : 'image'] ?? '';
    return [Actor.ID, name, withoutTag(name)].includes(value);
  },
  label: ({ Actor }, value) => hasLabel(Actor.Attributes, value),
  network: (event, value) => isNamed(event, 'network', value),
  type: ({ Type }, value) => Type === value,
  volume: (event, value) => isNamed(event, 'volume', value),
};

/** By the beginning of its id or of its name, as Docker has it. */
function isNamed({ Type, Actor }: DockerEvent, kind: string, ref: string): boolean {
  return Type === kind && (Actor.ID.startsWith(ref) || (Actor.Attributes['name'] ?? '').startsWith(ref));
}

function withoutTag(name: string): string {
  try {
    return parseReference(name, { defaultTag: false }).familiarRepository();
  } catch {
    return name;
  }
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
        : { ID: event.id, Attributes: sorted(attributes(event, type)) },
    scope: 'local',
    time: Math.floor(at / 1000),
    timeNano: at * 1_000_000,
  };
}

function attributes(event: Exclude<EngineEvent, { type: 'warning' }>, kind: string): Record<string, string> {
  if (kind === 'volume') return { driver: 'local' };
  if (kind === 'network') {
    return {
      ...('container' in event ? { container: event.container } : {}),
      ...('name' in event ? { name: event.name } : {}),
      type: 'bridge',
    };
  }
  return {
    ...event.labels,
    ...('image' in event ? { image: event.image } : {}),
    ...('name' in event ? { name: event.name } : {}),
    // Docker tells which image lost a name, and not the name.
    ...('ref' in event && event.type !== 'container:commit'
      ? { name: event.type === 'image:untag' ? event.id : event.ref }
      : {}),
    ...(event.type === 'image:remove' ? { name: event.id } : {}),
    ...('oldName' in event ? { oldName: `/${event.oldName}` } : {}),
    ...(event.type === 'container:kill' ? { signal: String(signalNumber(event.signal)) } : {}),
    ...(event.type === 'container:commit' ? committed(event) : {}),
    ...('status' in event ? exitAttributes(event.status) : {}),
  };
}

function committed(event: Extract<EngineEvent, { type: 'container:commit' }>): Record<string, string> {
  return { comment: event.message ?? '', imageID: event.imageId, imageRef: event.ref ?? '' };
}

function exitAttributes({
  exitCode,
  signal,
  durationMs,
}: Extract<EngineEvent, { type: 'container:exit' }>['status']): Record<string, string> {
  const code = signal === undefined ? exitCode : 128 + signalNumber(signal);
  return {
    execDuration: String(Math.floor(durationMs / 1000)),
    // -1: nobody saw how it ended.
    exitCode: String(code ?? -1),
  };
}

function sorted(attributes: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Of containers and images, some things are told twice, for programs that knew Docker before it told of anything else. */
function twice({ Type, Action, Actor }: DockerEvent): { status?: string; id?: string; from?: string } {
  if (Type === 'container') return { status: Action, id: Actor.ID, from: Actor.Attributes['image'] ?? '' };
  return Type === 'image' ? { status: Action, id: Actor.ID } : {};
}

/** By the names that templates know. `json` says the same as `--format json`. */
function forTemplate(told: DockerEvent): object {
  const { status = '', id = '', from = '' } = twice(told);
  const { scope, time, timeNano, ...rest } = told;
  const legacy = { Status: status, ID: id, From: from };
  return { ...rest, ...legacy, Scope: scope, Time: time, TimeNano: timeNano, toJSON: () => asJson(told) };
}

function asJson(told: DockerEvent): object {
  return { ...twice(told), ...told };
}

function toLine({ Type, Action, Actor }: DockerEvent, time: Date): string {
  const detail = Object.entries(Actor.Attributes)
    .map(([key, value]) => `${key}=${value}`)
    .join(', ');
  return `${localTime(time)} ${Type} ${Action} ${Actor.ID}${detail === '' ? '' : ` (${detail})`}`;
}

/** Go's RFC3339Nano with all nine digits, in local time. */
function localTime(time: Date): string {
  const minutes = -time.getTimezoneOffset();
  const local = new Date(time.getTime() + minutes * 60_000).toISOString().slice(0, -1);
  const two = (value: number): string => String(value).padStart(2, '0');
  const ahead = Math.abs(minutes);
  const zone = minutes === 0 ? 'Z' : `${minutes < 0 ? '-' : '+'}${two(Math.floor(ahead / 60))}:${two(ahead % 60)}`;
  return `${local}000000${zone}`;
}
