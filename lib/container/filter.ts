import type { Image } from '../image/image.js';
import { signalNumber } from '../runtime/signals.js';
import type { Filter } from '../types.js';
import type { HealthStatus } from './health.js';
import type { ContainerState } from './inspect.js';
import type { ContainerRecord } from './record.js';
import type { State } from './state.js';

/** Which containers. Every given field must match; of several values in one field, any. */
export interface ContainerFilter extends Filter {
  /** The whole id, a beginning of it, or a pattern somewhere in it. */
  readonly id?: string | RegExp;
  /** Where it stands. */
  readonly state?: OneOrMore<ContainerState>;
  /** It has ended, and with this exit code. */
  readonly exitCode?: OneOrMore<number>;
  /** Its image is this one, or is built on it. */
  readonly ancestor?: OneOrMore<string | Image>;
  /** Created before this container. */
  readonly before?: string;
  /** Created after this container. */
  readonly since?: string;
  /** Created before this moment. */
  readonly until?: Date;
  /** The name of a volume, or the source or target of a mount. */
  readonly volume?: OneOrMore<string>;
  /** It is on this network: a name, or an id or its beginning. */
  readonly network?: OneOrMore<string>;
  /** It runs and a port of the host with this number leads to it: `8080`, `8080/udp`, `8000-8010/tcp`. */
  readonly publish?: OneOrMore<string | number>;
  /** It runs and offers this port: `80`, `80/udp`, `8000-8010/tcp`. */
  readonly expose?: OneOrMore<string | number>;
  /** What its health check says. */
  readonly health?: OneOrMore<HealthStatus>;
  /** Not with these labels. */
  readonly notLabels?: Readonly<Record<string, string | true>>;
}

type OneOrMore<T> = T | readonly T[];

/** A container, as far as filters ask: what costs a look at the machine is a function. */
export interface Candidate {
  readonly record: ContainerRecord;
  state(): State;
  health(): HealthStatus;
  /** What is published, while it runs. */
  ports(): readonly { readonly host: number; readonly protocol: string }[];
}

/** What filters have to look up once, whatever there is to filter. */
export interface FilterSources {
  /** When the container with this name or id was created; throws when there is none. */
  createdAt(ref: string): string;
  /** ChainIDs of the image's layers, lowest first, and its id; `undefined` when there is none. */
  image(ref: string | Image): { readonly id: string; readonly chain: readonly string[] } | undefined;
  /** All names by which records may call the network: its name and its id. */
  network(ref: string): readonly string[];
}

type Test = (candidate: Candidate) => boolean;

/**
 * Makes one test of a filter, cheap conditions first. What it names is looked up now.
 *
 * @throws {@link NotFoundError} when `before` or `since` name no container, `TypeError` for what is no port.
 */
export function testOf(filter: ContainerFilter, sources: FilterSources, call: string): Test {
  const tests: Test[] = [...recordTests(filter, sources), ...stateTests(filter, call)];
  return candidate => tests.every(test => test(candidate));
}

function recordTests(filter: ContainerFilter, sources: FilterSources): Test[] {
  const tests: Test[] = [];
  const add = <T>(value: T | undefined, test: (value: T) => (record: ContainerRecord) => boolean): void => {
    if (value === undefined) return;
    const matches = test(value);
    tests.push(({ record }) => matches(record));
  };
  add(filter.name, name => record => (typeof name === 'string' ? record.name === name : found(name, record.name)));
  add(filter.id, id => record => (typeof id === 'string' ? record.id.startsWith(id) : found(id, record.id)));
  add(filter.labels, labels => record => Object.entries(labels).every(wanted => hasLabel(record, wanted)));
  add(filter.notLabels, labels => record => !Object.entries(labels).some(wanted => hasLabel(record, wanted)));
  add(filter.before, ref => {
    const then = sources.createdAt(ref);
    return ({ createdAt }) => createdAt < then;
  });
  add(filter.since, ref => {
    const then = sources.createdAt(ref);
    return ({ createdAt }) => createdAt > then;
  });
  add(
    filter.until,
    until =>
      ({ createdAt }) =>
        new Date(createdAt) < until,
  );
  add(filter.volume, volumes => record => list(volumes).some(volume => mounts(record, volume)));
  add(filter.network, networks => {
    const names = list(networks).flatMap(ref => sources.network(ref));
    return record => networksOf(record).some(name => names.includes(name));
  });
  add(filter.ancestor, ancestors => {
    const images = list(ancestors).flatMap(ref => sources.image(ref) ?? []);
    return record => images.some(image => image.id === record.image.id || isBuiltOn(record.chain, image.chain));
  });
  return tests;
}

function stateTests(filter: ContainerFilter, call: string): Test[] {
  const tests: Test[] = [];
  if (filter.state !== undefined) {
    const states = list(filter.state);
    tests.push(({ state }) => states.includes(state().name));
  }
  if (filter.exitCode !== undefined) {
    const codes = list(filter.exitCode);
    tests.push(({ state }) => {
      const now = state();
      return now.name === 'exited' && codes.includes(exitCodeOf(now.ended));
    });
  }
  if (filter.health !== undefined) {
    const wanted = list(filter.health);
    tests.push(({ health }) => wanted.includes(health()));
  }
  if (filter.publish !== undefined) {
    const ports = list(filter.publish).map(text => portRange(text, `${call}: publish`));
    tests.push(
      candidate =>
        isRunning(candidate) &&
        candidate.ports().some(({ host, protocol }) => ports.some(each => isIn(each, host, protocol))),
    );
  }
  if (filter.expose !== undefined) {
    const ports = list(filter.expose).map(text => portRange(text, `${call}: expose`));
    tests.push(candidate => {
      if (!isRunning(candidate)) return false;
      const offered = candidate.record.config.exposed ?? [];
      return offered.some(name => {
        const [port = '', protocol = ''] = name.split('/');
        return ports.some(each => isIn(each, Number(port), protocol));
      });
    });
  }
  return tests;
}

/** Not `test`: that of a pattern with the flag `g` begins where the last one ended. */
function found(pattern: RegExp, text: string): boolean {
  return text.search(pattern) >= 0;
}

function hasLabel({ labels }: ContainerRecord, [key, value]: readonly [string, string | true]): boolean {
  return Object.hasOwn(labels, key) && (value === true || labels[key] === value);
}

function mounts({ config }: ContainerRecord, wanted: string): boolean {
  return config.mounts.some(mount => mount.target === wanted || ('source' in mount && mount.source === wanted));
}

/** What its networks are called in its record. */
export function networksOf({ config }: ContainerRecord): string[] {
  if (config.networkMode === 'networks') return config.networks.map(({ network }) => network);
  return [config.networkMode === 'container' ? `container:${config.networkTarget ?? ''}` : config.networkMode];
}

/** Whether the layers of one begin with those of the other. ChainIDs name all layers up to theirs, so the last one tells. */
function isBuiltOn(chain: readonly string[], base: readonly string[]): boolean {
  return base.length > 0 && chain[base.length - 1] === base.at(-1);
}

function isRunning({ state }: Candidate): boolean {
  const { name } = state();
  return name === 'running' || name === 'paused';
}

/** As a shell says it. One of which nobody saw how it ended was killed with its monitor. */
function exitCodeOf(ended: Extract<State, { name: 'exited' }>['ended']): number {
  if (ended === undefined) return 137;
  return ended.exitCode ?? 128 + (ended.signal === undefined ? 0 : signalNumber(ended.signal));
}

interface PortRange {
  readonly first: number;
  readonly last: number;
  readonly protocol: string;
}

function portRange(text: string | number, where: string): PortRange {
  const [, first, last = first, protocol = 'tcp'] =
    /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/.exec(String(text)) ?? [];
  const range = { first: Number(first), last: Number(last), protocol };
  if (first !== undefined && range.first >= 1 && range.last <= 65_535 && range.first <= range.last) return range;
  throw new TypeError(`${where}: ${JSON.stringify(text)} is no port: write 80, 80/udp or 8000-8010/tcp`);
}

function isIn({ first, last, protocol }: PortRange, port: number, of: string): boolean {
  return port >= first && port <= last && of === protocol;
}

function list<T>(value: OneOrMore<T>): readonly T[] {
  return (Array.isArray(value) ? value : [value]) as readonly T[];
}
