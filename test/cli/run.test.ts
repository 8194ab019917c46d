import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, beforeAll, expect } from '@jest/globals';

import { Place } from '../support/engine.js';
import { baseImage } from '../support/host.js';
import { needs } from '../support/needs.js';
import { Cli, ended, said } from './cli.js';

const { describe, test } = needs('root');

// Loopback is all that these need, and the rest is network's own to test.
const run = ['run', '--rm', '--network', 'none'];

/** A message, and no stack. */
const oneLine = /^tscontainer: [^\n]*\n$/;

let place: Place;
let cli: Cli;

describe('the command line', () => {
  beforeAll(async () => {
    place = new Place();
    const engine = await place.open();
    await (await baseImage(engine)).tag('base:1');
    cli = new Cli(place);
  });

  afterAll(async () => {
    await place[Symbol.asyncDispose]();
  });

  describe('run', () => {
    test('keeps the streams apart and exits as the container did', async () => {
      const result = await cli.run(...run, 'base:1', 'sh', '-c', 'echo out; echo err >&2; exit 3');
      expect(result).toEqual({ exitCode: 3, stdout: 'out\n', stderr: 'err\n' });
    });

    test('exits with 128 and the signal that ended the container', async () => {
      expect(await cli.run(...run, '--init', 'base:1', 'sh', '-c', 'kill -TERM $$')).toMatchObject({ exitCode: 143 });
    });

    const cannot: readonly [exitCode: number, command: string, message: RegExp][] = [
      [127, 'no-such-program', /executable file not found in \$PATH/],
      [127, '/no/such/program', /no such file or directory/],
      [126, '/etc', /permission denied/],
    ];
    for (const [exitCode, command, message] of cannot) {
      test(`exits with ${exitCode} for ${command}`, async () => {
        const result = await cli.run(...run, 'base:1', command);
        expect(result).toMatchObject({ exitCode, stdout: '', stderr: expect.stringMatching(oneLine) });
        expect(result.stderr).toMatch(message);
      });
    }

    const refused: readonly [argv: readonly string[], message: string][] = [
      [['--pull', 'never', 'no-such-image'], 'no such image: no-such-image'],
      [['--hostname', '-x-', 'base:1'], 'hostname'],
      [['-v', 'name:/', 'base:1'], 'mount below it'],
      [['--network', 'no-such-network', 'base:1', 'true'], 'no such network: no-such-network'],
      [['--stop-signal', 'FOO', 'base:1'], 'there is no signal "FOO"'],
    ];
    for (const [argv, message] of refused) {
      test(`exits with 125 for ${argv.join(' ')}, in one line`, async () => {
        const result = await cli.run('run', '--rm', ...argv);
        expect(result).toMatchObject({ exitCode: 125, stdout: '', stderr: expect.stringMatching(oneLine) });
        expect(result.stderr).toContain(message);
      });
    }

    test('passes standard input on with -i, all of it, and only then', async () => {
      const input = 'x'.repeat(2_000_000);
      expect(await cli.feed(input, ...run, '-i', 'base:1', 'wc', '-c')).toMatchObject({
        exitCode: 0,
        stdout: '2000000\n',
      });
      expect(await cli.feed('x', ...run, 'base:1', 'wc', '-c')).toMatchObject({ exitCode: 0, stdout: '0\n' });
    });

    test('passes much output on, all of it', async () => {
      const { stdout } = await cli.run(...run, 'base:1', 'head', '-c', '5000000', '/dev/zero');
      expect(stdout.length).toBe(5_000_000);
    });

    test('passes signals on', async () => {
      const child = cli.start(
        ...run,
        'base:1',
        'sh',
        '-c',
        'trap "echo got; exit 9" TERM; echo ready; while :; do sleep 0.01; done',
      );
      await said(child, 'ready');
      const result = ended(child);
      child.kill('SIGTERM');
      expect(await result).toEqual({ exitCode: 9, stdout: 'got\n', stderr: '' });
    });

    test('ends when nobody reads its output any more, and nothing is left', async () => {
      const child = cli.start(...run, 'base:1', 'yes');
      await said(child, 'y\n');
      child.stdout.destroy();
      expect((await once(child, 'exit')) as unknown).toEqual([141, null]);
      expect(await cli.get('ps', '-aq')).toBe('');
    });

    test('takes variables, user, directory, host name and labels', async () => {
      const script = 'echo $A $B; id -u; pwd; hostname';
      const stdout = await cli.get(
        ...run,
        '-e',
        'A=1',
        '-eB=2',
        '-u',
        '1000:1000',
        '-w',
        '/srv/x',
        '-h',
        'web',
        'base:1',
        'sh',
        '-c',
        script,
      );
      expect(stdout).toBe('1 2\n1000\n/srv/x\nweb');
    });

    test('mounts: binds, volumes that stay, and tmpfs', async () => {
      const directory = join(place.directory, 'shared');
      mkdirSync(directory);
      writeFileSync(join(directory, 'in'), 'from the host');
      const script = 'cat /b/in; echo; echo x > /v/file; echo y > /t/file; cat /v/file /t/file; echo z > /b/in';
      const result = await cli.run(
        ...run,
        '-v',
        `${directory}:/b:ro`,
        '-v',
        'kept:/v',
        '--tmpfs',
        '/t:size=1m',
        'base:1',
        'sh',
        '-c',
        script,
      );
      expect(result).toMatchObject({ exitCode: 2, stdout: 'from the host\nx\ny\n' });
      expect(readFileSync(join(directory, 'in'), 'utf8')).toBe('from the host');
      expect(await cli.get(...run, '-v', 'kept:/v', 'base:1', 'cat', '/v/file')).toBe('x');
      expect(await cli.get('volume', 'ls', '-q')).toBe('kept');
      expect(await cli.get('volume', 'inspect', '-f', '{{.Driver}} {{.Name}}', 'kept')).toBe('local kept');
      expect(await cli.get('volume', 'rm', 'kept')).toBe('kept');
      expect(await cli.get('volume', 'ls', '-q')).toBe('');
    });

    test('writes the id to a file that is not there yet', async () => {
      const file = join(place.directory, 'cid');
      expect(await cli.run('run', '--rm', '--network', 'none', '--cidfile', file, 'base:1', 'true')).toMatchObject({
        exitCode: 0,
      });
      expect(readFileSync(file, 'utf8')).toMatch(/^[0-9a-f]{64}$/);
      expect(await cli.run('run', '--rm', '--network', 'none', '--cidfile', file, 'base:1', 'true')).toMatchObject({
        exitCode: 125,
      });
    });

    test('a flag that is not known is told as Docker tells it', async () => {
      expect(await cli.run('run', '--foo')).toEqual({
        exitCode: 125,
        stdout: '',
        stderr:
          "unknown flag: --foo\n\nUsage:  tscontainer run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\nRun 'tscontainer run --help' for more information\n",
      });
    });
  });

  describe('a container that is run in the background', () => {
    test('is listed, executed in, logged, inspected, stopped, started again and removed', async () => {
      const script = 'echo started; trap "echo bye; exit 4" TERM; while :; do sleep 0.01; done';
      const id = await cli.get(
        'run',
        '-d',
        '--name',
        'web',
        '--network',
        'none',
        '-l',
        'fleet=web',
        '-e',
        'A=1',
        'base:1',
        'sh',
        '-c',
        script,
      );
      expect(id).toMatch(/^[0-9a-f]{64}$/);

      const [head, row] = (await cli.get('ps')).split('\n') as [string, string];
      expect(head).toMatch(/^CONTAINER ID {3}IMAGE {5}COMMAND {18}CREATED +STATUS +PORTS +NAMES$/);
      expect(row).toMatch(
        new RegExp(`^${id.slice(0, 12)} {3}base:1 {4}"sh -c 'echo started…" +\\S.* ago +Up \\S.* +web$`),
      );
      expect(JSON.parse(await cli.get('ps', '--format', 'json', '-f', 'label=fleet=web'))).toMatchObject({
        ID: id.slice(0, 12),
        Names: 'web',
        State: 'running',
        Labels: expect.stringContaining('fleet=web'),
      });
      expect(await cli.get('ps', '-q', '-f', 'label=fleet=db')).toBe('');
      expect(await cli.get('ps', '-q', '--no-trunc', '-f', 'name=we', '-f', 'status=running')).toBe(id);
      expect(await cli.get('ps', '--format', '{{.Names}}/{{.Image}}')).toBe('web/base:1');

      expect(await cli.run('exec', '-e', 'B=2', '-w', '/etc', 'web', 'sh', '-c', 'echo $A $B $PWD; exit 7')).toEqual({
        exitCode: 7,
        stdout: '1 2 /etc\n',
        stderr: '',
      });
      expect(await cli.feed('abc', 'exec', '-i', id.slice(0, 8), 'cat')).toEqual({
        exitCode: 0,
        stdout: 'abc',
        stderr: '',
      });
      expect(await cli.run('exec', 'web', 'nope')).toMatchObject({
        exitCode: 127,
        stderr: expect.stringContaining('executable file not found'),
      });

      const [info] = JSON.parse(await cli.get('inspect', 'web')) as [Record<string, unknown>];
      expect(info).toMatchObject({
        Id: id,
        Name: '/web',
        Path: 'sh',
        Args: ['-c', script],
        State: { Status: 'running', Running: true, Pid: expect.any(Number), ExitCode: 0 },
        Config: { Labels: { fleet: 'web' }, Cmd: ['sh', '-c', script], Env: expect.arrayContaining(['A=1']) },
        HostConfig: { NetworkMode: 'none', AutoRemove: false },
      });
      expect(await cli.get('inspect', '-f', '{{.State.Status}} {{.Config.Image}}', 'web')).toBe('running base:1');

      expect(await cli.get('stop', 'web')).toBe('web');
      expect(await cli.get('logs', 'web')).toBe('started\nbye');
      expect(await cli.get('logs', '-t', '--tail', '1', 'web')).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z bye$/);
      expect(await cli.get('ps', '-a', '--format', '{{.Status}}')).toMatch(/^Exited \(4\) .* ago$/);
      expect(await cli.get('wait', 'web')).toBe('4');
      expect(await cli.get('ps', '-q')).toBe('');

      expect(await cli.get('start', 'web')).toBe('web');
      expect(await cli.run('rm', 'web')).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('is running') });
      expect(await cli.get('kill', '-s', 'TERM', 'web')).toBe('web');
      expect(await cli.get('wait', 'web')).toBe('4');
      expect(await cli.get('rm', 'web')).toBe('web');
      expect(await cli.get('ps', '-aq')).toBe('');
    }, 120_000);

    test('is followed in its log until it ends', async () => {
      await cli.get(
        'run',
        '-d',
        '--name',
        'talker',
        '--network',
        'none',
        'base:1',
        'sh',
        '-c',
        'echo one; echo two >&2; sleep 0.3; echo three',
      );
      expect(await cli.run('logs', '-f', 'talker')).toEqual({ exitCode: 0, stdout: 'one\nthree\n', stderr: 'two\n' });
      await cli.get('rm', 'talker');
    });

    test('is removed by the next command once it has ended, with --rm', async () => {
      await cli.get('run', '-d', '--rm', '--name', 'brief', '--network', 'none', 'base:1', 'sleep', '100');
      expect(await cli.get('ps', '-a', '--format', '{{.Names}}')).toBe('brief');
      await cli.get('kill', 'brief');
      expect(await cli.get('ps', '-aq')).toBe('');
    });

    test('is attached to, and left with its exit code', async () => {
      await cli.get(
        'run',
        '-d',
        '-i',
        '--name',
        'listener',
        '--network',
        'none',
        'base:1',
        'sh',
        '-c',
        'read line; echo "heard $line"; exit 6',
      );
      expect(await cli.feed('this\n', 'attach', 'listener')).toMatchObject({ exitCode: 6, stdout: 'heard this\n' });
      await cli.get('rm', 'listener');
    });

    test('is created first and started later, attached', async () => {
      const id = await cli.get(
        'create',
        '-i',
        '--name',
        'later',
        '--network',
        'none',
        'base:1',
        'sh',
        '-c',
        'cat; exit 5',
      );
      expect(await cli.get('ps', '-a', '--format', '{{.Status}}')).toBe('Created');
      expect(await cli.feed('input', 'start', '-ai', 'later')).toEqual({ exitCode: 5, stdout: 'input', stderr: '' });
      expect(await cli.get('rm', id)).toBe(id);
    });
  });

  test('what fails for one of several does not keep the others', async () => {
    await cli.get('create', '--name', 'one', '--network', 'none', 'base:1');
    await cli.get('create', '--name', 'two', '--network', 'none', 'base:1');
    expect(await cli.run('rm', 'one', 'missing', 'two')).toEqual({
      exitCode: 1,
      stdout: 'one\ntwo\n',
      stderr: 'tscontainer: containers.get: no such container: missing\n',
    });
    expect(await cli.run('inspect', 'missing')).toEqual({
      exitCode: 1,
      stdout: '[]\n',
      stderr: 'tscontainer: No such object: missing\n',
    });
  });

  test('what is printed at the end is printed whole, however slowly it is read', async () => {
    await cli.get('create', '--name', 'large', '--network', 'none', '-l', `long=${'x'.repeat(100_000)}`, 'base:1');
    const child = cli.start('inspect', 'large', 'large', 'large');
    // Nothing is read until more than a pipe takes has been written.
    await once(child.stdout, 'readable');
    const { stdout } = await ended(child);
    expect(JSON.parse(stdout)).toHaveLength(3);
    await cli.get('rm', 'large');
  });

  test('a stack is for whoever asks for it', async () => {
    expect((await cli.run('-D', 'rm', 'missing')).stderr).toMatch(/no such container: missing\n {4}at /);
  });

  test('images are listed, named, inspected and removed', async () => {
    const [head, row] = (await cli.get('images')).split('\n') as [string, string];
    expect(head).toMatch(/^REPOSITORY {3}TAG {7}IMAGE ID {7}CREATED +SIZE$/);
    expect(row).toMatch(/^base {9}1 {9}[0-9a-f]{12} {3}\S.* ago +[\d.]+MB$/);
    await cli.get('tag', 'base:1', 'other/name:2');
    expect(await cli.get('images', 'other/name', '--format', '{{.Repository}}:{{.Tag}}')).toBe('other/name:2');
    expect((await cli.get('images', '-q')).split('\n')).toHaveLength(1);
    const [info] = JSON.parse(await cli.get('image', 'inspect', 'base:1')) as [Record<string, unknown>];
    expect(info).toMatchObject({
      Id: expect.stringMatching(/^sha256:/),
      RepoTags: ['base:1', 'other/name:2'],
      Os: 'linux',
    });
    expect(await cli.get('rmi', 'other/name:2')).toBe('Untagged: other/name:2');
    expect(await cli.run('rmi', 'other/name:2')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('no such image'),
    });
    expect(await cli.get('image', 'prune', '-f')).toBe('Total reclaimed space: 0B');
  });

  test('a prune asks first, and takes silence for no', async () => {
    await cli.get('create', '--name', 'stays', '--network', 'none', 'base:1');
    const asked = await cli.run('container', 'prune');
    expect(asked).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('Are you sure you want to continue? [y/N]'),
    });
    expect(await cli.get('ps', '-a', '--format', '{{.Names}}')).toBe('stays');
    expect((await cli.feed('y\n', 'container', 'prune')).stdout).toContain('Deleted Containers:\n');
    expect(await cli.get('ps', '-aq')).toBe('');
  });

  test('events tell what other processes did', async () => {
    const since = new Date().toISOString();
    await cli.get(...run, '--name', 'told', 'base:1', 'true');
    const until = new Date().toISOString();
    const lines = (await cli.get('events', '--since', since, '--until', until)).split('\n');
    expect(lines.map(line => line.split(' ').slice(1, 3).join(' '))).toEqual([
      'container create',
      'container start',
      'container die',
      'container destroy',
    ]);
    expect(lines[0]).toMatch(/^\d{4}\S+Z container create [0-9a-f]{64} \(.*name=told/);
    const [die] = (
      await cli.get('events', '--since', since, '--until', until, '--format', 'json', '-f', 'event=die')
    ).split('\n') as [string];
    expect(JSON.parse(die)).toMatchObject({
      Type: 'container',
      Action: 'die',
      Actor: { Attributes: { exitCode: '0' } },
      scope: 'local',
    });
  });

  test('the machine is described', async () => {
    expect(await cli.get('info')).toMatch(/^Containers: 0\n Running: 0\n Paused: 0\n Stopped: 0\nImages: 1\n/);
    expect(await cli.get('version', '-f', '{{.Version}}')).toMatch(/^\d+\.\d+\.\d+/);
    expect(await cli.get('--version')).toMatch(/^tscontainer version \d+\.\d+\.\d+$/);
    expect(await cli.get('doctor')).toMatch(/namespaces/i);
    expect(JSON.parse(await cli.get('doctor', '--format', 'json'))).toMatchObject({
      linux: { available: true },
      namespaces: { available: true },
    });
  });
});
