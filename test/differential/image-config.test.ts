import { afterAll, beforeAll, expect } from '@jest/globals';

import { needs } from '../support/needs.js';
import type { Ask } from './ask.js';
import { baseLayer, imageConfigs } from './images.js';
import { Sides } from './sides.js';

const { describe, test } = needs('root', 'docker', 'cc');

const probe = '/bin/probe';

/** What an image may say of its command. */
const images: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  neither: {},
  command: { Cmd: [probe, 'of', 'the image'] },
  entrypoint: { Entrypoint: [probe, 'entry'] },
  both: { Entrypoint: [probe, 'entry'], Cmd: ['of', 'the image'] },
};

/** What a user may say. `[]` of an entrypoint is none, and so is `[]` of a command. */
const commands = [undefined, [], ['mine', 'too'], [probe, 'mine']];
const entrypoints = [undefined, [], [probe, 'other']];

const users = [
  '',
  'root',
  '0',
  'ada',
  '1000',
  'ada:audio',
  'ada:29',
  '1000:0',
  '1000:',
  ':audio',
  ':1000',
  'grace',
  'homeless',
  'nobody-knows',
  '4242',
  '4242:4343',
  '1003',
  '2003',
  'ada:nogroup',
  '2147483647',
  '2147483648',
  '-1',
  '0:0',
  'root:wheel',
  'daemon',
];

describe('what an image says and what a user says', () => {
  let sides: Sides;

  beforeAll(async () => {
    const base = await baseLayer();
    sides = await Sides.of([
      { tag: 'tsc-test/view:1', layers: [base], config: { Entrypoint: [probe] } },
      { tag: 'tsc-test/full:2', layers: [base], ...imageConfigs['full'] },
      ...Object.entries(images).map(([name, config]) => ({ tag: `tsc-test/say-${name}:1`, layers: [base], config })),
    ]);
  });
  afterAll(async () => sides[Symbol.asyncDispose]());

  async function agree(ask: Ask): Promise<void> {
    const { ours, theirs } = await sides.both(side => side.run(ask));
    expect({ ...ours, refused: ours.refused !== undefined }).toEqual({
      ...theirs,
      refused: theirs.refused !== undefined,
    });
  }

  for (const image of Object.keys(images)) {
    for (const entrypoint of entrypoints) {
      for (const command of commands) {
        test(`make one command: image ${image}, entrypoint ${JSON.stringify(entrypoint)}, command ${JSON.stringify(command)}`, () =>
          agree({
            image: `tsc-test/say-${image}:1`,
            ...(entrypoint === undefined ? {} : { entrypoint }),
            ...(command === undefined ? {} : { command }),
          }));
      }
    }
  }

  for (const user of users) {
    test(`make one user: ${JSON.stringify(user)}`, () => agree({ user, command: ['identity'] }));
  }

  for (const [name, ask] of Object.entries<Ask>({
    'the image alone': {},
    'other variables': { env: { C: '4', A: 'mine', PATH: '/mine' } },
    'another HOME': { env: { HOME: '/mine' } },
    'a HOSTNAME': { env: { HOSTNAME: 'mine' }, hostname: 'given' },
    'another user': { user: 'grace' },
  })) {
    test(`make one environment: ${name}`, () =>
      agree({ hostname: 'host', image: 'tsc-test/full:2', entrypoint: [probe, 'environment'], ...ask }));
  }

  for (const cwd of [
    '/',
    '/tmp',
    '/new/in/old',
    '/home/ada/new',
    '/etc/passwd',
    '/etc/passwd/below',
    '/bin/../tmp/./x',
    '/trailing/',
  ]) {
    test(`make one working directory: ${cwd}`, () => agree({ cwd, command: ['where'] }));
    test(`make one working directory: ${cwd}, as another user`, () => agree({ cwd, user: 'ada', command: ['where'] }));
  }
});
