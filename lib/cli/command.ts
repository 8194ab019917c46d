import type { Flags, Values } from './flags.js';

/** Flags before the verb, and what the environment says instead. */
export interface Globals {
  /** Where the store is; `undefined` for the usual place. */
  readonly root: string | undefined;
  /** Where sockets and running state are; `undefined` for the usual place. */
  readonly runRoot: string | undefined;
  /** Stack traces, for whoever looks for a mistake in this program. */
  readonly debug: boolean;
}

/** A command as it was called. */
export interface Invocation<F extends Flags = Flags> {
  /** Without the program: `image ls`. */
  readonly path: string;
  readonly globals: Globals;
  readonly flags: Values<F>;
  readonly args: readonly string[];
}

/** How many arguments there may be; worded as Docker does. */
export interface Arity {
  readonly min: number;
  readonly max: number;
}

export const exactly = (count: number): Arity => ({ min: count, max: count });
export const atLeast = (count: number): Arity => ({ min: count, max: Infinity });
export const atMost = (count: number): Arity => ({ min: 0, max: count });

/** A verb: a row of the table from which parsing, help and the types of its flags come. */
export interface CommandSpec<F extends Flags> {
  readonly kind: 'command';
  /** What follows its name: `[OPTIONS] CONTAINER [CONTAINER...]`. */
  readonly synopsis: string;
  readonly summary: string;
  readonly flags: F;
  readonly arity: Arity;
  /** What follows the first argument belongs to the command in the container. */
  readonly passThrough?: boolean;
  /** What to exit with when the engine refuses. Default 1. */
  readonly failure?: number;
  /**
   * Resolves with the exit code. The code behind it is loaded only now: a start-up time is paid by every call. A method,
   * so that commands of all flags fit into one table.
   */
  run(invocation: Invocation<F>): Promise<number>;
}

/** Any command; its flags are known only to itself. */
export type Command = CommandSpec<Flags>;

/** Verbs on one noun: `image ls`. */
export interface Group {
  readonly kind: 'group';
  readonly summary: string;
  readonly commands: Readonly<Record<string, Command | Group>>;
  /** Other names of them, which help does not list. */
  readonly aliases?: Readonly<Record<string, string>>;
}

/** Writes a row of the table, with the types of its flags. */
export function command<const F extends Flags>(spec: Omit<CommandSpec<F>, 'kind'>): CommandSpec<F> {
  return { kind: 'command', ...spec };
}
