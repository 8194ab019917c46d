import { afterAll, beforeAll, expect } from '@jest/globals';

import { needs } from '../support/needs.js';
import { CommandLines } from './command-lines.js';

const { describe, test } = needs('root', 'docker', 'cc');

const own = `events-${process.pid}`;
const c = `${own}-c`;
const idle = ['--network', 'none', 'IMAGE', 'sleep', '600'];

let both: CommandLines;

/** What Docker says and this engine does not: docs/differences.md, “What is told of a container”. */
const unsaid = /^(container (attach|exec_\w+|top)|volume (mount|unmount)|network (connect|disconnect) .*type=null\))/;

/** The command lines one after the other in both, and then what each says has happened meanwhile. */
async function happenings(
  lines: readonly (readonly string[])[],
  flags: readonly string[] = [],
): Promise<{ ours: string[]; theirs: string[] }> {
  const since = (Date.now() / 1000).toFixed(3);
  for (const line of lines) {
    const { ours, theirs } = await both.say(...line.map(word => (word === 'IMAGE' ? both.tag : word)));
    expect([line, ours.exitCode, ours.stderr]).toEqual([line, theirs.exitCode, ours.exitCode === 0 ? '' : ours.stderr]);
  }
  const until = (Date.now() / 1000 + 0.3).toFixed(3);
  const { ours, theirs } = await both.say('events', '--since', since, '--until', until, ...flags);
  expect([ours.stderr, theirs.stderr]).toEqual(['', '']);
  return { ours: comparable(ours.stdout), theirs: comparable(theirs.stdout) };
}

/** Without what is another one each time, and without what others do in the same Docker. */
function comparable(stdout: string): string[] {
  return stdout
    .split('\n')
    .filter(line => line.includes(own))
    .map(line =>
      line
        .replace(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d) /, '')
        .replace(/\b[0-9a-f]{64}\b/g, 'ID')
        .replace(/"time":\d{10},"timeNano":\d{19}\b/g, 'TIME')
        .replace(/execDuration=\d+/, 'execDuration=N'),
    )
    .filter((line, index, all) => !unsaid.test(line) && !(line.startsWith('container oom') && all[index - 1] === line))
    .sort(); // Docker tells of `stop` and `die` as they come, and of two networks at once.
}

describe('events says what Docker’s does', () => {
  beforeAll(async () => {
    both = await CommandLines.of('events');
  }, 120_000);
  afterAll(async () => {
    await both.say('rm', '-f', '-v', c, `${c}2`);
    await both.say('network', 'rm', `${own}-n`);
    await both.say('volume', 'rm', `${own}-v`);
    await both[Symbol.asyncDispose]();
  });

  test.each<[what: string, lines: readonly (readonly string[])[], actions: readonly string[]]>([
    [
      'a container from its creation to its removal',
      [
        [
          'create',
          '--name',
          c,
          '--label',
          'k=v',
          '--label',
          'a=x y',
          '--network',
          'none',
          'IMAGE',
          'sh',
          '-c',
          'exit 3',
        ],
        ['start', c],
        ['wait', c],
        ['rm', c],
      ],
      ['create', 'destroy', 'die', 'start'],
    ],
    [
      'one that is stopped',
      [
        ['run', '-d', '--name', c, ...idle],
        ['stop', '-t', '0', c],
        ['rm', c],
      ],
      ['create', 'destroy', 'die', 'kill', 'kill', 'start', 'stop'],
    ],
    [
      'one that is restarted, and removed as it runs',
      [
        ['run', '-d', '--name', c, ...idle],
        ['restart', '-t', '0', c],
        ['rm', '-f', c],
      ],
      ['create', 'destroy', 'die', 'die', 'kill', 'kill', 'kill', 'restart', 'start', 'start', 'stop'],
    ],
    [
      'signals, a pause, another name, other limits',
      [
        ['run', '-d', '--name', c, ...idle],
        ['kill', '-s', 'USR1', c],
        ['pause', c],
        ['unpause', c],
        ['rename', c, `${c}2`],
        ['update', '--cpu-shares', '512', `${c}2`],
        ['kill', `${c}2`],
        ['wait', `${c}2`],
        ['rm', `${c}2`],
      ],
      ['create', 'destroy', 'die', 'kill', 'kill', 'pause', 'rename', 'start', 'unpause', 'update'],
    ],
    [
      'too little memory',
      [
        [
          'run',
          '--name',
          c,
          '--network',
          'none',
          '-m',
          '16m',
          'IMAGE',
          'sh',
          '-c',
          'tail /dev/zero; x=$(cat /dev/zero | tr "\\0" a); exit 1',
        ],
        ['rm', c],
      ],
      ['create', 'destroy', 'die', 'oom', 'start'],
    ],
    [
      'a volume',
      [
        ['volume', 'create', '--label', 'k=v', `${own}-v`],
        ['volume', 'rm', `${own}-v`],
      ],
      ['create', 'destroy'],
    ],
    [
      'a network that is joined and left by a container, running and not',
      [
        ['network', 'create', '--label', 'k=v', `${own}-n`],
        ['network', 'create', `${own}-m`],
        ['create', '--name', c, '--network', `${own}-m`, 'IMAGE', 'sleep', '600'],
        ['network', 'connect', `${own}-n`, c],
        ['network', 'disconnect', `${own}-n`, c],
        ['rm', c],
        ['network', 'rm', `${own}-m`],
        ['network', 'rm', `${own}-n`],
      ],
      ['create', 'create', 'create', 'destroy', 'destroy', 'destroy'],
    ],
    [
      'an image that gets a name and loses it',
      [
        ['tag', 'IMAGE', `${own}:2`],
        ['rmi', `${own}:2`],
      ],
      ['tag'],
    ],
  ])(
    '%s',
    async (_, lines, actions) => {
      const { ours, theirs } = await happenings(lines);
      expect(ours).toEqual(theirs);
      expect(ours.map(line => line.split(' ')[1]).sort()).toEqual(actions);
    },
    60_000,
  );

  test('a running container comes to a network and leaves it', async () => {
    const lines = [
      ['network', 'create', `${own}-n`],
      ['run', '-d', '--name', c, 'IMAGE', 'sleep', '600'],
      ['network', 'connect', `${own}-n`, c],
      ['network', 'disconnect', `${own}-n`, c],
      ['rm', '-f', c],
      ['network', 'rm', `${own}-n`],
    ];
    const { ours, theirs } = await happenings(lines, ['--filter', 'type=network']);
    expect(ours).toEqual(theirs);
    expect(ours.map(line => line.split(' ')[1])).toEqual(['connect', 'create', 'destroy', 'disconnect']);
  }, 60_000);

  test('the health of a container', async () => {
    const check = ['--health-cmd', 'true', '--health-interval', '100ms', '--health-retries', '1'];
    const waiting = 'while ! grep -q x /f 2>/dev/null; do sleep 0.1; done';
    const lines = [
      ['run', '-d', '--name', c, ...check, '--health-cmd', 'echo x >> /f; test ! -e /sick', ...idle],
      ['exec', c, 'sh', '-c', waiting],
      ['exec', c, 'sh', '-c', 'echo > /sick; : > /f'],
      ['exec', c, 'sh', '-c', `${waiting}; : > /f; ${waiting}`],
      ['rm', '-f', c],
    ];
    const { ours, theirs } = await happenings(lines, ['--filter', 'event=health_status']);
    expect(ours).toEqual(theirs);
    expect(ours).toEqual(['healthy', 'unhealthy'].map(word => expect.stringContaining(`health_status: ${word} ID`)));
  }, 60_000);

  describe('of one container', () => {
    let since: string;
    let until: string;
    beforeAll(async () => {
      since = (Date.now() / 1000).toFixed(3);
      for (const name of [c, `${c}2`]) {
        const words = ['run', '--name', name, '--label', `k=${name}`, '--network', 'none', both.tag, 'sh', '-c', ':'];
        await both.say(...words);
        await both.say('rm', name);
      }
      until = (Date.now() / 1000 + 0.3).toFixed(3);
    }, 60_000);

    test.each<[flags: readonly string[], count: number]>([
      [['--filter', `container=${c}2`], 4],
      [['--filter', `container=${c}`], 8],
      [['--filter', `container=${c}2`, '--filter', 'event=die'], 1],
      [['--filter', `container=${c}2`, '--filter', 'event=die', '--filter', 'event=start'], 2],
      [['--filter', `label=k=${c}`], 4],
      [['--filter', `label=k=${c}`, '--filter', `label=k=${c}2`], 0],
      [['--filter', 'label=k', '--filter', 'event=destroy'], 2],
      [['--filter', 'image=IMAGE'], 8],
      [['--filter', 'image=REPOSITORY', '--filter', 'event=create'], 2],
      [['--filter', 'image=none-of-that'], 0],
      [['--filter', 'type=container', '--filter', 'event=create'], 2],
      [['--filter', 'type=volume'], 0],
      [['--filter', `container=${c}2`, '--format', 'json'], 4],
      [['--filter', `container=${c}2`, '--format', '{{json .}}'], 4],
      [
        [
          '--filter',
          'event=die',
          '--format',
          '{{.Type}} {{.Status}} {{.From}} {{.Actor.Attributes.name}} {{.Actor.Attributes}}',
        ],
        2,
      ],
      [
        ['--filter', 'event=create', '--format', '{{.Scope}} {{.Action}} {{.ID}} {{index .Actor.Attributes "name"}}'],
        2,
      ],
    ])('%j', async (flags, count) => {
      const argv = flags.map(word =>
        word.replace('IMAGE', both.tag).replace('REPOSITORY', both.tag.replace(/:1$/, '')),
      );
      const { ours, theirs } = await both.say('events', '--since', since, '--until', until, ...argv);
      const sides = [ours, theirs].map(({ stdout, ...rest }) => ({
        ...rest,
        lines: comparable(stdout.replace(/execDuration([":]+)\d+/g, 'execDuration$1N')).filter(
          line => !line.includes('attach'),
        ),
      }));
      expect(sides[0]).toEqual(sides[1]);
      expect(sides[0]?.lines.length).toBe(count);
    });
  });

  test.each<[why: string, flags: readonly string[]]>([
    ['a time that is none', ['--since', 'nonsense', '--until', '0']],
    ['a filter without a value', ['--until', '1', '--filter', 'event']],
    ['a template that is none', ['--until', '1', '--format', '{{']],
    ['a word too many', ['x']],
  ])('%s: refused by both', async (_, flags) => {
    const { ours, theirs } = await both.say('events', ...flags);
    expect([ours.stdout, theirs.stdout]).toEqual(['', '']);
    expect([ours.exitCode === 0, theirs.exitCode === 0]).toEqual([false, false]);
  });
});
