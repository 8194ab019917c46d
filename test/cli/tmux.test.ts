import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, expect } from '@jest/globals';

import { Place } from '../support/engine.js';
import { baseImage } from '../support/host.js';
import { needs } from '../support/needs.js';
import { Cli } from './cli.js';
import { Terminal } from './tmux.js';

const { describe, test } = needs('root', 'tmux', 'stty');

const main = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url));
const RAW = /-icanon/;

describe('in a real terminal', () => {
  let place: Place;
  let cli: Cli;

  beforeAll(async () => {
    place = new Place();
    const engine = await place.open();
    await (await baseImage(engine)).tag('base:1');
    cli = new Cli(place);
  });
  afterAll(async () => {
    await place[Symbol.asyncDispose]();
  });

  async function terminal(): Promise<Terminal> {
    const screen = new Terminal(place.directory, {
      TSCONTAINER_ROOT: place.root,
      TSCONTAINER_RUN_ROOT: place.runRoot,
      PATH: process.env['PATH'] ?? '',
      tsc: `${process.execPath} ${main}`,
    });
    await screen.shows(/prompt:$/);
    return screen;
  }

  /** Whoever has passed keys on as they were pressed puts the terminal back as it was. */
  async function isRestored(screen: Terminal): Promise<void> {
    screen.type('clear; stty -a; echo stty-$?', 'Enter');
    expect(await screen.shows(/stty-0/)).not.toMatch(RAW);
  }

  test('run -it: its size changes with the window, ctrl-c is the process’s, and its end gives the terminal back', async () => {
    await using screen = await terminal();
    screen.type('$tsc run -it --rm --network none base:1 sh; echo ended-$?', 'Enter');
    await screen.shows(/^#$/m);
    screen.type('stty size', 'Enter');
    await screen.shows(/^30 100$/m);
    screen.resize(77, 20);
    screen.type('until stty size | grep 77; do :; done', 'Enter');
    await screen.shows(/^20 77$/m);
    screen.type('echo sleeping; sleep 1000', 'Enter');
    await screen.shows(/^sleeping$/m);
    screen.type('C-c');
    await screen.shows(/\^C\n(\n)?#$/);
    screen.type('exit 5', 'Enter');
    await screen.shows(/ended-5/);
    await isRestored(screen);
  });

  test('who leaves by keys can attach again, and what runs inside has not noticed', async () => {
    await using screen = await terminal();
    screen.type('$tsc run -it --name stays --network none base:1 sh; echo left-$?', 'Enter');
    await screen.shows(/^#$/m);
    screen.type('variable=kept', 'Enter');
    screen.type('C-p', 'C-q');
    await screen.shows(/left-0/);
    await isRestored(screen);
    expect(await cli.get('ps', '--format', '{{.Names}} {{.State}}')).toBe('stays running');
    screen.type('clear; $tsc attach --detach-keys ctrl-a,d stays; echo left-$?', 'Enter');
    screen.type('', 'Enter');
    await screen.shows(/^#$/m);
    screen.type('echo is-$variable', 'Enter');
    await screen.shows(/^is-kept$/m);
    screen.type('C-a', 'd');
    await screen.shows(/read escape sequence\s+left-0/);
    screen.type('clear; $tsc attach stays; echo over-$?', 'Enter');
    screen.type('', 'Enter');
    await screen.shows(/^#$/m);
    screen.type('exit 4', 'Enter');
    await screen.shows(/over-4/);
    await isRestored(screen);
    await cli.get('rm', 'stays');
  });

  test('exec -it is left by keys as well, and runs on', async () => {
    await using screen = await terminal();
    await cli.get('run', '-d', '--name', 'host', '--network', 'none', 'base:1', 'sleep', '1000');
    screen.type('$tsc exec -it host sh; echo left-$?', 'Enter');
    await screen.shows(/^#$/m);
    screen.type('sleep 54321', 'Enter');
    screen.type('C-p', 'C-q');
    await screen.shows(/left-0/);
    await isRestored(screen);
    expect(await cli.get('exec', 'host', 'sh', '-c', 'cat /proc/[0-9]*/cmdline | tr "\\0" " "')).toContain(
      'sleep 54321',
    );
    await cli.get('rm', '-f', 'host');
  });

  test('a container that is killed gives the terminal back', async () => {
    await using screen = await terminal();
    screen.type('$tsc run -it --name shot --network none base:1 sh; echo ended-$?', 'Enter');
    await screen.shows(/^#$/m);
    await cli.get('kill', 'shot');
    await screen.shows(/ended-137/);
    await isRestored(screen);
    await cli.get('rm', 'shot');
  });
});
