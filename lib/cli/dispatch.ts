import type { Command, Globals, Group, Invocation } from './command.js';
import { globalFlags, namesOf, root } from './commands/tree.js';
import type { Flags } from './flags.js';
import { commandHelp, groupHelp, PROGRAM, programHelp, usageLine } from './help.js';
import { parseArguments } from './parse.js';
import { UsageError } from './usage-error.js';

/** What a command line asks for: to run a command, or to be told something. */
export type Request =
  | { readonly kind: 'run'; readonly run: () => Promise<number>; readonly failure: number; readonly debug: boolean }
  | { readonly kind: 'print'; readonly text: string }
  | { readonly kind: 'version' };

export interface Surroundings {
  /** Columns that help is wrapped to. */
  readonly width: number;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Finds out what a command line, without the program's own name, asks for. Nothing is loaded but the tables.
 *
 * @throws {@link UsageError} with all that is to be printed.
 */
export function dispatch(argv: readonly string[], { width, env }: Surroundings): Request {
  const globalHelp = (): Request => ({ kind: 'print', text: programHelp(root, globalFlags, width) });
  const { flags, args, help } = explained(
    () => parseArguments(globalFlags, argv, { passThrough: true }),
    `Usage:  ${PROGRAM} [OPTIONS] COMMAND [ARG...]`,
    '',
  );
  if (flags.version) return { kind: 'version' };
  const [first, ...rest] = args;
  if (first === undefined || (first === 'help' && rest.length === 0)) return globalHelp();
  if (first === 'help' || help) return helpOn(first === 'help' ? rest : args, width);
  const debug = flags.debug || (env['TSCONTAINER_DEBUG'] ?? '') !== '';
  return find(args, {
    width,
    globals: {
      root: flags.root ?? (env['TSCONTAINER_ROOT'] || undefined),
      runRoot: flags['run-root'] ?? (env['TSCONTAINER_RUN_ROOT'] || undefined),
      debug,
    },
  });
}

function helpOn(words: readonly string[], width: number): Request {
  const found = walk(words);
  if (found === undefined || found.rest.length > 0) throw new UsageError(`unknown help topic: ${words.join(' ')}`, 1);
  const { path, entry } = found;
  return {
    kind: 'print',
    text: entry.kind === 'group' ? groupHelp(path, entry) : commandHelp(path, entry, namesOf(entry), width),
  };
}

function find(words: readonly string[], { width, globals }: { width: number; globals: Globals }): Request {
  const found = walk(words);
  if (found === undefined) throw unknownCommand(words[0] ?? '', '');
  const { path, entry, rest } = found;
  if (entry.kind === 'command') return request(path, entry, rest, { width, globals });
  const [word] = rest;
  if (word === undefined || word === '--help' || word === '-h') return { kind: 'print', text: groupHelp(path, entry) };
  if (word.startsWith('-'))
    throw new UsageError(withUsage(`unknown flag: ${word}`, `Usage:  ${PROGRAM} ${path}`, path));
  throw unknownCommand(`${path} ${word}`, path);
}

interface Found {
  readonly path: string;
  readonly entry: Command | Group;
  /** What is left of the words. */
  readonly rest: readonly string[];
}

/** Follows words down the tree as far as they lead. */
function walk(words: readonly string[]): Found | undefined {
  let entry: Command | Group = root;
  let at = 0;
  for (; entry.kind === 'group' && at < words.length; at++) {
    const word: string = words[at] ?? '';
    const name: string =
      (entry.aliases !== undefined && Object.hasOwn(entry.aliases, word) ? entry.aliases[word] : undefined) ?? word;
    const next: Command | Group | undefined = Object.hasOwn(entry.commands, name) ? entry.commands[name] : undefined;
    if (next === undefined) break;
    entry = next;
  }
  return at === 0 ? undefined : { path: words.slice(0, at).join(' '), entry, rest: words.slice(at) };
}

function request(
  path: string,
  command: Command,
  words: readonly string[],
  { width, globals }: { width: number; globals: Globals },
): Request {
  const usage = usageLine(path, command);
  const { flags, args, help } = explained(
    () => parseArguments(command.flags as Flags, words, { passThrough: command.passThrough === true }),
    usage,
    path,
  );
  if (help) return { kind: 'print', text: commandHelp(path, command, namesOf(command), width) };
  const complaint = wrongCount(command, args.length);
  if (complaint !== undefined)
    throw new UsageError(withUsage(`${PROGRAM}: '${PROGRAM} ${path}' ${complaint}`, usage, path), 1);
  const invocation: Invocation = { path, globals, flags, args };
  return { kind: 'run', failure: command.failure ?? 1, debug: globals.debug, run: () => command.run(invocation) };
}

function wrongCount({ arity: { min, max } }: Command, count: number): string | undefined {
  const noun = (number: number): string => (number === 1 ? 'argument' : 'arguments');
  if (count >= min && count <= max) return undefined;
  if (max === 0) return 'accepts no arguments';
  if (min === max) return `requires ${min} ${noun(min)}`;
  if (count < min) return `requires at least ${min} ${noun(min)}`;
  return `requires at most ${max} ${noun(max)}`;
}

/** Adds to a complaint of the parser how the command is used. */
function explained<T>(parse: () => T, usage: string, path: string): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof UsageError) throw new UsageError(withUsage(error.message, usage, path), error.exitCode);
    throw error;
  }
}

function withUsage(message: string, usage: string, path: string): string {
  return `${message}\n\n${usage}\n\n${seeHelp(path)}`;
}

function unknownCommand(name: string, path: string): UsageError {
  return new UsageError(`${PROGRAM}: unknown command: ${PROGRAM} ${name}\n\n${seeHelp(path)}`, 1);
}

/** Where to read on. */
export function seeHelp(path: string): string {
  return `Run '${[PROGRAM, path].filter(word => word !== '').join(' ')} --help' for more information`;
}
