import { constants } from 'node:os';

import { describe, expect, test } from '@jest/globals';

import { parseSignal, signalName, signalNumber } from '../../lib/runtime/signals.js';

describe('signals', () => {
  test.each([
    ['SIGTERM', 15],
    ['TERM', 15],
    ['sigusr1', 10],
    ['9', 9],
    [2, 2],
    ['SIGPOLL', 29],
    ['SIGRTMIN', 34],
    ['SIGRTMIN+3', 37],
    ['RTMAX-1', 63],
    ['64', 64],
  ])('%s is %d', (signal, number) => {
    expect(signalNumber(signal)).toBe(number);
  });

  test.each([
    '',
    'SIG',
    'SIGNOPE',
    '0',
    '65',
    '1.5',
    '-1',
    'SIGRTMIN+31',
    'SIGRTMAX-31',
    'RTMIN-1',
    1.5,
    Number.NaN,
    'toString',
  ])('%s is refused', signal => {
    expect(() => signalNumber(signal, 'container.stop')).toThrow(/^container\.stop: there is no signal/);
  });

  test('names and numbers agree with those of this kernel', () => {
    for (const [name, number] of Object.entries(constants.signals)) expect(signalNumber(name)).toBe(number);
  });

  test('every number has a name that leads back to it', () => {
    for (let number = 1; number <= 64; number++) {
      if (number !== 32 && number !== 33)
        expect(parseSignal(signalName(number))).toEqual({ number, name: signalName(number) });
    }
  });
});
