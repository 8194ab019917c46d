import { ParseError } from '../errors.js';

/** The `config` of an image's configuration, as JSON says it. */
export type RunDocument = Readonly<Record<string, unknown>>;

interface State {
  readonly call: string;
  readonly change: string;
  readonly config: Record<string, unknown>;
  /** A command that comes before an entrypoint among the changes stays; the image's own does not. */
  commandSet: boolean;
}

/**
 * Applies Dockerfile instructions to the configuration of an image, as `docker import --change` and `docker commit
 * --change` do.
 *
 * @param changes - One instruction each: `CMD ["sh"]`, `ENV A=1 B="x y"`, `EXPOSE 80/tcp`.
 * @returns A new configuration; `config` stays as it is.
 * @throws {@link ParseError} for an instruction that does not describe an image, or is malformed.
 */
export function applyChanges(config: RunDocument, changes: readonly string[], call: string): Record<string, unknown> {
  const state: Omit<State, 'change'> = { call, config: { ...config }, commandSet: false };
  for (const text of changes) {
    const change = text.trim();
    const [, word = '', rest = ''] = /^(\S*)\s*([^]*)$/.exec(change) ?? [];
    const apply = instructions[word.toUpperCase()];
    const now: State = { ...state, change };
    if (apply === undefined || !Object.hasOwn(instructions, word.toUpperCase())) {
      fail(now, word === '' ? 'is empty' : `${word.toUpperCase()} is not a valid change command`);
    }
    if (rest === '') fail(now, `${word.toUpperCase()} wants something after it`);
    apply(now, rest);
    state.commandSet ||= word.toUpperCase() === 'CMD';
  }
  return state.config;
}

const instructions: Readonly<Record<string, (state: State, rest: string) => void>> = {
  CMD: (state, rest) => {
    state.config['Cmd'] = command(state, rest);
  },
  ENTRYPOINT: (state, rest) => {
    state.config['Entrypoint'] = command(state, rest);
    if (!state.commandSet) delete state.config['Cmd'];
  },
  ENV: (state, rest) => {
    const env = new Map(list(state.config['Env']).map(entry => [entry.split('=', 1)[0] ?? '', entry]));
    for (const [name, value] of pairs(state, expand(state, rest))) env.set(name, `${name}=${value}`);
    state.config['Env'] = [...env.values()];
  },
  EXPOSE: (state, rest) => {
    const ports = words(state, expand(state, rest)).flatMap(word => portRange(state, word));
    state.config['ExposedPorts'] = merged(state.config['ExposedPorts'], ports);
  },
  HEALTHCHECK: (state, rest) => {
    state.config['Healthcheck'] = healthcheck(state, rest);
  },
  LABEL: (state, rest) => {
    const labels = Object.fromEntries(pairs(state, expand(state, rest)));
    state.config['Labels'] = { ...object(state.config['Labels']), ...labels };
  },
  ONBUILD: (state, rest) => {
    const [word = ''] = rest.split(/\s/, 1);
    if (/^(onbuild|from|maintainer)$/i.test(word))
      fail(state, `${word.toUpperCase()} is not allowed as an ONBUILD trigger`);
    state.config['OnBuild'] = [...list(state.config['OnBuild']), rest];
  },
  STOPSIGNAL: (state, rest) => {
    const signal = expand(state, rest).trim();
    if (!/^(?:\d{1,2}|(?:SIG)?[A-Z][A-Z0-9+-]*)$/i.test(signal)) fail(state, `${signal} is no signal`);
    state.config['StopSignal'] = signal;
  },
  USER: (state, rest) => {
    state.config['User'] = expand(state, rest).trim();
  },
  VOLUME: (state, rest) => {
    const paths = jsonList(rest) ?? words(state, expand(state, rest));
    if (paths.some(path => path === '')) fail(state, 'a volume must not be empty');
    state.config['Volumes'] = merged(state.config['Volumes'], paths);
  },
  WORKDIR: (state, rest) => {
    const path = expand(state, rest).trim();
    const before = typeof state.config['WorkingDir'] === 'string' ? state.config['WorkingDir'] : '';
    state.config['WorkingDir'] = normalized(path.startsWith('/') ? path : `${before || '/'}/${path}`);
  },
};

/** A JSON list as it is, anything else for the shell. */
function command(state: State, rest: string): string[] {
  const shell = list(state.config['Shell']);
  return jsonList(rest) ?? [...(shell.length > 0 ? shell : ['/bin/sh', '-c']), rest];
}

function jsonList(text: string): string[] | undefined {
  if (!text.startsWith('[')) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every(item => typeof item === 'string') ? value : undefined;
  } catch {
    // Then it is words for the shell, as in Docker: `[ -e /x ] && …` is one.
    return undefined;
  }
}

const second = 1_000_000_000;
const units: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: second,
  m: 60 * second,
  h: 3600 * second,
};
const checkFlags: Readonly<Record<string, string>> = {
  interval: 'Interval',
  timeout: 'Timeout',
  'start-period': 'StartPeriod',
  'start-interval': 'StartInterval',
  retries: 'Retries',
};

function healthcheck(state: State, rest: string): Record<string, unknown> {
  const check: Record<string, unknown> = {};
  let left = rest;
  for (let flag = /^--([a-z-]+)=(\S*)\s*/.exec(left); flag !== null; flag = /^--([a-z-]+)=(\S*)\s*/.exec(left)) {
    const [whole, name = '', value = ''] = flag;
    const field = Object.hasOwn(checkFlags, name) ? checkFlags[name] : undefined;
    if (field === undefined) fail(state, `HEALTHCHECK has no flag --${name}`);
    check[field] = name === 'retries' ? count(state, value) : duration(state, value);
    left = left.slice(whole.length);
  }
  const [, kind = '', what = ''] = /^(\S*)\s*([^]*)$/.exec(left) ?? [];
  if (kind.toUpperCase() === 'NONE' && what === '' && left === rest) return { Test: ['NONE'] };
  if (kind.toUpperCase() !== 'CMD' || what === '') fail(state, 'HEALTHCHECK wants NONE, or CMD and a command');
  const parsed = jsonList(what);
  return { Test: parsed === undefined ? ['CMD-SHELL', what] : ['CMD', ...parsed], ...check };
}

function count(state: State, text: string): number {
  return /^\d{1,9}$/.test(text) ? Number(text) : fail(state, `${text} is no number of retries`);
}

/** Go's notation, in nanoseconds. */
function duration(state: State, text: string): number {
  if (!/^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(text)) return fail(state, `${text} is no duration`);
  let sum = 0;
  for (const [, number, unit = ''] of text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g))
    sum += Number(number) * (units[unit] ?? 0);
  return Math.round(sum);
}

function portRange(state: State, word: string): string[] {
  const [, from = '', to = from, protocol = 'tcp'] =
    /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/i.exec(word) ?? [];
  const [first, last] = [Number(from), Number(to)];
  if (from === '' || first > last || last > 65_535) fail(state, `${word} is no port`);
  return Array.from({ length: last - first + 1 }, (_, i) => `${first + i}/${protocol.toLowerCase()}`);
}

/** `a=b c="d e"`, or the old `a d e`, which is one. */
function pairs(state: State, text: string): [string, string][] {
  const found = words(state, text, true);
  const [first = ''] = found;
  if (!first.includes('=')) {
    const [, name = '', value = ''] = /^(\S+)\s+([^]+)$/.exec(text) ?? [];
    if (name === '') fail(state, `${text} wants a value`);
    return [[name, value]];
  }
  return found.map(word => {
    const at = word.indexOf('=');
    if (at < 1) fail(state, `${word} is not name=value`);
    return [word.slice(0, at), word.slice(at + 1)];
  });
}

/** Splits at blanks outside of quotes, and takes quotes and backslashes away. */
function words(state: State, text: string, quotes = true): string[] {
  const found: string[] = [];
  let [word, inWord, quote] = ['', false, ''];
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at);
    if (char === '\\' && quote !== "'" && at + 1 < text.length) [word, inWord] = [word + text.charAt(++at), true];
    else if (quotes && quote === '' && (char === '"' || char === "'")) [quote, inWord] = [char, true];
    else if (char === quote) quote = '';
    else if (quote === '' && /\s/.test(char)) {
      if (inWord) found.push(word);
      [word, inWord] = ['', false];
    } else [word, inWord] = [word + char, true];
  }
  if (quote !== '') fail(state, 'a quote is not closed');
  if (inWord) found.push(word);
  return found;
}

/** Variables of the image's environment: `$A`, `${A}`, `${A:-otherwise}`, `${A:+instead}`; none in single quotes. */
function expand(state: State, text: string): string {
  const env = new Map(list(state.config['Env']).map(entry => splitPair(entry)));
  let quoted = false;
  return text.replace(
    /\\[^]|'|\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(?::([-+])([^}]*))?\})/g,
    (whole: string, plain?: string, braced?: string, operator?: string, word = '') => {
      if (whole.startsWith('\\')) return whole;
      if (whole === "'") {
        quoted = !quoted;
        return whole;
      }
      if (quoted) return whole;
      const value = env.get(plain ?? braced ?? '') ?? '';
      if (operator === '-') return value === '' ? word : value;
      if (operator === '+') return value === '' ? '' : word;
      return value;
    },
  );
}

function splitPair(entry: string): [string, string] {
  const at = entry.indexOf('=');
  return at === -1 ? [entry, ''] : [entry.slice(0, at), entry.slice(at + 1)];
}

function merged(before: unknown, keys: readonly string[]): Record<string, unknown> {
  return { ...object(before), ...Object.fromEntries(keys.map(key => [key, {}])) };
}

function normalized(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `/${parts.join('/')}`;
}

function list(value: unknown): string[] {
  return Array.isArray(value) ? value.filter(item => typeof item === 'string') : [];
}

function object(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function fail(state: State, reason: string): never {
  throw new ParseError({ call: state.call, source: JSON.stringify(state.change.slice(0, 200)), reason });
}
