import { afterAll, beforeAll, expect } from '@jest/globals';

import type { Said } from '../cli/cli.js';
import { needs } from '../support/needs.js';
import { CommandLines } from './command-lines.js';

const { describe, test } = needs('root', 'docker', 'cc');

const sh = (script: string): string[] => ['sh', '-c', script];
/** Apart in time, so that both see the two streams in the same order. */
const lines = 'echo one; sleep 0.2; echo two >&2; sleep 0.2; echo "thrée <&> \\"4\\""; echo; printf end';
const long = 'head -c 40000 /dev/zero | tr "\\0" a; echo; head -c 16384 /dev/zero | tr "\\0" b; echo; printf end';

const containers: Readonly<Record<string, readonly string[]>> = {
  plain: ['T', ...sh(lines)],
  long: ['T', ...sh(long)],
  tty: ['-t', 'T', ...sh(lines)],
  tagged: [
    ...['-l', 'a=<1 2>', '-l', 'b=x,y=z', '-e', 'MODE=test', '-e', 'MOOD=ok'],
    ...['--log-opt', 'labels=a,b,c', '--log-opt', 'env-regex=^MO', '--log-opt', 'tag={{.ImageName}}!'],
    ...['T', ...sh(lines)],
  ],
  local: ['--log-driver', 'local', 'T', ...sh(lines)],
  rotated: ['--log-opt', 'max-size=2k', '--log-opt', 'max-file=3', 'T', ...sh(counting(200))],
  single: ['--log-opt', 'max-size=2k', 'T', ...sh(counting(200))],
  compressed: [
    ...['--log-opt', 'max-size=4k', '--log-opt', 'max-file=4', '--log-opt', 'compress=true'],
    ...['T', ...sh(counting(200))],
  ],
  none: ['--log-driver', 'none', 'T', ...sh(lines)],
  silent: ['T', ...sh('exit 3')],
};

/** By one process, line by line, so that no two lines come in one piece. */
function counting(count: number): string {
  return `i=0; while [ $i -lt ${count} ]; do echo line $i; i=$((i+1)); done`;
}

const cases: readonly (readonly [container: string, flags: readonly string[]])[] = [
  ['plain', []],
  ['plain', ['-f']],
  ['plain', ['-t']],
  ['plain', ['-tf']],
  ['plain', ['--details']],
  ['plain', ['-t', '--details']],
  ['plain', ['-n', '0']],
  ['plain', ['-n', '1']],
  ['plain', ['-n', '3']],
  ['plain', ['-n', '100']],
  ['plain', ['--tail', 'all']],
  ['plain', ['-n', '-1']],
  ['plain', ['-n', 'x']],
  ['plain', ['--since', '1h']],
  ['plain', ['--since', '2100-01-01']],
  ['plain', ['--since', '2000-01-01T00:00:00Z', '-n', '2']],
  ['plain', ['--since', '946684800.5']],
  ['plain', ['--until', '1h']],
  ['plain', ['--until', '2100-01-01T00:00:00']],
  ['long', []],
  ['long', ['-t']],
  ['long', ['-n', '2']],
  ['tty', []],
  ['tty', ['-t', '-n', '1']],
  ['tagged', []],
  ['tagged', ['-t']],
  ['local', []],
  ['local', ['-t']],
  ['local', ['-n', '2']],
  ['local', ['--details']],
  ['rotated', []],
  ['rotated', ['-n', '50']],
  ['rotated', ['-n', '5', '-t']],
  ['single', []],
  ['single', ['-n', '5']],
  ['compressed', []],
  ['compressed', ['-n', '120']],
  ['silent', []],
  ['silent', ['-f']],
];

let both: CommandLines;
const name = (container: string): string => `logs-logs-${process.pid}-${container}`;

/** Times are not the same in both, nor is how much of them fits into a file. */
function withoutTimes({ exitCode, stdout, stderr }: Said): Said {
  const strip = (text: string): string => text.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z/g, 'TIME');
  return { exitCode, stdout: strip(stdout), stderr: strip(stderr) };
}

describe('logs says what Docker’s does', () => {
  beforeAll(async () => {
    both = await CommandLines.of('logs-command');
    for (const [container, words] of Object.entries(containers)) {
      const argv = words.map(word => (word === 'T' ? both.tag : word));
      await both.say('run', '-d', '--network', 'none', '--name', name(container), ...argv);
      await both.say('wait', name(container));
    }
  }, 120_000);
  afterAll(async () => {
    for (const container of Object.keys(containers)) await both.say('rm', '-f', name(container));
    await both[Symbol.asyncDispose]();
  });

  test.each(cases)('of %s, with %j', async (container, flags) => {
    const { ours, theirs } = await both.say('logs', ...flags, name(container));
    expect(withoutTimes(ours)).toEqual(withoutTimes(theirs));
  });

  test.each<[why: string, words: readonly string[]]>([
    ['no such container', ['tsc-no-such']],
    ['a time that is none', ['--since', 'nonsense', 'C']],
    ['a driver without a log', ['N']],
    ['no container', []],
    ['two containers', ['C', 'N']],
  ])('%s: refused alike', async (_, words) => {
    const argv = words.map(word => (word === 'C' ? name('plain') : word === 'N' ? name('none') : word));
    const { ours, theirs } = await both.say('logs', ...argv);
    expect([ours.exitCode, ours.stdout]).toEqual([theirs.exitCode, theirs.stdout]);
  });

  test.each<[why: string, flags: readonly string[]]>([
    ['an option that there is none of', ['--log-opt', 'foo=1']],
    ['a size that is none', ['--log-opt', 'max-size=foo']],
    ['no file at all', ['--log-opt', 'max-file=0']],
    ['compression without rotation', ['--log-opt', 'compress=true']],
    ['a driver that there is none of', ['--log-driver', 'nope']],
    ['options of none', ['--log-driver', 'none', '--log-opt', 'max-size=1k']],
    ['labels of local', ['--log-driver', 'local', '--log-opt', 'labels=x']],
    ['a truth that is none', ['--log-opt', 'compress=maybe', '--log-opt', 'max-size=1k', '--log-opt', 'max-file=2']],
    ['a pattern that is none', ['--log-opt', 'labels-regex=(']],
    ['a tag that is none', ['--log-opt', 'tag={{']],
  ])('%s: run refuses alike', async (_, flags) => {
    const { ours, theirs } = await both.run(['--network', 'none', ...flags], ['true']);
    expect([ours.exitCode, ours.stdout]).toEqual([theirs.exitCode, theirs.stdout]);
  });
});
