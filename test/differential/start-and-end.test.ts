import { afterAll, beforeAll, expect } from '@jest/globals';

import { needs } from '../support/needs.js';
import { pack } from '../support/tar.js';
import type { Ask, Outcome } from './ask.js';
import { baseLayer } from './images.js';
import { since, Sides } from './sides.js';

const { describe, test } = needs('root', 'docker', 'cc');

const probe = '/bin/probe';

const commands: readonly (readonly string[])[] = [
  ...['0', '3', '255', '256', '-1'].map(code => [probe, 'exit', code]),
  ...['9', '15', '11', '6'].map(signal => [probe, 'die', signal]),
  ['probe', 'exit', '5'],
  ['./bin/probe', 'exit', '4'],
  ['bin/probe', 'exit', '4'],
  ['nope'],
  ['/nope'],
  ['./nope'],
  ['nope/nope'],
  ['/bin/plain'],
  ['plain'],
  ['/bin'],
  ['bin'],
  ['tmp'],
  ['/bin/script', '7'],
  ['/bin/dangling'],
  ['/bin/loop'],
  ['/bin/probe/below'],
  [''],
  ['.'],
  ['..'],
  ['/'],
  [probe, 'exit', '2', '', ' ', '\n', 'ü'],
];

/** What is started says "ready" first. `linger SIGNAL CODE`: exits so when signalled; a negative code: ignores it. */
const endings: readonly (readonly [string, Ask, { readonly stop?: number; readonly kill?: NodeJS.Signals }])[] = [
  ['stopped, handling SIGTERM', { command: [probe, 'linger', '15', '5'] }, { stop: 10 }],
  ['stopped, ignoring SIGTERM', { command: [probe, 'linger', '15', '-1'] }, { stop: 1 }],
  ['stopped without grace', { command: [probe, 'linger', '15', '-1'] }, { stop: 0 }],
  [
    'stopped, not handling SIGTERM, which a first process does not get then',
    { command: [probe, 'linger'] },
    { stop: 1 },
  ],
  [
    'stopped by another signal',
    { command: [probe, 'linger', '3', '6', '15', '7'], stopSignal: 'SIGQUIT' },
    { stop: 10 },
  ],
  [
    'stopped by the signal of the image',
    { image: 'tsc-test/stop-signal:1', command: [probe, 'linger', '12', '8', '15', '7'] },
    { stop: 10 },
  ],
  ['stopped under a first process of its own', { command: [probe, 'linger'], init: true }, { stop: 10 }],
  ['killed', { command: [probe, 'linger'] }, { kill: 'SIGKILL' }],
  ['killed by a signal that it handles', { command: [probe, 'linger', '10', '9'] }, { kill: 'SIGUSR1' }],
  [
    'killed by a signal under a first process of its own',
    { command: [probe, 'linger'], init: true },
    { kill: 'SIGUSR1' },
  ],
];

describe('a container starts and ends in both alike', () => {
  let sides: Sides;

  beforeAll(async () => {
    const layers = [await baseLayer(), await programs()];
    sides = await Sides.of([
      { tag: 'tsc-test/start:1', layers, config: { Env: ['PATH=/sbin:/bin'] } },
      { tag: 'tsc-test/stop-signal:1', layers, config: { StopSignal: '12' } },
    ]);
  });
  afterAll(async () => sides[Symbol.asyncDispose]());

  for (const command of commands) {
    for (const user of ['', 'ada']) {
      test(`with ${JSON.stringify(command)}${user === '' ? '' : ` of ${user}`}`, async () => {
        const { ours, theirs } = await sides.both(side => side.run({ command, user }));
        expect(comparable(ours, theirs)).toEqual(comparable(theirs, ours));
      });
    }
  }

  for (const [name, ask, what] of endings) {
    test(name, async () => {
      const { ours, theirs } = await sides.both(side => side.ending(ask, what));
      expect(ours).toEqual(theirs);
    });
  }

  for (const command of [
    [probe, 'exit', '3'],
    [probe, 'identity'],
    [probe, 'environment'],
    [probe, 'where'],
    ['nope'],
    ['/bin/plain'],
    ['/bin'],
    [probe, 'die', '9'],
  ]) {
    for (const [name, options] of Object.entries({
      'by default': {},
      'with options': { user: 'grace', cwd: '/tmp', env: { B: '2', PATH: '/bin:/mine', A: 'exec' } },
    })) {
      // Until then a command that is not there was one that cannot be executed.
      const run = command[0] === 'nope' ? since(28) : test;
      run(`runs one more command, ${name}: ${command.join(' ')}`, async () => {
        const ask: Ask = {
          command: [probe, 'linger', '15', '0'],
          user: 'ada',
          cwd: '/home/ada',
          env: { A: 'container' },
          hostname: 'host',
        };
        const { ours, theirs } = await sides.both(side => side.exec(ask, command, options));
        expect(comparable(ours, theirs)).toEqual(comparable(theirs, ours));
      });
    }
  }

  const inputs: Readonly<Record<string, Ask>> = {
    'none is given': {},
    'it is empty': { input: '' },
    'there is some': { input: 'x'.repeat(100_000) },
  };
  for (const [name, ask] of Object.entries(inputs)) {
    test(`reads its standard input when ${name}`, async () => {
      const { ours, theirs } = await sides.both(side => side.run({ command: [probe, 'stdin'], ...ask }));
      expect(ours).toEqual(theirs);
    });
  }

  for (const [name, ask] of Object.entries<Ask>({ 'as root': {}, 'as another user': { user: 'ada' } })) {
    // Before, only Windows had a size from the start.
    since(28)(`has one terminal ${name}`, async () => {
      const { ours, theirs } = await sides.both(side => side.run({ command: [probe, 'terminal'], tty: true, ...ask }));
      expect(ours).toEqual(theirs);
    });
  }

  test('reads and echoes on a terminal', async () => {
    const { ours, theirs } = await sides.both(side =>
      side.run({ command: [probe, 'stdin'], tty: true, input: 'one\ntwo\x7f\x7fo\n\x04' }),
    );
    expect(ours).toEqual(theirs);
  });
});

/** Each says in its own words why it does not start; a refused exec of Docker's says it on the standard output. */
function comparable(outcome: Outcome, other: Outcome): object {
  const refused = outcome.refused !== undefined || other.refused !== undefined;
  return refused ? { exitCode: outcome.exitCode } : outcome;
}

function programs(): Promise<Buffer> {
  return pack(
    { name: 'bin/plain', content: 'no program' },
    { name: 'bin/without-interpreter', mode: 0o755, content: 'exit 3\n' },
    { name: 'bin/missing-interpreter', mode: 0o755, content: '#!/not/there\n' },
    { name: 'bin/script', mode: 0o755, content: '#!/bin/probe exit\n' },
    { name: 'bin/empty', mode: 0o755 },
    { name: 'bin/dangling', type: 'symlink', link: '/not/there' },
    { name: 'bin/loop', type: 'symlink', link: 'loop' },
  );
}
