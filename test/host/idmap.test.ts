import { describe, expect, test } from '@jest/globals';

import { describeIds, hostId, parseSubordinate, rootMap } from '../../lib/host/idmap.js';

describe('subordinate ids', () => {
  test('belong to a name or an id; other lines are passed over', () => {
    const text = 'ann:100000:65536\nbob:165536:65536\n1000:300000:10\nann:x:1\nann:5:0\n# ann\nann:1\n';
    expect(parseSubordinate(text, 'ann', 1000)).toEqual([
      { start: 100000, count: 65536 },
      { start: 300000, count: 10 },
    ]);
    expect(parseSubordinate(text, 'eve', 7)).toEqual([]);
  });

  test('follow the user, who is root inside', () => {
    const map = rootMap(1000, [
      { start: 100000, count: 10 },
      { start: 200000, count: 5 },
    ]);
    expect(map).toEqual([
      { container: 0, host: 1000, size: 1 },
      { container: 1, host: 100000, size: 10 },
      { container: 11, host: 200000, size: 5 },
    ]);
    expect([0, 1, 10, 11, 15, 16].map(id => hostId(map, id))).toEqual([
      1000,
      100000,
      100009,
      200000,
      200004,
      undefined,
    ]);
  });
});

describe('describeIds', () => {
  test('root needs no map; whoever has one id only is told how to get more', () => {
    const ids = describeIds();
    if (process.geteuid?.() === 0) expect(ids).toEqual({ kind: 'root' });
    else if (ids.kind === 'single') expect(ids.remedy).not.toBe('');
    else expect(ids.kind).toBe('subordinate');
  });
});
