import { afterAll, beforeAll, expect } from '@jest/globals';

import { needs } from '../support/needs.js';
import { CommandLines } from './command-lines.js';

const { describe, test } = needs('root', 'docker', 'cc');
const VOLUME = 'tsc-volumes';

/** Commands of `volume` that fail, and what both say. */
const complaints: readonly (readonly [command: string, words: RegExp])[] = [
  ['create a*b', /name/],
  ['create x', /name/],
  ['create VOLUME another', /requires at most 1 argument/],
  ['create -o foo=bar VOLUME', /option.* "foo"/],
  ['create -o type=tmpfs VOLUME', /"device"/],
  ['create -o device=tmpfs VOLUME', /"type"/],
  ['create -o type=none -o o=bind VOLUME', /"device"/],
  ['create -o size=1m VOLUME', /size/],
  ['create --label =x VOLUME', /empty name/],
  ['inspect tsc-volumes-none', /no such volume/],
  ['inspect', /requires at least 1 argument/],
  ['rm tsc-volumes-none', /no such volume/],
  ['rm', /requires at least 1 argument/],
  ['ls odd', /accepts no arguments/],
  ['ls -f odd=1', /invalid filter 'odd'/],
  ['ls -f dangling=odd', /invalid filter 'dangling=/],
  ['prune -f --filter odd=1', /invalid filter 'odd'/],
  ['prune -f --filter all=odd', /invalid filter 'all/],
  ['prune -f -a --filter all=1', /cannot specify both --all and --filter all=1/],
];

describe('volumes are the same in both', () => {
  let lines: CommandLines;
  beforeAll(async () => {
    lines = await CommandLines.of('volumes');
  });
  afterAll(async () => lines[Symbol.asyncDispose]());

  for (const [command, pattern] of complaints) {
    test(`volume ${command}: refused`, async () => {
      const words = command.split(' ').map(word => word.replace('VOLUME', VOLUME));
      const { ours, theirs } = await lines.say('volume', ...words);
      expect([ours.exitCode, ours.stdout]).toEqual([theirs.exitCode, theirs.stdout]);
      expect(theirs.stderr).toMatch(pattern);
      expect(ours.stderr).toMatch(pattern);
    });
  }
});
