import { describe, expect, test } from '@jest/globals';

import type { Command, Group } from '../../lib/cli/command.js';
import { namesOf, root } from '../../lib/cli/commands/tree.js';
import { dispatch, type Request } from '../../lib/cli/dispatch.js';
import type { Flag } from '../../lib/cli/flags.js';

function ask(line: string, env: Record<string, string> = {}): Request {
  return dispatch(
    line.split(' ').filter(word => word !== ''),
    { width: 80, env },
  );
}

function textOf(line: string): string {
  const request = ask(line);
  if (request.kind !== 'print') throw new TypeError(`${line}: expected text, got ${request.kind}`);
  return request.text;
}

/** Every command with every path to it. */
function everyCommand(group: Group = root, prefix = ''): [string, Command][] {
  return Object.entries(group.commands).flatMap(([name, entry]) =>
    entry.kind === 'group'
      ? everyCommand(entry, `${prefix}${name} `)
      : ([[prefix + name, entry]] as [string, Command][]),
  );
}

describe('finding a command', () => {
  test.each(everyCommand().map(([path]) => path))('%s has help, which begins with its usage and its summary', path => {
    const [, command] = everyCommand().find(([each]) => each === path) as [string, Command];
    for (const text of [textOf(`${path} --help`), textOf(`help ${path}`)]) {
      expect(`${text}\n`).toContain(`Usage:  tscontainer ${path} ${command.synopsis}`.trimEnd() + '\n');
      expect(text).toContain(command.summary);
      for (const flag of Object.keys(command.flags as Record<string, Flag<unknown>>))
        expect(text).toContain(`--${flag}`);
    }
  });

  test('no letter means two things', () => {
    for (const [path, command] of everyCommand()) {
      const letters = Object.values(command.flags as Record<string, Flag<unknown>>).flatMap(({ short }) => short ?? []);
      expect({ path, letters: [...new Set(letters)] }).toEqual({ path, letters });
    }
  });

  test('help keeps to the width, and every line of an option is indented', () => {
    for (const [path] of everyCommand()) {
      const options = textOf(`${path} --help`).split('Options:\n')[1] ?? '';
      for (const line of options.split('\n').filter(each => each !== '')) {
        expect(line.length).toBeLessThanOrEqual(80);
        expect(line).toMatch(/^ {2}/);
      }
    }
  });

  test('a command says by which names it can be called', () => {
    expect(textOf('ps --help')).toContain(
      'Aliases:\n  tscontainer container ls, tscontainer container list, tscontainer container ps, tscontainer ps\n',
    );
    expect(textOf('images --help')).toContain('tscontainer image ls, tscontainer image list, tscontainer images');
    expect(textOf('events --help')).toContain('tscontainer events, tscontainer system events');
    expect(namesOf(root.commands['doctor'] as Command)).toEqual(['doctor']);
  });

  test.each(['', 'help', '--help', '-h'])('%j prints what there is', line => {
    const text = textOf(line);
    expect(text).toContain('Usage:  tscontainer [OPTIONS] COMMAND');
    for (const name of Object.keys(root.commands)) expect(text).toMatch(new RegExp(`^ {2}${name} `, 'm'));
    expect(text).toContain('--root');
  });

  test.each(['image', 'image --help', 'help image', '--help image'])('%s prints the verbs of a noun', line => {
    expect(textOf(line)).toContain('Usage:  tscontainer image COMMAND');
    expect(textOf(line)).toMatch(/^ {2}prune {5}Remove unused images$/m);
  });

  test.each([
    ['ps', 'run'],
    ['container ps -a', 'run'],
    ['image list', 'run'],
    ['volume remove x', 'run'],
    ['-D --root /x ps', 'run'],
    ['--root=/x ps', 'run'],
    ['--version', 'version'],
    ['-v', 'version'],
  ])('%s', (line, kind) => {
    expect(ask(line).kind).toBe(kind);
  });

  test('debugging is asked for by a flag or by the environment', () => {
    expect(ask('ps')).toMatchObject({ debug: false, failure: 1 });
    expect(ask('-D ps')).toMatchObject({ debug: true });
    expect(ask('ps', { TSCONTAINER_DEBUG: '1' })).toMatchObject({ debug: true });
    expect(ask('run x')).toMatchObject({ failure: 125 });
  });
});

describe('what is wrong is told in the words of Docker 28', () => {
  const usage = {
    run: 'Usage:  tscontainer run [OPTIONS] IMAGE [COMMAND] [ARG...]',
    ps: 'Usage:  tscontainer ps [OPTIONS]',
  };

  test.each<[line: string, message: string, exitCode: number]>([
    ['foo', "tscontainer: unknown command: tscontainer foo\n\nRun 'tscontainer --help' for more information", 1],
    [
      'constructor',
      "tscontainer: unknown command: tscontainer constructor\n\nRun 'tscontainer --help' for more information",
      1,
    ],
    [
      'image foo',
      "tscontainer: unknown command: tscontainer image foo\n\nRun 'tscontainer image --help' for more information",
      1,
    ],
    [
      'image constructor',
      "tscontainer: unknown command: tscontainer image constructor\n\nRun 'tscontainer image --help' for more information",
      1,
    ],
    ['help foo', 'unknown help topic: foo', 1],
    ['help image foo', 'unknown help topic: image foo', 1],
    [
      '--foo ps',
      "unknown flag: --foo\n\nUsage:  tscontainer [OPTIONS] COMMAND [ARG...]\n\nRun 'tscontainer --help' for more information",
      125,
    ],
    ['run --foo', `unknown flag: --foo\n\n${usage.run}\n\nRun 'tscontainer run --help' for more information`, 125],
    [
      'run -z',
      `unknown shorthand flag: 'z' in -z\n\n${usage.run}\n\nRun 'tscontainer run --help' for more information`,
      125,
    ],
    [
      'run --name',
      `flag needs an argument: --name\n\n${usage.run}\n\nRun 'tscontainer run --help' for more information`,
      125,
    ],
    [
      'run',
      `tscontainer: 'tscontainer run' requires at least 1 argument\n\n${usage.run}\n\nRun 'tscontainer run --help' for more information`,
      1,
    ],
    [
      'ps x',
      `tscontainer: 'tscontainer ps' accepts no arguments\n\n${usage.ps}\n\nRun 'tscontainer ps --help' for more information`,
      1,
    ],
    [
      'ps -f x',
      `invalid argument "x" for "-f, --filter" flag: bad format of filter (expected name=value)\n\n${usage.ps}\n\nRun 'tscontainer ps --help' for more information`,
      125,
    ],
  ])('%s', (line, message, exitCode) => {
    expect(() => ask(line)).toThrow(expect.objectContaining({ message, exitCode }));
  });

  test.each([
    ['tag a', "'tscontainer tag' requires 2 arguments"],
    ['image tag a', "'tscontainer image tag' requires 2 arguments"],
    ['pull', "'tscontainer pull' requires 1 argument"],
    ['pull a b', "'tscontainer pull' requires 1 argument"],
    ['exec x', "'tscontainer exec' requires at least 2 arguments"],
    ['stop', "'tscontainer stop' requires at least 1 argument"],
    ['images a b', "'tscontainer images' requires at most 1 argument"],
    ['port a b c', "'tscontainer port' requires at most 2 arguments"],
  ])('%s', (line, complaint) => {
    expect(() => ask(line)).toThrow(complaint);
  });
});
