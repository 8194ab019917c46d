import { describe, expect, test } from '@jest/globals';

import { runFlags } from '../../lib/cli/commands/run-flags.js';
import { integer, list, text, toggle } from '../../lib/cli/flags.js';
import { parseArguments } from '../../lib/cli/parse.js';

const table = {
  detach: toggle('', 'd'),
  env: list('', 'e'),
  'env-file': list(''),
  interactive: toggle('', 'i'),
  name: text(''),
  number: integer('', 'n'),
  proxy: toggle('', undefined, true),
  publish: list('', 'p'),
  tty: toggle('', 't'),
};

function parse(line: string, passThrough = true): Record<string, unknown> {
  const { flags, args, help } = parseArguments(
    table,
    line.split(' ').filter(word => word !== ''),
    { passThrough },
  );
  const given = Object.entries(flags).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(table[name as keyof typeof table].initial),
  );
  return { ...Object.fromEntries(given), args: args.join(' '), ...(help ? { help } : {}) };
}

describe('flags are read as pflag reads them', () => {
  test.each<[line: string, expected: Record<string, unknown>]>([
    ['', { args: '' }],
    ['img', { args: 'img' }],
    ['-i img', { interactive: true, args: 'img' }],
    ['-it img', { interactive: true, tty: true, args: 'img' }],
    ['-dit img sh', { detach: true, interactive: true, tty: true, args: 'img sh' }],
    ['-i=false -t img', { tty: true, args: 'img' }],
    ['-it=false img', { interactive: true, args: 'img' }],
    ['--tty img', { tty: true, args: 'img' }],
    ['--tty=true img', { tty: true, args: 'img' }],
    ['--tty=1 img', { tty: true, args: 'img' }],
    ['--tty=T --interactive=False img', { tty: true, args: 'img' }],
    ['--proxy=false img', { proxy: false, args: 'img' }],
    ['--tty false', { tty: true, args: 'false' }],
    ['--tty --tty=false img', { args: 'img' }],
    ['--name web img', { name: 'web', args: 'img' }],
    ['--name=web img', { name: 'web', args: 'img' }],
    ['--name=a=b img', { name: 'a=b', args: 'img' }],
    ['--name --tty img', { name: '--tty', args: 'img' }],
    ['--name a --name b img', { name: 'b', args: 'img' }],
    ['-p80:80 img', { publish: ['80:80'], args: 'img' }],
    ['-p 80:80 img', { publish: ['80:80'], args: 'img' }],
    ['-p=80:80 img', { publish: ['80:80'], args: 'img' }],
    ['-p 80 -p81 --publish 82 --publish=83 img', { publish: ['80', '81', '82', '83'], args: 'img' }],
    ['-eB=2 img', { env: ['B=2'], args: 'img' }],
    ['-e=B=2 img', { env: ['B=2'], args: 'img' }],
    ['-e B=2 img', { env: ['B=2'], args: 'img' }],
    ['-ite B=2 img', { interactive: true, tty: true, env: ['B=2'], args: 'img' }],
    ['-iteB=2 img', { interactive: true, tty: true, env: ['B=2'], args: 'img' }],
    ['-e A=1 -eA=2 img', { env: ['A=1', 'A=2'], args: 'img' }],
    ['-n5 img', { number: 5, args: 'img' }],
    ['-n -5 img', { number: -5, args: 'img' }],
    ['--number=+7 img', { number: 7, args: 'img' }],
    ['--env-file a --env-file=b img', { 'env-file': ['a', 'b'], args: 'img' }],
    ['-- -x --y', { args: '-x --y' }],
    ['-i -- img -t', { interactive: true, args: 'img -t' }],
    ['- x', { args: '- x' }],
    ['--help', { help: true, args: '' }],
    ['-h', { help: true, args: '' }],
  ])('%s', (line, expected) => {
    expect(parse(line)).toEqual(expected);
  });
});

describe('what follows the image belongs to the command in it', () => {
  test.each<[line: string, expected: Record<string, unknown>]>([
    ['img -t', { args: 'img -t' }],
    ['-i img sh -c x', { interactive: true, args: 'img sh -c x' }],
    ['img --name x', { args: 'img --name x' }],
    ['img --help', { args: 'img --help' }],
    ['img ls -la -- x', { args: 'img ls -la -- x' }],
  ])('%s', (line, expected) => {
    expect(parse(line)).toEqual(expected);
  });

  test('but not for commands whose arguments are all the same', () => {
    expect(parse('a -t b --name x c', false)).toEqual({ tty: true, name: 'x', args: 'a b c' });
    expect(parse('a -- -t', false)).toEqual({ args: 'a -t' });
  });
});

describe('what cannot be understood is told in the words of Docker', () => {
  test.each([
    ['--foo', 'unknown flag: --foo'],
    ['--foo=1', 'unknown flag: --foo'],
    ['--nam x', 'unknown flag: --nam'],
    ['-z', "unknown shorthand flag: 'z' in -z"],
    ['-itz x', "unknown shorthand flag: 'z' in -z"],
    ['-zit x', "unknown shorthand flag: 'z' in -zit"],
    ['--name', 'flag needs an argument: --name'],
    ['-e', "flag needs an argument: 'e' in -e"],
    ['-ite', "flag needs an argument: 'e' in -e"],
    ['--=x', 'bad flag syntax: --=x'],
    ['---x', 'bad flag syntax: ---x'],
    ['--tty=maybe', 'invalid argument "maybe" for "-t, --tty" flag: expected true or false, got "maybe"'],
    ['--proxy=', 'invalid argument "" for "--proxy" flag: expected true or false, got ""'],
    ['-n x', 'invalid argument "x" for "-n, --number" flag: "x" is no whole number'],
    ['-n 1.5', 'invalid argument "1.5" for "-n, --number" flag: "1.5" is no whole number'],
  ])('%s', (line, message) => {
    expect(() => parse(line)).toThrow(expect.objectContaining({ message, exitCode: 125 }));
  });

  test('names of things that every object has are no flags', () => {
    expect(() => parse('--constructor')).toThrow('unknown flag: --constructor');
    expect(() => parse('--toString')).toThrow('unknown flag: --toString');
  });
});

describe('the flags of run', () => {
  const run = (...argv: string[]): ReturnType<typeof parseArguments<typeof runFlags>> =>
    parseArguments(runFlags, argv, { passThrough: true });

  test('-h is the host name, not help', () => {
    expect(run('-h', 'web', 'img')).toMatchObject({ flags: { hostname: 'web' }, help: false });
  });

  test('values are read into what they mean', () => {
    const { flags, args } = run(
      '-m',
      '512m',
      '--cpus',
      '1.5',
      '--pids-limit=50',
      '-v',
      '/a:/b:ro',
      '--tmpfs',
      '/t:size=1m',
      '--sysctl',
      'net.ipv4.ip_forward=1',
      'img',
      'sh',
      '-c',
      'x',
    );
    expect(flags).toMatchObject({
      memory: 512 * 1024 * 1024,
      cpus: 1.5,
      'pids-limit': 50,
      volume: ['/a:/b:ro'],
      tmpfs: ['/t:size=1m'],
      sysctl: [['net.ipv4.ip_forward', '1']],
    });
    expect(args).toEqual(['img', 'sh', '-c', 'x']);
  });

  test.each([
    [['-m', 'abc'], `invalid argument "abc" for "-m, --memory" flag: invalid size: 'abc'`],
    [['-m', '1e'], `invalid argument "1e" for "-m, --memory" flag: invalid suffix: 'e'`],
    [['-m', '-1'], `invalid argument "-1" for "-m, --memory" flag: invalid size: '-1'`],
    [['--cpus', 'x'], 'invalid argument "x" for "--cpus" flag: failed to parse x as a rational number'],
    [['-e', '='], 'invalid argument "=" for "-e, --env" flag: invalid environment variable: ='],
    [['--label', '='], `invalid argument "=" for "-l, --label" flag: invalid label '=': empty name`],
    [['--add-host', 'x'], 'invalid argument "x" for "--add-host" flag: bad format for add-host: "x"'],
    [
      ['--mount', 'type=foo'],
      `invalid argument "type=foo" for "--mount" flag: invalid mount type 'foo': it is bind, volume, tmpfs or image`,
    ],
    [['--mount', 'type=volume'], 'invalid argument "type=volume" for "--mount" flag: target is required'],
  ])('%j', (argv, message) => {
    expect(() => run(...argv, 'img')).toThrow(expect.objectContaining({ message, exitCode: 125 }));
  });
});
