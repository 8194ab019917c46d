import { LimitError, ParseError } from '../errors.js';

/** Who reads, and what: both go into the message of whatever is wrong with it. */
export interface Origin {
  /** The call that the user made, e.g. `images.pull`. */
  readonly call: string;
  /** What is read: a reference, a digest, a file name. */
  readonly source: string;
}

/** Nothing that we read nests deeper than this; recursion over the result is safe. */
const MAX_DEPTH = 64;
/** A list in a 4 MiB manifest can hold some 20,000 descriptors; a real one holds a few hundred. */
const MAX_ITEMS = 10_000;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });

/**
 * Decodes untrusted JSON.
 *
 * @throws {@link LimitError} when there are more than `maxBytes`.
 * @throws {@link ParseError} when it is not UTF-8, not JSON, or nests too deep.
 */
export function parseJson(bytes: Uint8Array, maxBytes: number, origin: Origin): Json {
  if (bytes.length > maxBytes) {
    throw new LimitError({
      call: origin.call,
      what: origin.source,
      reason: `has ${bytes.length} bytes, at most ${maxBytes} are read`,
      limit: maxBytes,
    });
  }
  refuseDepth(bytes, origin);
  try {
    return new Json(JSON.parse(utf8.decode(bytes)) as unknown, '', origin);
  } catch (cause) {
    throw new ParseError({ ...origin, reason: `is not JSON${startsWith(bytes)}`, cause });
  }
}

/** `JSON.parse` itself copes with any depth, but whatever walks its result by recursion does not. */
function refuseDepth(bytes: Uint8Array, origin: Origin): void {
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (quoted) {
      if (byte === 0x5c) i++;
      else if (byte === 0x22) quoted = false;
    } else if (byte === 0x22) quoted = true;
    else if (byte === 0x5b || byte === 0x7b) {
      if (++depth > MAX_DEPTH) throw new ParseError({ ...origin, reason: `nests deeper than ${MAX_DEPTH}` });
    } else if (byte === 0x5d || byte === 0x7d) depth--;
  }
}

/** What stands there instead, where it helps: a proxy's login page is recognised by its first words. */
function startsWith(bytes: Uint8Array): string {
  const text = new TextDecoder('latin1').decode(bytes.subarray(0, 40)).replace(/[^\x20-\x7e]+/g, ' ');
  return text.trim() === '' ? ' (it is empty)' : ` (it starts with ${JSON.stringify(text.trim())})`;
}

/** A value with the place where it stands, so that whatever is wrong with it can be said exactly. */
export class Json {
  readonly #value: unknown;
  readonly #path: string;
  readonly #origin: Origin;

  constructor(value: unknown, path: string, origin: Origin) {
    this.#value = value;
    this.#path = path;
    this.#origin = origin;
  }

  /** Neither absent nor `null`, which is how Go writes an empty list. */
  get present(): boolean {
    return this.#value !== undefined && this.#value !== null;
  }

  /** As decoded, unchecked. */
  get value(): unknown {
    return this.#value;
  }

  get isString(): boolean {
    return typeof this.#value === 'string';
  }

  /** The key is there, be it with `null`. */
  has(key: string): boolean {
    return Object.hasOwn(this.#object(), key);
  }

  /** Says what is wrong here. */
  fail(reason: string): never {
    throw new ParseError({ ...this.#origin, reason: this.#path === '' ? reason : `${this.#path} ${reason}` });
  }

  /** The value of a key; the value itself must be an object. */
  at(key: string): Json {
    const object = this.#object();
    const value = Object.hasOwn(object, key) ? object[key] : undefined;
    return new Json(value, this.#path === '' ? key : `${this.#path}.${key}`, this.#origin);
  }

  /** What `read` makes of a key's value, or `undefined` where there is none. */
  maybe<T>(key: string, read: (value: Json) => T): T | undefined {
    const value = this.at(key);
    return value.present ? read(value) : undefined;
  }

  string(): string {
    if (typeof this.#value !== 'string') this.#expected('a string');
    return this.#value;
  }

  boolean(): boolean {
    if (typeof this.#value !== 'boolean') this.#expected('true or false');
    return this.#value;
  }

  /** A whole number that is not negative and that a `number` holds exactly. */
  count(): number {
    if (!Number.isSafeInteger(this.#value) || (this.#value as number) < 0) this.#expected('a whole number');
    return this.#value as number;
  }

  items(max = MAX_ITEMS): Json[] {
    if (!Array.isArray(this.#value)) this.#expected('a list');
    if (this.#value.length > max) this.fail(`has ${this.#value.length} entries, at most ${max} are read`);
    return this.#value.map((value: unknown, i) => new Json(value, `${this.#path}[${i}]`, this.#origin));
  }

  strings(max = MAX_ITEMS): string[] {
    return this.items(max).map(item => item.string());
  }

  entries(): [string, Json][] {
    const entries = Object.entries(this.#object());
    if (entries.length > MAX_ITEMS) this.fail(`has ${entries.length} keys, at most ${MAX_ITEMS} are read`);
    return entries.map(([key, value]) => [key, new Json(value, `${this.#path}.${key}`, this.#origin)]);
  }

  /** Strings by name. `Object.fromEntries` makes a plain property even of `__proto__`. */
  map(): Record<string, string> {
    return Object.fromEntries(this.entries().map(([key, value]) => [key, value.present ? value.string() : '']));
  }

  #object(): Record<string, unknown> {
    if (typeof this.#value !== 'object' || this.#value === null || Array.isArray(this.#value))
      this.#expected('an object');
    return this.#value as Record<string, unknown>;
  }

  #expected(what: string): never {
    this.fail(
      this.#value === undefined ? `is missing, expected ${what}` : `is ${shown(this.#value)}, expected ${what}`,
    );
  }
}

function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
