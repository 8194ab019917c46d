import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect } from '@jest/globals';

import type { Said } from '../cli/cli.js';
import { needs } from '../support/needs.js';
import { CommandLines } from './command-lines.js';

const { describe, test } = needs('root', 'docker', 'cc');

type Case = readonly [name: string, words: readonly string[], what?: 'exit code'];

const status = ['grep', '-E', '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp:|SigIgn|SigBlk|Umask)', '/proc/self/status'];
const sh = (script: string): string[] => ['sh', '-c', script];

/** In a container that runs, with `exec` before it: flags, `C` for the container, command. */
const inPlain: readonly Case[] = [
  ['environment', ['C', 'env']],
  ['a variable', ['-e', 'A=1', 'C', 'env']],
  ['a variable twice', ['-e', 'A=1', '-e', 'A=2', 'C', 'env']],
  ['an empty variable', ['-e', 'A=', 'C', 'env']],
  ['a variable of the caller that is not set', ['-e', 'TSC_NOT_SET', 'C', 'env']],
  ['a variable of the container overridden', ['-e', 'FROM=exec', 'C', 'env']],
  ['another PATH', ['-e', 'PATH=/nowhere', 'C', 'env'], 'exit code'],
  ['another HOME', ['-e', 'HOME=/x', 'C', 'env']],
  ['a terminal’s environment', ['-t', 'C', 'env']],
  ['user by number', ['-u', '1000', 'C', 'id']],
  ['user by name', ['-u', 'ada', 'C', 'id']],
  ['user and group by number', ['-u', '1000:29', 'C', 'id']],
  ['user and group by name', ['-u', 'ada:audio', 'C', 'id']],
  ['user that is nowhere', ['-u', '4242', 'C', 'id']],
  ['group only', ['-u', ':29', 'C', 'id']],
  ['user’s home', ['-u', 'ada', 'C', 'env']],
  ['user without a name has no home', ['-u', '4242', 'C', 'env']],
  ['user that there is none of', ['-u', 'nobody-here', 'C', 'id'], 'exit code'],
  ['group that there is none of', ['-u', 'ada:nogroup', 'C', 'id'], 'exit code'],
  ['working directory', ['C', ...sh('pwd')]],
  ['another one', ['-w', '/etc', 'C', ...sh('pwd')]],
  ['one that is not there', ['-w', '/nowhere', 'C', 'env'], 'exit code'],
  ['one that is a file', ['-w', '/etc/passwd', 'C', 'env'], 'exit code'],
  ['exit code 0', ['C', ...sh('exit 0')]],
  ['exit code 3', ['C', ...sh('exit 3')]],
  ['exit code 255', ['C', ...sh('exit 255')]],
  ['killed', ['C', ...sh('kill -9 $$')]],
  ['terminated', ['C', ...sh('kill -15 $$')]],
  ['no such program', ['C', 'nope'], 'exit code'],
  ['no such path', ['C', '/bin/nope'], 'exit code'],
  ['not executable', ['C', '/etc/passwd'], 'exit code'],
  ['a directory', ['C', '/etc'], 'exit code'],
  ['both streams', ['C', ...sh('echo out; echo err >&2')]],
  ['status', ['C', ...status]],
  ['status of a user', ['-u', 'ada', 'C', ...status]],
  ['status when privileged', ['--privileged', 'C', ...status]],
  ['status of a privileged user', ['--privileged', '-u', 'ada', 'C', ...status]],
  ['no standard input', ['C', 'cat']],
  ['an empty standard input', ['-i', 'C', 'cat']],
  ['no terminal', ['C', 'tty']],
  ['a terminal', ['-t', 'C', ...sh('tty; test -t 0 && test -t 1 && test -t 2 && echo all')]],
  ['a terminal of a user', ['-t', '-u', 'ada', 'C', ...sh('stat -c "%u %g %a" $(tty)')]],
  ['descriptors', ['C', ...sh('ls /proc/self/fd | grep -c .')]],
  ['limits', ['C', 'cat', '/proc/self/limits']],
  ['OOM score', ['C', 'cat', '/proc/self/oom_score_adj']],
  ['host name', ['C', ...sh('cat /proc/sys/kernel/hostname | grep -c .')]],
  ['detached', ['-d', 'C', ...sh('echo nobody hears')]],
  ['detached, failing', ['-d', 'C', ...sh('exit 4')]],
  ['detached, no such program', ['-d', 'C', 'nope'], 'exit code'],
  ['keys that are none', ['--detach-keys', 'ctrl-x,foo', 'C', 'env'], 'exit code'],
  ['no such container', ['tsc-no-such', 'env'], 'exit code'],
  ['no command', ['C'], 'exit code'],
];

const containers: Readonly<Record<string, readonly string[]>> = {
  plain: ['-e', 'FROM=container', '-w', '/tmp'],
  user: ['--user', 'ada', '--cap-drop', 'ALL', '--cap-add', 'CHOWN', '--security-opt', 'no-new-privileges'],
  readonly: ['--read-only', '--ulimit', 'nofile=123:456'],
  privileged: ['--privileged'],
};

const inOthers: readonly (readonly [container: string, name: string, words: readonly string[]])[] = [
  ['user', 'user and capabilities are the container’s', ['C', ...status]],
  ['user', 'root in it has its capabilities', ['-u', '0', 'C', ...status]],
  ['user', 'privileged in it', ['--privileged', 'C', ...status]],
  ['readonly', 'the root is read-only', ['C', ...sh('echo x 2>/dev/null > /x')]],
  ['readonly', 'limits are the container’s', ['C', ...sh('ulimit -Hn')]],
  ['privileged', 'status', ['C', ...status]],
  ['privileged', 'status of a user', ['-u', 'ada', 'C', ...status]],
];

let both: CommandLines;
const name = (container: string): string => `logs-exec-${process.pid}-${container}`;
const named = (words: readonly string[], container: string): string[] =>
  words.map(word => (word === 'C' ? name(container) : word));

describe('exec does what Docker’s does', () => {
  beforeAll(async () => {
    both = await CommandLines.of('exec');
    for (const [container, flags] of Object.entries(containers))
      await both.say(
        'run',
        '-d',
        '--network',
        'none',
        '-h',
        'same',
        '--name',
        name(container),
        ...flags,
        both.tag,
        'sleep',
        '1000',
      );
  });
  afterAll(async () => {
    for (const container of Object.keys(containers)) await both.say('rm', '-f', name(container));
    await both[Symbol.asyncDispose]();
  });

  // Whole rows: to a row that is too short, Jest adds a callback to wait for.
  test.each(inPlain.map(([title, words, what]) => ({ title, words, what })))('$title', async ({ words, what }) => {
    const { ours, theirs } = await both.say('exec', ...named(words, 'plain'));
    expect(what === 'exit code' ? ours.exitCode : ours).toEqual(what === 'exit code' ? theirs.exitCode : theirs);
  });

  test.each(inOthers)('%s: %s', async (container, _, words) => {
    const { ours, theirs } = await both.say('exec', ...named(words, container));
    expect(ours).toEqual(theirs);
  });

  test('variables of a file', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'tsc-'));
    try {
      const path = join(directory, 'env');
      writeFileSync(path, '# comment\nA=1\n\n  B=two words \nC="quoted"\nTSC_NOT_SET\nD=x=y\n');
      const { ours, theirs } = await both.say('exec', '--env-file', path, '-e', 'A=2', name('plain'), 'env');
      expect(ours).toEqual(theirs);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test.each<[state: string, before: readonly string[], after: readonly string[]]>([
    ['paused', ['pause'], ['unpause']],
    ['stopped', ['stop', '-t', '0'], ['start']],
  ])('in one that is %s it is refused', async (_, before, after) => {
    const [verb = '', ...flags] = before;
    await both.say(verb, ...flags, name('readonly'));
    const { ours, theirs } = await both.say('exec', name('readonly'), 'env');
    const attached: { ours: Said; theirs: Said } = await both.say('attach', name('readonly'));
    await both.say(...after, name('readonly'));
    expect(ours.exitCode).toBe(theirs.exitCode);
    expect(attached.ours.exitCode).toBe(attached.theirs.exitCode);
    expect(attached.ours.stderr).toContain(attached.theirs.stderr.trim());
  });
});
