import { readFileSync } from 'node:fs';

import { describe, expect, test } from '@jest/globals';

import {
  capabilitiesIn,
  capabilityNames,
  capabilitySets,
  defaultCapabilities,
} from '../../lib/runtime/capabilities.js';

describe('capabilitySets', () => {
  test("the default is Docker's mask, bounding, permitted and effective alike, nothing inherited", () => {
    const sets = capabilitySets();
    // What Docker 28 shows in /proc/1/status.
    expect(sets.bounding).toBe(0xa80425fbn);
    expect([sets.permitted, sets.effective, sets.inheritable, sets.ambient]).toEqual([
      0xa80425fbn,
      0xa80425fbn,
      0n,
      0n,
    ]);
    expect(capabilitiesIn(sets.bounding).sort()).toEqual([...defaultCapabilities].sort());
  });

  test.each([
    [{ add: ['NET_ADMIN'] }, [...defaultCapabilities, 'CAP_NET_ADMIN']],
    [
      { add: ['cap_sys_time'], drop: ['chown'] },
      [...defaultCapabilities.filter(name => name !== 'CAP_CHOWN'), 'CAP_SYS_TIME'],
    ],
    [{ drop: ['ALL'] }, []],
    [{ drop: ['ALL'], add: ['KILL'] }, ['CAP_KILL']],
    [{ add: ['ALL'] }, capabilityNames],
    [{ add: ['all'], drop: ['SYS_ADMIN'] }, capabilityNames.filter(name => name !== 'CAP_SYS_ADMIN')],
    [{ add: ['CHOWN'], drop: ['CHOWN'] }, defaultCapabilities],
    [{ privileged: true, drop: ['KILL'] }, capabilityNames],
  ])('%j', (changes, expected) => {
    expect([...capabilitySets(changes, undefined, undefined, new Set(capabilityNames)).names].sort()).toEqual(
      [...expected].sort(),
    );
  });

  test('what the kernel does not know is left out', () => {
    expect(capabilitySets({ add: ['ALL'] }, 37, undefined, new Set(capabilityNames)).bounding).toBe((1n << 38n) - 1n);
  });

  test('a name that is none is refused', () => {
    expect(() => capabilitySets({ drop: ['CAP_FLY'] })).toThrow(/there is no capability "CAP_FLY"/);
  });

  test("the kernel's last capability has a name", () => {
    const last = Number(readFileSync('/proc/sys/kernel/cap_last_cap', 'utf8'));
    expect(capabilityNames.length).toBeGreaterThan(last);
  });
});
