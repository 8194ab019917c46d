import type { Command, Group } from './command.js';
import type { Flag, Flags } from './flags.js';

/** What the program is called in all it says. */
export const PROGRAM = 'tscontainer';

/** `Usage:  tscontainer run [OPTIONS] IMAGE [COMMAND] [ARG...]` */
export function usageLine(path: string, command: Command): string {
  return `Usage:  ${PROGRAM} ${path} ${command.synopsis}`.trimEnd();
}

/** All that `--help` says of a command, wrapped to `width` columns. */
export function commandHelp(path: string, command: Command, alsoCalled: readonly string[], width = 80): string {
  const flags = formatFlags(command.flags, width);
  return [
    usageLine(path, command),
    command.summary,
    ...(alsoCalled.length < 2 ? [] : [`Aliases:\n  ${alsoCalled.map(name => `${PROGRAM} ${name}`).join(', ')}`]),
    ...(flags === '' ? [] : [`Options:\n${flags}`]),
  ].join('\n\n');
}

/** What a group says of itself. */
export function groupHelp(path: string, group: Group): string {
  return [
    `Usage:  ${PROGRAM} ${path} COMMAND`,
    group.summary,
    `Commands:\n${formatCommands(Object.entries(group.commands))}`,
    `Run '${PROGRAM} ${path} COMMAND --help' for more information on a command.`,
  ].join('\n\n');
}

/** What the program says of itself. */
export function programHelp(root: Group, globals: Flags, width = 80): string {
  const entries = Object.entries(root.commands);
  return [
    `Usage:  ${PROGRAM} [OPTIONS] COMMAND`,
    root.summary,
    `Management Commands:\n${formatCommands(entries.filter(([, { kind }]) => kind === 'group'))}`,
    `Commands:\n${formatCommands(entries.filter(([, { kind }]) => kind === 'command'))}`,
    `Global Options:\n${formatFlags(globals, width)}`,
    `Run '${PROGRAM} COMMAND --help' for more information on a command.`,
  ].join('\n\n');
}

function formatCommands(entries: readonly (readonly [string, Command | Group])[]): string {
  const longest = Math.max(...entries.map(([name]) => name.length));
  return [...entries]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { summary }]) => `  ${name.padEnd(longest)}   ${summary}`)
    .join('\n');
}

/** As pflag prints them, which is what people are used to from Docker. */
function formatFlags(flags: Flags, width: number): string {
  const rows = Object.entries(flags)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, flag]) => [leftOf(name, flag), rightOf(flag)] as const);
  const indent = Math.max(...rows.map(([left]) => left.length), 0) + 3;
  return rows
    .map(([left, right]) => left.padEnd(indent) + wrap(right, width - indent).join(`\n${' '.repeat(indent)}`))
    .join('\n');
}

function leftOf(name: string, { short, type }: Flag<unknown>): string {
  const start = short === undefined ? '      ' : `  -${short}, `;
  return `${start}--${name}${type === '' ? '' : ` ${type}`}`;
}

function rightOf({ summary, shown }: Flag<unknown>): string {
  return shown === undefined ? summary : `${summary} (default ${shown})`;
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= Math.max(width, 24))
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
