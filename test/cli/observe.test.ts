import { once } from 'node:events';

import { afterAll, beforeAll, expect } from '@jest/globals';

import { Place } from '../support/engine.js';
import { baseImage } from '../support/host.js';
import { needs } from '../support/needs.js';
import { Cli, ended, said } from './cli.js';

const { describe, test } = needs('root', 'ps', 'script');
const idle = ['--network', 'none', 'base:1', 'sleep', '600'];

let place: Place;
let cli: Cli;

describe('the command line looks at containers', () => {
  beforeAll(async () => {
    place = new Place();
    const engine = await place.open();
    await (await baseImage(engine)).tag('base:1');
    cli = new Cli(place);
    await cli.get('run', '-d', '--name', 'one', '-l', 'tier=web', '-m', '64m', ...idle);
    await cli.get('run', '-d', '--name', 'two', '-v', 'data:/data', '-e', 'A=1', ...idle);
    await cli.run('run', '--name', 'failed', '--network', 'none', 'base:1', 'sh', '-c', 'echo x > /file; exit 3');
    await cli.get('create', '--name', 'fresh', '-l', 'tier=web', '-l', 'a.b.my-key=1', ...idle);
  });

  afterAll(async () => {
    await cli.run('rm', '-f', 'one', 'two', 'failed', 'fresh', 'uno');
    await cli.run('volume', 'rm', 'data');
    await place[Symbol.asyncDispose]();
  });

  const listings: readonly [argv: readonly string[], names: readonly string[]][] = [
    [[], ['two', 'one']],
    [['-a'], ['fresh', 'failed', 'two', 'one']],
    [['-n', '1'], ['fresh']],
    [['-l'], ['fresh']],
    [['-f', 'status=exited'], ['failed']],
    [
      ['-f', 'status=exited', '-f', 'status=created'],
      ['fresh', 'failed'],
    ],
    [['-a', '-f', 'exited=3'], ['failed']],
    [['-f', 'exited=3'], []],
    [['-a', '-f', 'exited=0'], []],
    [['-a', '-f', 'name=^o'], ['one']],
    [
      ['-a', '-f', 'name=/f'],
      ['fresh', 'failed'],
    ],
    [['-a', '-f', 'name=['], []],
    [
      ['-a', '-f', 'label=tier'],
      ['fresh', 'one'],
    ],
    [['-a', '-f', 'label=tier=web', '-f', 'label=a.b.my-key'], ['fresh']],
    [['-a', '-f', 'label=tier=db'], []],
    [
      ['-a', '-f', 'before=failed'],
      ['two', 'one'],
    ],
    [
      ['-a', '-f', 'since=two'],
      ['fresh', 'failed'],
    ],
    [['-a', '-f', 'volume=data'], ['two']],
    [['-a', '-f', 'volume=/data'], ['two']],
    [
      ['-a', '-f', 'network=none'],
      ['fresh', 'failed', 'two', 'one'],
    ],
    [['-a', '-f', 'network=bridge'], []],
    [
      ['-a', '-f', 'ancestor=base:1', '-f', 'health=none'],
      ['fresh', 'failed', 'two', 'one'],
    ],
    [['-a', '-f', 'ancestor=nope'], []],
    [['-a', '-f', 'health=healthy'], []],
    [['-a', '-f', 'is-task=true'], []],
    [['-a', '-f', 'publish=80'], []],
  ];
  for (const [argv, names] of listings) {
    test(`ps ${argv.join(' ')}`, async () => {
      const listed = await cli.get('ps', ...argv, '--format', '{{.Names}}');
      expect(listed.split('\n').filter(Boolean)).toEqual(names);
    });
  }

  const mistakes: readonly [filter: string, message: RegExp][] = [
    ['status=foo', /invalid value for state \(foo\): must be one of created, running/],
    ['health=foo', /invalid value for health \(foo\)/],
    ['since=nope', /no such container: nope/],
    ['foo=bar', /invalid filter 'foo'/],
    ['label', /bad format of filter/],
  ];
  for (const [filter, message] of mistakes) {
    test(`ps -f ${filter} is a mistake`, async () => {
      const { exitCode, stderr } = await cli.run('ps', '-f', filter);
      expect(exitCode).not.toBe(0);
      expect(stderr).toMatch(message);
    });
  }

  test('ps shows sizes, labels one by one, and JSON', async () => {
    expect(await cli.get('ps', '-as', '-f', 'name=failed', '--format', '{{.Size}}')).toMatch(/^2B \(virtual .*B\)$/);
    expect(await cli.get('ps', '-a', '--format', 'table {{.Names}}\t{{.Label "a.b.my-key"}}')).toMatch(
      /^NAMES {5}my key\nfresh {5}1\nfailed/,
    );
    const row = JSON.parse(await cli.get('ps', '-a', '-f', 'name=one', '--format', 'json')) as Record<string, unknown>;
    expect(row).toMatchObject({
      Names: 'one',
      State: 'running',
      Image: 'base:1',
      Platform: null,
      Size: expect.stringContaining('B'),
    });
    expect(await cli.get('ps', '-aq', '-f', 'status=exited')).toMatch(/^[0-9a-f]{12}$/);
    expect(await cli.get('ps', '-aq', '--no-trunc', '-f', 'status=exited')).toMatch(/^[0-9a-f]{64}$/);
  });

  test('stats --no-stream has a row for each that runs, or for those that were named', async () => {
    const [heading = '', ...rows] = (await cli.get('stats', '--no-stream')).split('\n');
    expect(heading).toMatch(/^CONTAINER ID +NAME +CPU % +MEM USAGE \/ LIMIT +MEM % +NET I\/O +BLOCK I\/O +PIDS$/);
    expect(rows.map(row => row.split(/\s+/)[1])).toEqual(['two', 'one']);
    const one = await cli.get(
      'stats',
      '--no-stream',
      'one',
      '--format',
      '{{.Name}} {{.MemUsage}} {{.PIDs}} {{.NetIO}}',
    );
    expect(one).toMatch(/^one [\d.]+[KM]iB \/ 64MiB 1 0B \/ 0B$/);
    expect(await cli.get('stats', '--no-stream', '-a', '--format', '{{.Name}}')).toBe('fresh\nfailed\ntwo\none');
    const none = await cli.get('stats', '--no-stream', 'failed', '--format', '{{.CPUPerc}} {{.MemUsage}}');
    expect(none).toBe('0.00% 0B / 0B');
    expect(await cli.run('stats', '--no-stream', 'nope')).toMatchObject({ exitCode: 1 });
  });

  test('stats goes on until it is interrupted, and on a terminal redraws', async () => {
    const child = cli.start('stats', '--format', '{{.Name}}', 'one');
    await said(child, 'one\none\n');
    child.kill('SIGINT');
    expect(await once(child, 'exit')).toEqual([130, null]);
    const shown = cli.terminalChild({ rows: 24, columns: 120 }, 'stats', 'one');
    await said(shown, '\u001b[J');
    shown.stdin.write('\u0003');
    await ended(shown);
  });

  test('top lists processes, with what ps is told', async () => {
    const [heading = '', row = '', ...others] = (await cli.get('top', 'one')).split('\n');
    expect(heading).toMatch(/^UID {17}PID {17}PPID/);
    expect(row).toMatch(/sleep 600$/);
    expect(others).toEqual([]);
    expect(await cli.get('top', 'one', '-o', 'pid,args')).toMatch(/^PID {17}COMMAND\n\d+ +sleep 600$/);
    expect((await cli.run('top', 'failed')).stderr).toMatch(/is exited/);
  });

  test('rename and update', async () => {
    expect(await cli.get('rename', 'one', '/uno')).toBe('');
    expect(await cli.get('ps', '-f', 'name=uno', '--format', '{{.Names}}')).toBe('uno');
    expect((await cli.run('rename', 'uno', 'two')).stderr).toMatch(/the name is in use by container/);
    expect((await cli.run('rename', 'uno', ' ')).exitCode).toBe(1);
    expect(await cli.get('rename', 'uno', 'one')).toBe('');
    expect(await cli.get('update', '-m', '96m', '--memory-swap', '-1', '--pids-limit', '77', 'one')).toBe('one');
    expect(await cli.get('stats', '--no-stream', '--format', '{{.MemUsage}}', 'one')).toMatch(/96MiB$/);
    expect((await cli.run('update', 'one')).stderr).toMatch(/must provide one or more flags/);
    expect((await cli.run('update', '-m', '4m', 'one')).exitCode).toBe(1);
    expect((await cli.run('update', '--restart', 'sometimes', 'one')).stderr).toMatch(/unknown policy 'sometimes'/);
    expect(await cli.get('update', '--restart', 'on-failure:4', 'one', 'two')).toBe('one\ntwo');
  });

  test('prune takes those that match', async () => {
    await cli.get('create', '--name', 'keep', '-l', 'keep=yes', ...idle);
    await cli.get('create', '--name', 'drop', '-l', 'drop=yes', ...idle);
    const [gone] = (await cli.get('ps', '-aq', '--no-trunc', '-f', 'name=drop')).split('\n');
    const filters = ['--filter', 'label=drop', '--filter', 'label!=keep'];
    expect(await cli.get('container', 'prune', '-f', ...filters, '--filter', 'until=10m')).not.toContain(gone);
    expect(await cli.get('container', 'prune', '-f', ...filters)).toContain(gone);
    expect((await cli.run('container', 'prune', '-f', '--filter', 'name=x')).stderr).toMatch(/invalid filter 'name'/);
    expect(await cli.get('container', 'prune', '-f')).toMatch(/Total reclaimed space: 2B/);
    expect(await cli.get('ps', '-a', '--format', '{{.Names}}')).toBe('two\none');
  });
});
