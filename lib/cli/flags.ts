/** One flag of a command: how it is written, what it means, and what its help says. */
export interface Flag<V> {
  /** One letter. */
  readonly short?: string;
  /** What its value is called in help; `''` for a switch. */
  readonly type: string;
  readonly summary: string;
  /** When it is not given. */
  readonly initial: V;
  /** What it means when it is given without a value, which only switches may be. */
  readonly bare?: string;
  /** The initial value as help tells it. */
  readonly shown?: string;
  /** A method, so that flags of all types fit into one table. @throws {@link BadValue} */
  parse(text: string, before: V): V;
}

/** Flags by their long names. */
export type Flags = Readonly<Record<string, Flag<unknown>>>;

/** What was said, by the long names of the flags. */
export type Values<F extends Flags> = { readonly [K in keyof F]: F[K] extends Flag<infer V> ? V : never };

/** A value that its flag cannot take; the parser says which flag it was. */
export class BadValue {
  constructor(readonly reason: string) {}
}

/** A switch: `--rm`, `--rm=false`. */
export function toggle(summary: string, short?: string, initial = false): Flag<boolean> {
  return {
    ...letter(short),
    type: '',
    summary,
    initial,
    bare: 'true',
    parse: parseBoolean,
    ...(initial ? { shown: 'true' } : {}),
  };
}

/** Text, `undefined` when it is not given. The last one counts. */
export function text(summary: string, short?: string, type = 'string'): Flag<string | undefined> {
  return { ...letter(short), type, summary, initial: undefined, parse: value => value };
}

/** Any number of texts, in the order in which they are given. */
export function list(
  summary: string,
  short?: string,
  check: (value: string) => string = value => value,
): Flag<readonly string[]> {
  return { ...letter(short), type: 'list', summary, initial: [], parse: (value, before) => [...before, check(value)] };
}

/** A value with a notation of its own. */
export function parsed<V>(
  type: string,
  summary: string,
  parse: (value: string) => V,
  short?: string,
): Flag<V | undefined> {
  return { ...letter(short), type, summary, initial: undefined, parse };
}

/** Any number of values with a notation of their own. */
export function parsedList<V>(
  type: string,
  summary: string,
  parse: (value: string) => V,
  short?: string,
): Flag<readonly V[]> {
  return { ...letter(short), type, summary, initial: [], parse: (value, before) => [...before, parse(value)] };
}

/** A whole number. */
export function integer(summary: string, short?: string): Flag<number | undefined> {
  return parsed('int', summary, parseInteger, short);
}

function letter(short: string | undefined): { short?: string } {
  return short === undefined ? {} : { short };
}

const truths: Readonly<Record<string, boolean>> = {
  ...Object.fromEntries(['1', 't', 'T', 'TRUE', 'true', 'True'].map(word => [word, true])),
  ...Object.fromEntries(['0', 'f', 'F', 'FALSE', 'false', 'False'].map(word => [word, false])),
};

function parseBoolean(value: string): boolean {
  const truth = truths[value];
  if (truth === undefined) throw new BadValue(`expected true or false, got ${JSON.stringify(value)}`);
  return truth;
}

function parseInteger(value: string): number {
  if (!/^[+-]?\d+$/.test(value) || !Number.isSafeInteger(Number(value)))
    throw new BadValue(`${JSON.stringify(value)} is no whole number`);
  return Number(value);
}
