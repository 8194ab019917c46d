import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { parseChallenges } from '../../lib/registry/challenge.js';

describe('WWW-Authenticate is read', () => {
  test.each([
    [
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
      [
        [
          'bearer',
          { realm: 'https://auth.docker.io/token', service: 'registry.docker.io', scope: 'repository:a/b:pull,push' },
        ],
      ],
    ],
    ['Basic realm="Registry Realm"', [['basic', { realm: 'Registry Realm' }]]],
    ['basic', [['basic', {}]]],
    ['BEARER Realm=https://x/token , Service = y', [['bearer', { realm: 'https://x/token', service: 'y' }]]],
    [
      'Basic realm="a", Bearer realm="b"',
      [
        ['basic', { realm: 'a' }],
        ['bearer', { realm: 'b' }],
      ],
    ],
    [
      'Negotiate, Basic realm="a"',
      [
        ['negotiate', {}],
        ['basic', { realm: 'a' }],
      ],
    ],
    ['Bearer realm="a \\"quoted\\" one"', [['bearer', { realm: 'a "quoted" one' }]]],
    ['Bearer realm="a, b=c"', [['bearer', { realm: 'a, b=c' }]]],
    ['', []],
    ['"', []],
    [', ,', []],
    [
      'Bearer realm="open',
      [
        ['bearer', {}],
        ['realm', {}],
      ],
    ],
    ['Bearer __proto__="x"', [['bearer', { ['__proto__']: 'x' }]]],
  ])('%s', (line, expected) => {
    const read = parseChallenges([line]).map(({ scheme, parameters }) => [scheme, Object.entries(parameters)]);
    expect(read).toEqual(expected.map(([scheme, parameters]) => [scheme, Object.entries(parameters as object)]));
  });

  test('from several lines', () => {
    expect(parseChallenges(['Basic realm="a"', 'Bearer realm="b"']).map(c => c.scheme)).toEqual(['basic', 'bearer']);
  });

  test('and comes to an end, whatever it says', () => {
    fc.assert(
      fc.property(fc.string(), line => {
        expect(parseChallenges([line]).length).toBeLessThanOrEqual(line.length);
      }),
    );
    const before = performance.now();
    parseChallenges(['a='.repeat(8000), 'Bearer a="' + '\\"'.repeat(8000), ', '.repeat(8000) + '"']);
    expect(performance.now() - before).toBeLessThan(200);
  });
});
