import { defaultDeviceRules, parseDeviceRule } from './cgroups-devices.js';
import type { DeviceRule, ParsedRule } from './cgroups-devices.js';

// Extended BPF; the kernel's Documentation/bpf/standardization/instruction-set.rst.
const LOAD_WORD = 0x61; // dst = *(u32 *)(src + offset)
const MOVE = 0xbf; // dst = src
const MOVE_IMMEDIATE = 0xb7;
const AND_IMMEDIATE = 0x57;
const SHIFT_RIGHT = 0x77;
const NOT_EQUAL = 0x55; // if dst != immediate, on by offset
const NOT_EQUAL_REGISTER = 0x5d;
const EXIT = 0x95;

// struct bpf_cgroup_dev_ctx, and what its first word is made of (include/uapi/linux/bpf.h).
const ACCESS_TYPE = 0;
const MAJOR = 4;
const MINOR = 8;
const types = { b: 1, c: 2 } as const;
const accesses: Readonly<Record<string, number>> = { m: 1, r: 2, w: 4 };
const ALL = 7;

const [ANSWER, CONTEXT, TYPE, ACCESS, FIRST, SECOND] = [0, 1, 2, 3, 4, 5];

type Instruction = readonly [code: number, dst: number, src: number, offset: number, immediate: number];

/**
 * The program that decides on device nodes for a cgroup of version 2: `struct bpf_insn[]`, little endian, of type
 * `BPF_PROG_TYPE_CGROUP_DEVICE`. It permits an access that one of the rules permits whole, and refuses all else, as the
 * device controller of version 1 does.
 */
export function deviceProgram(rules: readonly DeviceRule[] = defaultDeviceRules): Buffer {
  const program: Instruction[] = [
    [LOAD_WORD, TYPE, CONTEXT, ACCESS_TYPE, 0],
    [MOVE, ACCESS, TYPE, 0, 0],
    [AND_IMMEDIATE, TYPE, 0, 0, 0xffff],
    [SHIFT_RIGHT, ACCESS, 0, 0, 16],
    [LOAD_WORD, FIRST, CONTEXT, MAJOR, 0],
    [LOAD_WORD, SECOND, CONTEXT, MINOR, 0],
    ...merge(rules).flatMap(permit),
    [MOVE_IMMEDIATE, ANSWER, 0, 0, 0],
    [EXIT, 0, 0, 0, 0],
  ];
  const bytes = Buffer.alloc(program.length * 8);
  program.forEach(([code, dst, src, offset, immediate], index) => {
    const at = index * 8;
    bytes.writeUInt8(code, at);
    bytes.writeUInt8(dst | (src << 4), at + 1);
    bytes.writeInt16LE(offset, at + 2);
    bytes.writeInt32LE(immediate, at + 4);
  });
  return bytes;
}

interface Permission {
  readonly rule: ParsedRule;
  readonly access: number;
}

/** Rules for the same devices are one, as on version 1: `r` and `w` apart permit to open for both. */
function merge(rules: readonly DeviceRule[]): Permission[] {
  const merged = new Map<string, Permission>();
  for (const text of rules) {
    const rule = parseDeviceRule(text);
    if (rule === undefined) throw new TypeError(`devices: there is no rule ${JSON.stringify(text)}`);
    const key = `${rule.type} ${rule.major}:${rule.minor}`;
    // Of a rule for all devices version 1 reads nothing but that it is one.
    const access =
      rule.type === 'a' ? ALL : [...rule.access].reduce((mask, letter) => mask | (accesses[letter] ?? 0), 0);
    merged.set(key, { rule, access: access | (merged.get(key)?.access ?? 0) });
  }
  return [...merged.values()];
}

/** Where everything fits: 1. Else the next rule has its turn. */
function permit({ rule, access }: Permission): Instruction[] {
  const tests: Instruction[] = [];
  const any = rule.type === 'a';
  if (rule.type !== 'a') tests.push([NOT_EQUAL, TYPE, 0, 0, types[rule.type]]);
  if (access !== ALL) {
    tests.push([MOVE, CONTEXT, ACCESS, 0, 0], [AND_IMMEDIATE, CONTEXT, 0, 0, access]);
    tests.push([NOT_EQUAL_REGISTER, CONTEXT, ACCESS, 0, 0]);
  }
  if (!any && rule.major !== undefined) tests.push([NOT_EQUAL, FIRST, 0, 0, rule.major]);
  if (!any && rule.minor !== undefined) tests.push([NOT_EQUAL, SECOND, 0, 0, rule.minor]);
  const whole: Instruction[] = [...tests, [MOVE_IMMEDIATE, ANSWER, 0, 0, 1], [EXIT, 0, 0, 0, 0]];
  return whole.map(([code, dst, src, offset, immediate], index) =>
    code === NOT_EQUAL || code === NOT_EQUAL_REGISTER
      ? [code, dst, src, whole.length - index - 1, immediate]
      : [code, dst, src, offset, immediate],
  );
}
