import { BadValue, type Flag, type Flags, type Values } from './flags.js';
import { UsageError } from './usage-error.js';

/** A command line, understood. */
export interface Parsed<F extends Flags> {
  readonly flags: Values<F>;
  /** What is not a flag, in order. */
  readonly args: readonly string[];
  /** `--help` was among the flags. */
  readonly help: boolean;
}

export interface ParseOptions {
  /** The first argument ends the flags: all that follows belongs to the command in the container. */
  readonly passThrough?: boolean;
}

/**
 * Reads a command line by the rules of Go's pflag, which are Docker's: `--flag=value`, `--flag value`, `-f value`,
 * `-fvalue`, `-f=value`, switches together as `-it`, and `--` to end the flags.
 *
 * @throws {@link UsageError}
 */
export function parseArguments<F extends Flags>(
  table: F,
  argv: readonly string[],
  options: ParseOptions = {},
): Parsed<F> {
  return new Parser(table, argv).run(options);
}

class Parser<F extends Flags> {
  readonly #table: F;
  readonly #rest: string[];
  readonly #values: Record<string, unknown>;
  readonly #args: string[] = [];
  #help = false;

  constructor(table: F, argv: readonly string[]) {
    this.#table = table;
    this.#rest = [...argv];
    this.#values = Object.fromEntries(Object.entries(table).map(([name, flag]) => [name, flag.initial as unknown]));
  }

  run({ passThrough = false }: ParseOptions): Parsed<F> {
    for (let word = this.#rest.shift(); word !== undefined; word = this.#rest.shift()) {
      if (word === '--') this.#takeAll();
      else if (word.startsWith('--')) this.#long(word);
      else if (word.startsWith('-') && word !== '-') this.#short(word.slice(1));
      else {
        this.#args.push(word);
        if (passThrough) this.#takeAll();
      }
    }
    return { flags: this.#values as Values<F>, args: this.#args, help: this.#help };
  }

  #takeAll(): void {
    this.#args.push(...this.#rest.splice(0));
  }

  #long(word: string): void {
    const [, name = '', value] = /^--([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
    if (name === '' || name.startsWith('-')) throw new UsageError(`bad flag syntax: ${word}`);
    const flag = Object.hasOwn(this.#table, name) ? this.#table[name] : undefined;
    if (flag !== undefined) {
      this.#set(name, flag, value ?? flag.bare ?? this.#next(`flag needs an argument: --${name}`));
    } else if (name === 'help') {
      this.#help = true;
    } else {
      throw new UsageError(`unknown flag: --${name}`);
    }
  }

  /** Several letters in one word: switches, and at the end perhaps one with a value. */
  #short(letters: string): void {
    for (let rest = letters; rest !== '';) {
      const letter = rest.slice(0, 1);
      const found = Object.entries(this.#table).find(([, flag]) => flag.short === letter);
      if (found === undefined && letter === 'h') {
        this.#help = true;
        rest = rest.slice(1);
        continue;
      }
      if (found === undefined) throw new UsageError(`unknown shorthand flag: '${letter}' in -${rest}`);
      const [name, flag] = found;
      const after = rest.slice(1);
      rest = '';
      if (after.length > 1 && after.startsWith('=')) this.#set(name, flag, after.slice(1));
      else if (flag.bare !== undefined) {
        this.#set(name, flag, flag.bare);
        rest = after;
      } else
        this.#set(name, flag, after === '' ? this.#next(`flag needs an argument: '${letter}' in -${letter}`) : after);
    }
  }

  #next(otherwise: string): string {
    const value = this.#rest.shift();
    if (value === undefined) throw new UsageError(otherwise);
    return value;
  }

  #set(name: string, flag: Flag<unknown>, value: string): void {
    try {
      this.#values[name] = flag.parse(value, this.#values[name]);
    } catch (error) {
      if (!(error instanceof BadValue)) throw error;
      const spelled = flag.short === undefined ? `--${name}` : `-${flag.short}, --${name}`;
      throw new UsageError(`invalid argument ${JSON.stringify(value)} for "${spelled}" flag: ${error.reason}`);
    }
  }
}
