import { readFileSync } from 'node:fs';

import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { capabilitySets } from '../../lib/runtime/capabilities.js';
import { defaultProfile } from '../../lib/runtime/seccomp-default.js';
import { parseSeccompProfile } from '../../lib/runtime/seccomp-profile.js';
import type { SeccompArgument, SeccompOperator, SeccompProfile } from '../../lib/runtime/seccomp-profile.js';
import { compileSeccomp } from '../../lib/runtime/seccomp.js';
import { X32_BIT, syscallNumbers } from '../../lib/runtime/syscalls.js';
import type { SyscallArch } from '../../lib/runtime/syscalls.js';
import { runFilter } from '../support/bpf.js';

const ALLOW = 0x7fff0000;
const KILL = 0x80000000;
const errno = (number: number): number => 0x50000 + number;
const [EPERM, ENOSYS] = [errno(1), errno(38)];
const audit: Record<SyscallArch, number> = {
  X86_64: 0xc000003e,
  X32: 0xc000003e,
  X86: 0x40000003,
  AARCH64: 0xc00000b7,
};
const kernel = '6.1.0';

function compile(
  profile: SeccompProfile,
  names: Iterable<string> = capabilitySets().names,
  arch: 'x64' | 'arm64' = 'x64',
): Buffer {
  return compileSeccomp(profile, { capabilities: new Set(names), arch, kernel });
}

/** The verdict on a call by name. */
function ask(program: Buffer, arch: SyscallArch, name: string, ...args: bigint[]): number {
  const number = syscallNumbers(arch).get(name);
  if (number === undefined) throw new RangeError(`${arch} has no ${name}`);
  return runFilter(program, { arch: audit[arch], number, args });
}

const deny = (syscalls: SeccompProfile['syscalls'], rest: Partial<SeccompProfile> = {}): SeccompProfile => ({
  defaultAction: 'SCMP_ACT_ERRNO',
  ...rest,
  syscalls: syscalls ?? [],
});

describe('tables of system calls', () => {
  test.each<[SyscallArch, string, number]>([
    ['X86_64', 'read', 0],
    ['X86_64', 'rseq', 334],
    ['X86_64', 'uretprobe', 335],
    ['X86_64', 'mseal', 462],
    ['X86', 'restart_syscall', 0],
    ['X86', 'socketcall', 102],
    ['X86', 'clock_gettime64', 403],
    ['X32', 'read', X32_BIT],
    ['X32', 'execve', X32_BIT + 520],
    ['AARCH64', 'io_setup', 0],
    ['AARCH64', 'openat', 56],
    ['AARCH64', 'clone3', 435],
  ])('%s %s is %d', (arch, name, number) => {
    expect(syscallNumbers(arch).get(name)).toBe(number);
  });

  test('no two names share a number', () => {
    for (const arch of ['X86_64', 'X32', 'X86', 'AARCH64'] as const) {
      const numbers = [...syscallNumbers(arch).values()];
      expect(new Set(numbers).size).toBe(numbers.length);
    }
  });
});

describe('the default profile', () => {
  const program = compile(defaultProfile);

  test.each<[SyscallArch, string, bigint[], number]>([
    ['X86_64', 'read', [], ALLOW],
    ['X86_64', 'openat2', [], ALLOW],
    ['X86_64', 'mount', [], EPERM],
    ['X86_64', 'unshare', [], EPERM],
    ['X86_64', 'setns', [], EPERM],
    ['X86_64', 'keyctl', [], EPERM],
    ['X86_64', 'io_uring_setup', [], EPERM],
    ['X86_64', 'kexec_load', [], EPERM],
    ['X86_64', 'bpf', [], EPERM],
    ['X86_64', 'chroot', [], ALLOW],
    ['X86_64', 'arch_prctl', [], ALLOW],
    ['X86_64', 'ptrace', [], ALLOW],
    ['X86_64', 'clone3', [], ENOSYS],
    ['X86_64', 'clone', [0x1200011n], ALLOW],
    ['X86_64', 'clone', [0x10000000n], EPERM],
    ['X86_64', 'clone', [0x20000n], EPERM],
    ['X86_64', 'clone', [0x1_0000_0000n], ALLOW],
    ['X86_64', 'personality', [0n], ALLOW],
    ['X86_64', 'personality', [0xffffffffn], ALLOW],
    ['X86_64', 'personality', [1n], EPERM],
    ['X86_64', 'personality', [0x1_0000_0000n], EPERM],
    ['X86_64', 'socket', [2n], ALLOW],
    ['X86_64', 'socket', [40n], EPERM],
    ['X86', 'read', [], ALLOW],
    ['X86', 'socketcall', [], ALLOW],
    ['X86', 'mount', [], EPERM],
    ['X86', 'personality', [0xffffffffn], ALLOW],
    ['X32', 'read', [], ALLOW],
    ['X32', 'mount', [], EPERM],
  ])('%s %s(%s)', (arch, name, args, verdict) => {
    expect(ask(program, arch, name, ...args)).toBe(verdict);
  });

  test('what is newer than the profile answers ENOSYS, what lies between EPERM', () => {
    expect(runFilter(program, { arch: audit.X86_64, number: 467 })).toBe(ENOSYS);
    expect(runFilter(program, { arch: audit.X86_64, number: 0x3fffffff })).toBe(ENOSYS);
    expect(runFilter(program, { arch: audit.X86_64, number: 400 })).toBe(EPERM);
    expect(runFilter(program, { arch: audit.X86, number: 5000 })).toBe(ENOSYS);
    expect(runFilter(program, { arch: audit.X86_64, number: 0xffffffff })).toBe(ENOSYS);
  });

  test('another architecture kills', () => {
    expect(runFilter(program, { arch: audit.AARCH64, number: 0 })).toBe(KILL);
    expect(runFilter(compile(defaultProfile, [], 'arm64'), { arch: audit.X86_64, number: 0 })).toBe(KILL);
    expect(runFilter(compile(deny([])), { arch: audit.X86, number: 0 })).toBe(KILL);
    expect(
      runFilter(compile(deny([{ names: ['read'], action: 'SCMP_ACT_ALLOW' }])), {
        arch: audit.X86_64,
        number: X32_BIT,
      }),
    ).toBe(KILL);
  });

  test('a capability opens what belongs to it', () => {
    const admin = compile(defaultProfile, ['CAP_SYS_ADMIN']);
    expect(ask(admin, 'X86_64', 'mount')).toBe(ALLOW);
    expect(ask(admin, 'X86_64', 'clone', 0x10000000n)).toBe(ALLOW);
    expect(ask(admin, 'X86_64', 'clone3')).toBe(ALLOW);
    expect(ask(admin, 'X86_64', 'chroot')).toBe(EPERM);
    expect(ask(compile(defaultProfile, ['CAP_BPF'], 'arm64'), 'AARCH64', 'bpf')).toBe(ALLOW);
  });

  test('ptrace is closed before Linux 4.8', () => {
    const old = compileSeccomp(defaultProfile, { capabilities: new Set(), arch: 'x64', kernel: '4.7.10-generic' });
    expect(ask(old, 'X86_64', 'ptrace')).toBe(EPERM);
  });

  test('is short, and every jump of it is within the kernel’s limits', () => {
    expect(program.length / 8).toBeLessThan(500);
  });
});

// Docker's own file is not ours to keep; whoever has it can compare: TSCONTAINER_TEST_MOBY_PROFILE=…/seccomp/default.json
const moby = process.env['TSCONTAINER_TEST_MOBY_PROFILE'];
(moby === undefined ? describe.skip : describe)("Docker's default.json", () => {
  const theirs = parseSeccompProfile(
    readFileSync(moby ?? '/dev/null', 'utf8') || '{"defaultAction":"SCMP_ACT_ALLOW"}',
    'default.json',
  );
  const each = [
    'CAP_SYS_ADMIN',
    'CAP_SYS_PTRACE',
    'CAP_SYSLOG',
    'CAP_BPF',
    'CAP_PERFMON',
    'CAP_SYS_TIME',
    'CAP_SYS_NICE',
    'CAP_DAC_READ_SEARCH',
  ];
  const sets = [
    [],
    [...capabilitySets().names],
    ...each.map(name => [name]),
    [...capabilitySets({ privileged: true }).names],
  ];

  test.each(['x64', 'arm64'] as const)('says the same about every call on %s', arch => {
    for (const names of sets) {
      const [ours, other] = [compile(defaultProfile, names, arch), compile(theirs, names, arch)];
      for (const abi of arch === 'x64' ? (['X86_64', 'X86', 'X32'] as const) : (['AARCH64'] as const)) {
        for (let index = 0; index < 600; index++) {
          const number = index + (abi === 'X32' ? X32_BIT : 0);
          for (const value of [
            0n,
            1n,
            2n,
            8n,
            0x20000n,
            0x20008n,
            40n,
            0xffffffffn,
            0x10000000n,
            0x1200011n,
            0x1_0000_0028n,
          ]) {
            const call = { arch: audit[abi], number, args: [value] };
            if (runFilter(ours, call) !== runFilter(other, call)) {
              throw new Error(
                `${abi} ${number}(${value}) with ${names.join()}: ${runFilter(ours, call)}, Docker says ${runFilter(other, call)}`,
              );
            }
          }
        }
      }
    }
  });
});

describe('compileSeccomp', () => {
  test.each<[SeccompOperator, (a: bigint, value: bigint, two: bigint) => boolean]>([
    ['SCMP_CMP_EQ', (a, value) => a === value],
    ['SCMP_CMP_NE', (a, value) => a !== value],
    ['SCMP_CMP_LT', (a, value) => a < value],
    ['SCMP_CMP_LE', (a, value) => a <= value],
    ['SCMP_CMP_GT', (a, value) => a > value],
    ['SCMP_CMP_GE', (a, value) => a >= value],
    ['SCMP_CMP_MASKED_EQ', (a, mask, two) => (a & mask) === (two & mask)],
  ])('%s compares all 64 bits', (op, holds) => {
    const interesting = [
      0n,
      1n,
      0xffffffffn,
      0x100000000n,
      0x100000001n,
      0x1ffffffffn,
      0xffffffff00000000n,
      0xffffffffffffffffn,
    ];
    const word = fc.oneof(fc.constantFrom(...interesting), fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }));
    fc.assert(
      fc.property(word, word, word, fc.nat(5), (value, two, a, index) => {
        const argument: SeccompArgument = { index, value: String(value), valueTwo: String(two), op };
        const program = compile(deny([{ names: ['ioctl'], action: 'SCMP_ACT_ALLOW', args: [argument] }]));
        const args = Array.from({ length: 6 }, (_, at) => (at === index ? a : ~a & 0xffffffffffffffffn));
        expect(ask(program, 'X86_64', 'ioctl', ...args)).toBe(holds(a, value, two) ? ALLOW : EPERM);
      }),
      { numRuns: 40, endOnFailure: true },
    );
  });

  test('any set of calls comes out as it went in, however far the jumps', () => {
    const names = [...syscallNumbers('X86_64').keys()];
    const actions = ['SCMP_ACT_ALLOW', 'SCMP_ACT_LOG', 'SCMP_ACT_TRAP', 'SCMP_ACT_KILL_PROCESS'] as const;
    const verdicts = {
      SCMP_ACT_ALLOW: ALLOW,
      SCMP_ACT_LOG: 0x7ffc0000,
      SCMP_ACT_TRAP: 0x30000,
      SCMP_ACT_KILL_PROCESS: KILL,
    };
    const choice = fc.record({
      action: fc.constantFrom(...actions),
      values: fc.array(fc.nat(0xffff), { maxLength: 4 }),
    });
    fc.assert(
      fc.property(fc.array(choice, { minLength: names.length, maxLength: names.length }), choices => {
        const program = compile(
          deny(
            names.flatMap((name, index) => {
              const { action = 'SCMP_ACT_ALLOW', values = [] } = choices[index] ?? {};
              if (values.length === 0) return [{ names: [name], action }];
              return values.map(value => ({
                names: [name],
                action,
                args: [{ index: 1, value, op: 'SCMP_CMP_EQ' as const }],
              }));
            }),
          ),
        );
        for (const [index, name] of names.entries()) {
          const { action = 'SCMP_ACT_ALLOW', values = [] } = choices[index] ?? {};
          for (const value of values) expect(ask(program, 'X86_64', name, 0n, BigInt(value))).toBe(verdicts[action]);
          expect(ask(program, 'X86_64', name, 0n, 0x1_0000n)).toBe(values.length === 0 ? verdicts[action] : EPERM);
        }
      }),
      { numRuns: 3, endOnFailure: true },
    );
  });

  test('conditions of one rule hold together, two on the same argument each by itself', () => {
    const both: SeccompArgument[] = [
      { index: 0, value: 1, op: 'SCMP_CMP_EQ' },
      { index: 1, value: 2, op: 'SCMP_CMP_EQ' },
    ];
    const together = compile(deny([{ names: ['ioctl'], action: 'SCMP_ACT_ALLOW', args: both }]));
    expect([ask(together, 'X86_64', 'ioctl', 1n, 2n), ask(together, 'X86_64', 'ioctl', 1n, 3n)]).toEqual([
      ALLOW,
      EPERM,
    ]);
    const same = both.map(argument => ({ ...argument, index: 0 }));
    const either = compile(deny([{ names: ['ioctl'], action: 'SCMP_ACT_ALLOW', args: same }]));
    expect([1n, 2n, 3n].map(value => ask(either, 'X86_64', 'ioctl', value))).toEqual([ALLOW, ALLOW, EPERM]);
  });

  test('a rule without conditions wins, wherever it stands', () => {
    const args: SeccompArgument[] = [{ index: 0, value: 1, op: 'SCMP_CMP_EQ' }];
    const some = { names: ['ioctl'], action: 'SCMP_ACT_LOG' as const, args };
    const all = { names: ['ioctl'], action: 'SCMP_ACT_ALLOW' as const };
    for (const syscalls of [
      [some, all],
      [all, some],
    ]) {
      expect(ask(compile(deny(syscalls)), 'X86_64', 'ioctl', 1n)).toBe(ALLOW);
    }
  });

  test('a permissive profile lets through what it does not know', () => {
    const program = compile({
      defaultAction: 'SCMP_ACT_ALLOW',
      syscalls: [{ names: ['mount', 'no_such_call'], action: 'SCMP_ACT_ERRNO', errnoRet: 13 }],
    });
    expect(ask(program, 'X86_64', 'mount')).toBe(errno(13));
    expect(ask(program, 'X86_64', 'read')).toBe(ALLOW);
    expect(runFilter(program, { arch: audit.X86_64, number: 9999 })).toBe(ALLOW);
  });

  test('an architecture without a table is not supported', () => {
    expect(() => compileSeccomp(defaultProfile, { capabilities: new Set(), arch: 'riscv64' as 'x64' })).toThrow(
      expect.objectContaining({ code: 'CTR_UNSUPPORTED', feature: 'seccomp' }),
    );
  });
});

describe('parseSeccompProfile', () => {
  test('values of 64 bits keep all of them', () => {
    const profile = parseSeccompProfile(
      '{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"name":"ioctl","action":"SCMP_ACT_ALLOW","args":[{"index":1,"value":18446744073709551615,"op":"SCMP_CMP_EQ"}]}]}',
      'p.json',
    );
    const program = compile(profile);
    expect(ask(program, 'X86_64', 'ioctl', 0n, 0xffffffffffffffffn)).toBe(ALLOW);
    expect(ask(program, 'X86_64', 'ioctl', 0n, 0xfffffffffffffffen)).toBe(EPERM);
  });

  test.each([
    ['{', 'is not JSON'],
    ['[]', 'the profile: expected an object'],
    ['{}', 'defaultAction: there is no action nothing'],
    ['{"defaultAction":"SCMP_ACT_NOTIFY"}', 'SCMP_ACT_NOTIFY is not supported'],
    ['{"defaultAction":"SCMP_ACT_ALLOW","syscalls":{}}', 'syscalls: expected a list'],
    [
      '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":[1],"action":"SCMP_ACT_ALLOW"}]}',
      'syscalls[0].names[0]: expected text',
    ],
    [
      '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"a","names":["b"],"action":"SCMP_ACT_ALLOW"}]}',
      'name and names exclude each other',
    ],
    [
      '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"ALLOW"}]}',
      'syscalls[0].action: there is no action "ALLOW"',
    ],
    [
      '{"defaultAction":"SCMP_ACT_ALLOW","defaultErrnoRet":5000}',
      'defaultErrnoRet: expected an errno from 0 to 4095, got 5000',
    ],
    [
      '{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],"archMap":[{"architecture":"SCMP_ARCH_X86_64"}]}',
      'exclude each other',
    ],
    [
      '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_LOG","args":[{"index":6,"op":"SCMP_CMP_EQ"}]}]}',
      'expected 0 to 5',
    ],
    [
      '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_LOG","args":[{"index":0,"op":"EQ"}]}]}',
      'there is no operator "EQ"',
    ],
    [
      '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_LOG","includes":{"minKernel":"new"}}]}',
      'expected a version like 4.8',
    ],
  ])('%s', (text, reason) => {
    expect(() => parseSeccompProfile(text, 'p.json')).toThrow(
      expect.objectContaining({ code: 'CTR_PARSE', source: 'p.json', message: expect.stringContaining(reason) }),
    );
  });
});
