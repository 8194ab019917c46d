import { afterAll, beforeAll, describe as always, expect, test as plainTest } from '@jest/globals';

import { KeyFilter, parseDetachKeys } from '../../lib/container/detach-keys.js';
import { Place } from '../support/engine.js';
import { baseImage } from '../support/host.js';
import { needs } from '../support/needs.js';
import { Cli } from './cli.js';

const { describe, test } = needs('root', 'script', 'stty');

always('keys to leave by', () => {
  plainTest.each<[typed: string[], passed: string, left: boolean]>([
    [['abc'], 'abc', false],
    [['ab\x10\x11c'], 'ab', true],
    [['\x10', '\x11'], '', true],
    [['\x10', 'a'], '\x10a', false],
    [['\x10\x10\x11'], '\x10', true],
    [['\x11\x10'], '\x11', false],
  ])('%j', async (typed, passed, left) => {
    const filter = new KeyFilter(parseDetachKeys('ctrl-p,ctrl-q', 'test'));
    let out = '';
    let hasLeft = false;
    for (const chunk of typed) {
      const took = filter.take(Buffer.from(chunk));
      out += String(took.passed);
      hasLeft ||= took.left;
    }
    expect({ out, hasLeft }).toEqual({ out: passed, hasLeft: left });
  });

  plainTest('are written by name or as they are', () => {
    expect([...parseDetachKeys('ctrl-a,d,ctrl-[', 'test')]).toEqual([1, 100, 27]);
    expect(() => parseDetachKeys('ctrl-p,foo', 'test')).toThrow(
      "test: invalid detach keys (ctrl-p,foo): Unknown character: 'foo'",
    );
  });
});

let place: Place;
let cli: Cli;

describe('with a terminal', () => {
  const size = { rows: 31, columns: 97 };

  beforeAll(async () => {
    place = new Place();
    const engine = await place.open();
    await (await baseImage(engine)).tag('base:1');
    cli = new Cli(place);
  });

  afterAll(async () => {
    await place[Symbol.asyncDispose]();
  });

  test('run -t has one inside, of the same size from the beginning', async () => {
    const script = 'stty size; test -t 0 && test -t 1 && echo yes; echo $TERM; exit 3';
    expect(
      await cli.terminal('', size, 'run', '-it', '--rm', '--network', 'none', 'base:1', 'sh', '-c', script),
    ).toEqual({
      exitCode: 3,
      stdout: '31 97\r\nyes\r\nxterm\r\n',
      stderr: '',
    });
  });

  test('keys go to the process inside as they are pressed', async () => {
    const script = 'stty -echo; echo ready; read line; echo "got $line"; exit 5';
    const { stdout, exitCode } = await cli.terminal(
      'abc\r',
      size,
      'run',
      '-it',
      '--rm',
      '--network',
      'none',
      'base:1',
      'sh',
      '-c',
      `${script}`,
    );
    expect({ stdout, exitCode }).toEqual({ stdout: 'ready\r\ngot abc\r\n', exitCode: 5 });
  });

  test('ctrl-c interrupts the process inside, not the one here', async () => {
    const script = 'stty -echo; trap "echo interrupted; exit 6" INT; echo ready; while :; do sleep 0.01; done';
    const said = await cli.terminal(
      '\x03',
      size,
      'run',
      '-it',
      '--rm',
      '--network',
      'none',
      'base:1',
      'sh',
      '-c',
      script,
    );
    expect(said).toEqual({ stdout: 'ready\r\ninterrupted\r\n', stderr: '', exitCode: 6 });
  });

  test('the user leaves with ctrl-p ctrl-q, and the container runs on', async () => {
    const left = await cli.terminal(
      '\x10\x11',
      size,
      'run',
      '-it',
      '--name',
      'stays',
      '--network',
      'none',
      'base:1',
      'sh',
      '-c',
      'echo ready; read x',
    );
    expect(left).toMatchObject({ exitCode: 0 });
    expect(await cli.get('ps', '--format', '{{.Names}}')).toBe('stays');
    await cli.get('rm', '-f', 'stays');
  });

  test('where there is none, it is said so', async () => {
    expect(await cli.run('run', '-it', 'base:1')).toMatchObject({
      exitCode: 1,
      stderr: 'tscontainer: the input device is not a TTY\n',
    });
  });
});
