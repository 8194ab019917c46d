import { release } from 'node:os';

import { UnsupportedError } from '../errors.js';
import { Assembler } from './bpf.js';
import type { Label } from './bpf.js';
import { checkSeccompProfile } from './seccomp-profile.js';
import type { SeccompAction, SeccompArgument, SeccompProfile, SeccompRule } from './seccomp-profile.js';
import { X32_BIT, multiplexed, syscallNumbers } from './syscalls.js';
import type { SyscallArch } from './syscalls.js';

export interface SeccompOptions {
  /** The names in the container's bounding set. */
  readonly capabilities: ReadonlySet<string>;
  /** Default: this process's. */
  readonly arch?: 'x64' | 'arm64';
  /** Default: this kernel's release. */
  readonly kernel?: string;
  readonly call?: string;
}

/** `SECCOMP_FILTER_FLAG_SPEC_ALLOW`: what runc sets when a profile says nothing; Linux 5.16 does so by itself. */
export const SECCOMP_FLAGS = 4;

const natives = {
  x64: { go: 'amd64', scmp: 'X86_64' },
  arm64: { go: 'arm64', scmp: 'AARCH64' },
} as const;

/** What `struct seccomp_data` calls them: `AUDIT_ARCH_…` of linux/audit.h. */
const audit: Readonly<Record<Exclude<SyscallArch, 'X32'>, number>> = {
  X86_64: 0xc000_003e,
  X86: 0x4000_0003,
  AARCH64: 0xc000_00b7,
};

const verdicts: Readonly<Record<SeccompAction, number>> = {
  SCMP_ACT_KILL: 0,
  SCMP_ACT_KILL_THREAD: 0,
  SCMP_ACT_KILL_PROCESS: 0x8000_0000,
  SCMP_ACT_TRAP: 0x0003_0000,
  SCMP_ACT_ERRNO: 0x0005_0000,
  SCMP_ACT_TRACE: 0x7ff0_0000,
  SCMP_ACT_LOG: 0x7ffc_0000,
  SCMP_ACT_ALLOW: 0x7fff_0000,
};

const EPERM = 1;
const ENOSYS = 38;
// Offsets in struct seccomp_data.
const NUMBER = 0;
const ARCH = 4;
const ARGUMENTS = 16;

/**
 * Compiles a profile to the BPF program that the helper loads: `struct sock_filter[]`, little endian.
 *
 * As libseccomp and runc do it: names that an architecture does not have are passed over; a rule without conditions wins
 * over those with; conditions on the same call are tried in order; call numbers above the highest that the profile names
 * answer `ENOSYS`, so that programs fall back from what is newer than the profile. A call of an architecture that the
 * profile does not list, or for which there is no table here (32-bit Arm), kills its process.
 *
 * @throws {@link ParseError} for what is no profile.
 * @throws {@link UnsupportedError} on an architecture without a table.
 */
export function compileSeccomp(given: SeccompProfile, options: SeccompOptions): Buffer {
  const call = options.call ?? 'containers.create';
  // It may come from a user who has no types.
  const profile = checkSeccompProfile(given, 'seccomp', call);
  const arch = options.arch ?? process.arch;
  if (arch !== 'x64' && arch !== 'arm64') {
    throw new UnsupportedError({
      call,
      feature: 'seccomp',
      reason: `there is no table of system calls for ${arch}. Pass seccomp: 'unconfined'`,
    });
  }
  const native = natives[arch];
  const rules = (profile.syscalls ?? []).filter(rule => counts(rule, native.go, options));
  const listed = architectures(profile, native.scmp);
  const assembler = new Assembler();
  const sections: [arch: number, start: Label][] = [];
  // What is written last lies next to the start of the program: the native calls.
  if (listed.has('X86')) sections.push([audit.X86, section(assembler, profile, rules, ['X86'])]);
  let otherwise = assembler.return(verdicts.SCMP_ACT_KILL_PROCESS);
  for (const [number, start] of sections) otherwise = assembler.jump('eq', number, start, otherwise);
  const own: readonly SyscallArch[] = listed.has('X32') ? [native.scmp, 'X32'] : [native.scmp];
  const start = section(assembler, profile, rules, own);
  assembler.load(ARCH, assembler.jump('eq', audit[native.scmp], start, otherwise));
  return assembler.finish(call);
}

function counts(rule: SeccompRule, arch: string, options: SeccompOptions): boolean {
  const { includes = {}, excludes = {} } = rule;
  const has = (name: string): boolean => options.capabilities.has(name);
  const atLeast = (minimum: string): boolean => isAtLeast(options.kernel ?? release(), minimum);
  if (includes.arches?.length && !includes.arches.includes(arch)) return false;
  if (!(includes.caps ?? []).every(has)) return false;
  if (includes.minKernel !== undefined && !atLeast(includes.minKernel)) return false;
  if (excludes.arches?.includes(arch) || excludes.caps?.some(has)) return false;
  return excludes.minKernel === undefined || !atLeast(excludes.minKernel);
}

function isAtLeast(kernel: string, minimum: string): boolean {
  const [major = 0, minor = 0] = kernel.split('.').map(part => parseInt(part, 10));
  const [wantMajor = 0, wantMinor = 0] = minimum.split('.').map(Number);
  return major > wantMajor || (major === wantMajor && minor >= wantMinor);
}

/** The native one and those that may run beside it, without `SCMP_ARCH_`. */
function architectures(profile: SeccompProfile, native: string): ReadonlySet<string> {
  const short = (name: string): string => name.replace(/^SCMP_ARCH_/, '');
  const entry = profile.archMap?.find(({ architecture }) => short(architecture) === native);
  return new Set([native, ...(profile.architectures ?? []).map(short), ...(entry?.subArchitectures ?? []).map(short)]);
}

/** What is to happen to a call: a verdict, or conditions in order and a verdict when none holds. */
type Outcome = number | Conditional;

interface Conditional {
  readonly alternatives: readonly { readonly all: readonly SeccompArgument[]; readonly verdict: number }[];
  readonly otherwise: number;
  /** Arguments are compared as 32 bits. */
  readonly narrow: boolean;
}

/** From this number on, up to the next range. */
interface Range {
  readonly first: number;
  readonly outcome: Outcome;
}

/** The part of the program for one architecture number: loads the call's number and searches for it. */
function section(
  assembler: Assembler,
  profile: SeccompProfile,
  rules: readonly SeccompRule[],
  arches: readonly SyscallArch[],
): Label {
  const ranges: Range[] = [];
  for (const arch of arches) addRanges(ranges, profile, rules, arch);
  if (arches.includes('X86_64') && !arches.includes('X32')) addRange(ranges, X32_BIT, verdicts.SCMP_ACT_KILL_PROCESS);
  return assembler.load(NUMBER, search(assembler, ranges, 0, ranges.length));
}

/** All numbers of an architecture, without gaps, from its lowest; neighbours with the same verdict are one range. */
function addRanges(ranges: Range[], profile: SeccompProfile, rules: readonly SeccompRule[], arch: SyscallArch): void {
  const fallback = verdictOf(profile.defaultAction, profile.defaultErrnoRet);
  const lowest = arch === 'X32' ? X32_BIT : 0;
  const outcomes = outcomesOf(rules, arch, fallback);
  let next = lowest;
  for (const number of [...outcomes.keys()].sort((a, b) => a - b)) {
    if (number > next) addRange(ranges, next, fallback);
    addRange(ranges, number, outcomes.get(number) ?? fallback);
    next = number + 1;
  }
  const permissive = profile.defaultAction === 'SCMP_ACT_ALLOW' || profile.defaultAction === 'SCMP_ACT_LOG';
  const unknown = permissive ? undefined : highestNamed(profile, arch);
  if (unknown === undefined) return addRange(ranges, next, fallback);
  if (unknown >= next) addRange(ranges, next, fallback);
  addRange(ranges, unknown + 1, verdicts.SCMP_ACT_ERRNO + ENOSYS);
}

function addRange(ranges: Range[], first: number, outcome: Outcome): void {
  if (ranges.at(-1)?.outcome !== outcome) ranges.push({ first, outcome });
}

/** Also of rules that do not count here: their authors knew these calls. */
function highestNamed(profile: SeccompProfile, arch: SyscallArch): number | undefined {
  const numbers = syscallNumbers(arch);
  let highest = -1;
  for (const rule of profile.syscalls ?? []) {
    for (const name of rule.names) highest = Math.max(highest, numbers.get(name) ?? -1);
  }
  return highest < 0 ? undefined : highest;
}

function outcomesOf(rules: readonly SeccompRule[], arch: SyscallArch, fallback: number): Map<number, Outcome> {
  const numbers = syscallNumbers(arch);
  const found = new Map<number, Outcome>();
  for (const rule of rules) {
    const verdict = verdictOf(rule.action, rule.errnoRet);
    // As runc: a rule that says what happens anyway is no rule.
    if (verdict === fallback) continue;
    const conditions = splitConditions(rule.args ?? []);
    const add = (number: number | undefined, sets: readonly (readonly SeccompArgument[])[]): void => {
      if (number === undefined) return;
      const alternatives = sets.map(all => ({ all, verdict }));
      const before = found.get(number);
      if (alternatives.length === 0) found.set(number, verdict);
      else if (before === undefined)
        found.set(number, { alternatives, otherwise: fallback, narrow: arch === 'X86' || arch === 'X32' });
      else if (typeof before === 'object')
        found.set(number, { ...before, alternatives: [...before.alternatives, ...alternatives] });
    };
    for (const name of rule.names) {
      add(numbers.get(name), conditions);
      const way = arch === 'X86' ? multiplexed(name) : undefined;
      if (way === undefined) continue;
      // As libseccomp: in the place of a condition on the first argument there is which call is meant.
      const which: SeccompArgument = { index: 0, value: way.value, op: 'SCMP_CMP_EQ' };
      const others = conditions.length === 0 ? [[]] : conditions;
      add(
        numbers.get(way.call),
        others.map(all => [which, ...all.filter(({ index }) => index !== 0)]),
      );
    }
  }
  return found;
}

function splitConditions(args: readonly SeccompArgument[]): (readonly SeccompArgument[])[] {
  if (args.length === 0) return [];
  const indexes = new Set(args.map(({ index }) => index));
  return indexes.size === args.length ? [args] : args.map(argument => [argument]);
}

function verdictOf(action: SeccompAction, errno: number | undefined): number {
  const verdict = verdicts[action];
  return action === 'SCMP_ACT_ERRNO' || action === 'SCMP_ACT_TRACE' ? verdict + (errno ?? EPERM) : verdict;
}

/** A binary search over ranges `from` … `to - 1`: one comparison per halving. */
function search(assembler: Assembler, ranges: readonly Range[], from: number, to: number): Label {
  const middle = (from + to) >> 1;
  const range = ranges[middle];
  if (range === undefined || middle === from) return leaf(assembler, range?.outcome ?? verdicts.SCMP_ACT_KILL_PROCESS);
  const right = search(assembler, ranges, middle, to);
  const left = search(assembler, ranges, from, middle);
  return assembler.jump('ge', range.first, right, left);
}

function leaf(assembler: Assembler, outcome: Outcome): Label {
  if (typeof outcome === 'number') return assembler.return(outcome);
  let next = assembler.return(outcome.otherwise);
  for (const { all, verdict } of [...outcome.alternatives].reverse()) {
    let pass = assembler.return(verdict);
    for (const argument of [...all].reverse()) pass = compare(assembler, argument, outcome.narrow, pass, next);
    next = pass;
  }
  return next;
}

/** Compares one argument: 64 bits are two words, the high one first. */
function compare(assembler: Assembler, argument: SeccompArgument, narrow: boolean, pass: Label, fail: Label): Label {
  const low = ARGUMENTS + 8 * argument.index;
  const high = low + 4;
  const value = BigInt(argument.value);
  const [valueLow, valueHigh] = split(value);
  const word = (offset: number, test: Label): Label => assembler.load(offset, test);
  const equal = (yes: Label, no: Label): Label => {
    const lower = word(low, assembler.jump('eq', valueLow, yes, no));
    return narrow ? lower : word(high, assembler.jump('eq', valueHigh, lower, no));
  };
  const above = (how: 'gt' | 'ge', yes: Label, no: Label): Label => {
    const lower = word(low, assembler.jump(how, valueLow, yes, no));
    return narrow
      ? lower
      : word(high, assembler.jump('gt', valueHigh, yes, assembler.jump('eq', valueHigh, lower, no)));
  };
  switch (argument.op) {
    case 'SCMP_CMP_EQ':
      return equal(pass, fail);
    case 'SCMP_CMP_NE':
      return equal(fail, pass);
    case 'SCMP_CMP_GT':
      return above('gt', pass, fail);
    case 'SCMP_CMP_GE':
      return above('ge', pass, fail);
    case 'SCMP_CMP_LE':
      return above('gt', fail, pass);
    case 'SCMP_CMP_LT':
      return above('ge', fail, pass);
    case 'SCMP_CMP_MASKED_EQ': {
      const [wantLow, wantHigh] = split(BigInt(argument.valueTwo ?? 0) & value);
      const lower = word(low, assembler.and(valueLow, assembler.jump('eq', wantLow, pass, fail)));
      return narrow || valueHigh === 0
        ? lower
        : word(high, assembler.and(valueHigh, assembler.jump('eq', wantHigh, lower, fail)));
    }
  }
  return argument.op satisfies never;
}

function split(value: bigint): [low: number, high: number] {
  return [Number(value & 0xffff_ffffn), Number(value >> 32n)];
}
