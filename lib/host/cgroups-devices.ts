import { statSync } from 'node:fs';

import { NotFoundError, errorCode } from '../errors.js';
import type { CgroupWrite } from './cgroups-plan.js';

/** A device rule in the kernel's words: `c 1:3 rwm`. All of them are permissions; what is not listed is refused. */
export type DeviceRule = string;

/** A rule taken apart. `undefined` stands for `*`. */
export interface ParsedRule {
  readonly type: 'a' | 'b' | 'c';
  readonly major: number | undefined;
  readonly minor: number | undefined;
  /** In the order `rwm`. */
  readonly access: string;
}

/**
 * What Docker 28 with runc 1.3 lets a container do with device nodes: make any, but open only null, zero, full, random,
 * urandom, tty, console, ptmx, pseudo terminals and tun.
 */
export const defaultDeviceRules: readonly DeviceRule[] = [
  'c *:* m',
  'b *:* m',
  'c 1:3 rwm',
  'c 1:5 rwm',
  'c 1:7 rwm',
  'c 1:8 rwm',
  'c 1:9 rwm',
  'c 5:0 rwm',
  'c 5:1 rwm',
  'c 5:2 rwm',
  'c 136:* rwm',
  'c 10:200 rwm',
];

const RULE = /^([abc]) (\d{1,10}|\*):(\d{1,10}|\*) ([rwm]{1,3})$/;

/** `undefined` for what is no rule. */
export function parseDeviceRule(text: string): ParsedRule | undefined {
  const [, type, major, minor, access = ''] = RULE.exec(text) ?? [];
  if (type === undefined) return undefined;
  const [first, second] = [major, minor].map(part => (part === '*' ? undefined : Number(part)));
  // The kernel has 12 bits of one and 20 of the other.
  if ((first ?? 0) >= 2 ** 12 || (second ?? 0) >= 2 ** 20) return undefined;
  return { type: type as ParsedRule['type'], major: first, minor: second, access: ordered(access) };
}

/** Permissions without repetition, in the order in which the kernel prints them. */
export function ordered(access: string): string {
  return [...'rwm'].filter(letter => access.includes(letter)).join('');
}

/** Version 1: refuses everything, then permits these. */
export function deviceRuleWrites(group: string, rules: readonly DeviceRule[]): CgroupWrite[] {
  return [
    { path: `${group}/devices.deny`, value: 'a', what: 'devices' },
    // Of a rule for all devices the kernel reads nothing but that it is one.
    ...rules.map(rule => ({
      path: `${group}/devices.allow`,
      value: rule.startsWith('a ') ? 'a' : rule,
      what: `devices: ${rule}`,
    })),
  ];
}

/**
 * The numbers of a device, as cgroup files name it: `8:0`.
 *
 * @throws {@link NotFoundError} when there is none of that path, `TypeError` when it is no block device.
 */
export function blockDevice(path: string, option: string, call: string): string {
  const { rdev, isBlock } = lookUp(path, option, call);
  if (!isBlock) throw new TypeError(`${call}: resources.${option}: ${path} is no block device`);
  return `${majorOf(rdev)}:${minorOf(rdev)}`;
}

function lookUp(path: string, option: string, call: string): { rdev: number; isBlock: boolean } {
  try {
    const stat = statSync(path);
    return { rdev: stat.rdev, isBlock: stat.isBlockDevice() };
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    throw new NotFoundError({
      call,
      kind: 'file',
      ref: path,
      remedy: `resources.${option} names it, and it is not there`,
    });
  }
}

/** As glibc's gnu_dev_major, for the numbers that Linux gives out. */
export function majorOf(rdev: number): number {
  return (rdev >>> 8) & 0xfff;
}

/** As glibc's gnu_dev_minor. */
export function minorOf(rdev: number): number {
  return (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);
}
