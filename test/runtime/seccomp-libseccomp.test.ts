import { afterAll, beforeAll, expect, test as jestTest } from '@jest/globals';

import { capabilityNames, capabilitySets } from '../../lib/runtime/capabilities.js';
import { defaultProfile } from '../../lib/runtime/seccomp-default.js';
import type { SeccompArgument, SeccompFilter, SeccompProfile, SeccompRule } from '../../lib/runtime/seccomp-profile.js';
import { compileSeccomp } from '../../lib/runtime/seccomp.js';
import { syscallNumbers } from '../../lib/runtime/syscalls.js';
import { runFilter } from '../support/bpf.js';
import { Libseccomp, hasLibseccomp } from '../support/libseccomp.js';
import { needs } from '../support/needs.js';

const X86_64 = 0xc000_003e;
const X86 = 0x4000_0003;
const X32 = 0x4000_003e;
const ENOSYS = 0x0005_0026;
const kernel = '6.1.0';
const test = hasLibseccomp && process.arch === 'x64' ? needs('cc').test : jestTest.skip;

let library: Libseccomp | undefined;
beforeAll(() => {
  if (hasLibseccomp && process.arch === 'x64') library = new Libseccomp();
});
afterAll(() => library?.[Symbol.dispose]());

/** The rules that count for these capabilities, as rules without conditions. */
function resolved(profile: SeccompProfile, capabilities: ReadonlySet<string>): SeccompProfile {
  const holds = (filter: SeccompFilter | undefined, all: boolean): boolean | undefined => {
    if (filter === undefined) return undefined;
    const { caps, arches } = filter;
    const answers = [
      ...(caps ?? []).map(name => capabilities.has(name)),
      ...((arches ?? []).length > 0 ? [arches?.includes('amd64') === true] : []),
      // This kernel is newer than any that a profile names.
      ...(filter.minKernel === undefined ? [] : [true]),
    ];
    return all ? answers.every(Boolean) : answers.some(Boolean);
  };
  const counts = (rule: SeccompRule): boolean =>
    holds(rule.includes, true) !== false && holds(rule.excludes, false) !== true;
  const syscalls = (profile.syscalls ?? []).filter(counts);
  return { ...profile, syscalls };
}

/** Values around those that the rules ask for. */
function interesting(profile: SeccompProfile): bigint[][] {
  const values = new Set([0n, 1n, 0xffff_ffffn, 0xffff_ffff_ffff_ffffn]);
  for (const { args } of profile.syscalls ?? []) {
    for (const { value, valueTwo = 0 } of args ?? []) {
      for (const each of [BigInt(value), BigInt(valueTwo)])
        for (const near of [each - 1n, each, each + 1n, each + (1n << 32n)]) values.add(BigInt.asUintN(64, near));
    }
  }
  return [...values].flatMap(value => [[value], [0n, value], [value, value, value, value, value, value]]);
}

/** Each call, each set of arguments: where the two do not agree. */
function differences(profile: SeccompProfile, capabilities: ReadonlySet<string>): string[] {
  if (library === undefined) throw new Error('libseccomp is not there');
  const flat = resolved(profile, capabilities);
  const ours = compileSeccomp(profile, { capabilities, arch: 'x64', kernel });
  const theirs = library.compile(flat, [X86, X32]);
  const found: string[] = [];
  let asked = 0;
  for (const [token, arch, table, base] of [
    [X86_64, X86_64, 'X86_64', 0],
    [X86, X86, 'X86', 0],
    [X32, X86_64, 'X32', 0x4000_0000],
  ] as const) {
    const all = Array.from({ length: 500 }, (_, number) => base + number);
    // What came after the library is nothing to it; what it calls by a name that we lack is nothing to us.
    const named = new Set(syscallNumbers(table).values());
    const known = library.known(token, all).filter(number => named.has(number));
    for (const number of known) {
      for (const args of interesting(flat)) {
        const [mine, its] = [ours, theirs].map(program => runFilter(program, { arch, number, args }));
        asked++;
        // runc puts ENOSYS in front for what is newer than a profile; libseccomp itself has the default.
        if (mine !== its && mine !== ENOSYS) found.push(`${table} ${number} ${args.join()}: ${mine} and not ${its}`);
      }
    }
  }
  expect(asked).toBeGreaterThan(1000);
  return found;
}

const sets: Readonly<Record<string, ReadonlySet<string>>> = {
  'Docker’s capabilities': capabilitySets().names,
  'no capabilities': new Set(),
  SYS_ADMIN: new Set(['CAP_SYS_ADMIN']),
  'all capabilities': new Set(capabilityNames),
};

for (const [name, capabilities] of Object.entries(sets)) {
  test(`the default profile with ${name} is what libseccomp makes of it, call by call`, () => {
    expect(differences(defaultProfile, capabilities)).toEqual([]);
  });
}

const one = (args: readonly SeccompArgument[]): SeccompRule => ({
  names: ['socket', 'ioctl', 'personality', 'mmap'],
  action: 'SCMP_ACT_ERRNO',
  errnoRet: 13,
  args,
});
const profiles: Readonly<Record<string, SeccompProfile>> = {
  'forbidding a few': {
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [{ names: ['chmod', 'fchmodat', 'mkdir'], action: 'SCMP_ACT_ERRNO' }],
  },
  'of every action': {
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: (['KILL', 'KILL_THREAD', 'KILL_PROCESS', 'TRAP', 'ERRNO', 'TRACE', 'LOG'] as const).map(
      (word, index) => ({
        names: [['read', 'write', 'open', 'close', 'stat', 'fstat', 'lstat'][index] ?? ''],
        action: `SCMP_ACT_${word}` as const,
        errnoRet: 77,
      }),
    ),
  },
  ...Object.fromEntries(
    (['NE', 'LT', 'LE', 'EQ', 'GE', 'GT', 'MASKED_EQ'] as const).map(word => [
      `with ${word}`,
      {
        defaultAction: 'SCMP_ACT_ALLOW' as const,
        syscalls: [one([{ index: 0, value: 0x7e02_0000, valueTwo: 0x1000_0000, op: `SCMP_CMP_${word}` as const }])],
      },
    ]),
  ),
  'forbidding what 32-bit x86 has two ways to': {
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [{ names: ['socket', 'connect', 'shmat', 'semop', 'msgctl', 'accept4'], action: 'SCMP_ACT_ERRNO' }],
  },
  'with two conditions on two arguments': {
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [
      one([
        { index: 0, value: 5, op: 'SCMP_CMP_EQ' },
        { index: 1, value: 9, op: 'SCMP_CMP_GT' },
      ]),
    ],
  },
  'with 64 bits': {
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [one([{ index: 0, value: '1311768467463790320', op: 'SCMP_CMP_GE' }])],
  },
};

for (const [name, profile] of Object.entries(profiles)) {
  test(`a profile ${name} is what libseccomp makes of it, call by call`, () => {
    const architectures = ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'];
    expect(differences({ ...profile, architectures }, new Set())).toEqual([]);
  });
}
