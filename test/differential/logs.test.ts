import { afterAll, beforeAll, expect } from '@jest/globals';

import { needs } from '../support/needs.js';
import { baseLayer } from './images.js';
import { Sides } from './sides.js';

const { describe, test } = needs('root', 'docker', 'cc');

const hex = (text: string): string => Buffer.from(text).toString('hex');
const KIB16 = 16 * 1024;

/** What is written, as the probe takes it: hexadecimal, with a number of times before it. */
const outputs: Readonly<Record<string, readonly string[]>> = {
  'a line': [hex('hello\n')],
  'a line without its end': [hex('hello')],
  'nothing at all': [],
  'empty lines': [hex('\n\n\n')],
  'control characters': [Buffer.from(Array.from({ length: 32 }, (_, code) => code)).toString('hex'), '7f', hex('\n')],
  'what HTML and JSON care about': [hex('<a href="x">&amp;\\ / \' ` </a>\n')],
  'line separators of Unicode': [hex('a\u2028b\u2029c\u0085d\n')],
  'all scripts': [hex('ünïcødé 日本語 😀 \u{10ffff} \ufeff \ufffd\n')],
  'bytes that are no UTF-8': [
    '80',
    'c0af',
    'e28082',
    'e280',
    'f0908080',
    'f4908080',
    'eda080',
    'fffe',
    'c3',
    hex('\n'),
    'c3',
  ],
  'carriage returns': [hex('a\r\nb\rc\n\r\n')],
  'a line of 16 KiB': [`${KIB16}x${hex('x')}`, hex('\n')],
  'a line of 16 KiB less one': [`${KIB16 - 1}x${hex('x')}`, hex('\n')],
  'a line of 16 KiB and one': [`${KIB16 + 1}x${hex('x')}`, hex('\n')],
  'a line of 50 KiB': [`${50 * 1024}x${hex('y')}`, hex('\n'), hex('short\n')],
  'a line of 32 KiB without its end': [`${2 * KIB16}x${hex('z')}`],
  'a character over the edge of 16 KiB': [hex('x'), `${KIB16}x${hex('é')}`, hex('\n')],
  'many lines': [`5000x${hex('line of text\n')}`],
};

describe('the log file of a container is the same in both, but for the times', () => {
  let sides: Sides;

  beforeAll(async () => {
    sides = await Sides.of([
      { tag: 'tsc-test/logs:1', layers: [await baseLayer()], config: { Entrypoint: ['/bin/probe'] } },
    ]);
  });
  afterAll(async () => sides[Symbol.asyncDispose]());

  for (const [name, words] of Object.entries(outputs)) {
    test(`with ${name}`, async () => {
      const { ours, theirs } = await sides.both(side => side.log({ command: ['stdout', ...words] }));
      expect(ours.split('\n')).toEqual(theirs.split('\n'));
    });
  }

  test('with standard error', async () => {
    const { ours, theirs } = await sides.both(side => side.log({ command: ['stderr', hex('oh\nno')] }));
    expect(ours).toBe(theirs);
  });

  test('with a terminal', async () => {
    const { ours, theirs } = await sides.both(side =>
      side.log({ command: ['stdout', hex('a\nb\tc\n\x1b[1mbold\n')], tty: true }),
    );
    expect(ours).toBe(theirs);
  });
});
