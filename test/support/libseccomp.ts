import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { SeccompAction, SeccompOperator, SeccompProfile, SeccompRule } from '../../lib/runtime/seccomp-profile.js';

const source = fileURLToPath(new URL('../../../test/support/libseccomp.c', import.meta.url));

/** Whether the library is installed, which every Debian with systemd has. */
export const hasLibseccomp = ['/usr/lib/x86_64-linux-gnu', '/usr/lib64', '/usr/lib'].some(directory =>
  existsSync(join(directory, 'libseccomp.so.2')),
);

const actions: Readonly<Record<SeccompAction, number>> = {
  SCMP_ACT_KILL: 0,
  SCMP_ACT_KILL_THREAD: 0,
  SCMP_ACT_KILL_PROCESS: 0x8000_0000,
  SCMP_ACT_TRAP: 0x0003_0000,
  SCMP_ACT_ERRNO: 0x0005_0000,
  SCMP_ACT_TRACE: 0x7ff0_0000,
  SCMP_ACT_LOG: 0x7ffc_0000,
  SCMP_ACT_ALLOW: 0x7fff_0000,
};
const operators: readonly SeccompOperator[] = [
  'SCMP_CMP_NE',
  'SCMP_CMP_LT',
  'SCMP_CMP_LE',
  'SCMP_CMP_EQ',
  'SCMP_CMP_GE',
  'SCMP_CMP_GT',
  'SCMP_CMP_MASKED_EQ',
];

/** libseccomp, asked as runc asks it. */
export class Libseccomp implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), 'tsc-libseccomp-'));
  readonly #program = join(this.#directory, 'ask');

  constructor() {
    execFileSync('cc', [
      '-std=gnu11',
      '-Wall',
      '-Wextra',
      '-Werror',
      '-o',
      this.#program,
      source,
      '-l:libseccomp.so.2',
    ]);
  }

  /** The filter for a profile whose rules all count; for the native architecture, and further ones by their tokens. */
  compile(profile: SeccompProfile, architectures: readonly number[] = []): Buffer {
    const fallback = code(profile.defaultAction, profile.defaultErrnoRet);
    const rules = (profile.syscalls ?? []).flatMap(rule => linesOf(rule, fallback));
    const input = [`default ${fallback}`, ...architectures.map(token => `arch ${token}`), ...rules].join('\n');
    return execFileSync(this.#program, { input: `${input}\n` });
  }

  /** Those of the numbers that have a name. */
  known(token: number, numbers: readonly number[]): number[] {
    return execFileSync(this.#program, [token, ...numbers].map(String), { encoding: 'utf8' })
      .trim()
      .split('\n')
      .map(Number);
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true });
  }
}

function code(action: SeccompAction, errno = 1): number {
  const takes = action === 'SCMP_ACT_ERRNO' || action === 'SCMP_ACT_TRACE';
  return actions[action] + (takes ? errno : 0);
}

/** As runc: a rule that says what happens anyway is none; two conditions on one argument are two rules. */
function linesOf(rule: SeccompRule, fallback: number): string[] {
  const action = code(rule.action, rule.errnoRet);
  if (action === fallback) return [];
  const conditions = (rule.args ?? []).map(
    ({ index, op, value, valueTwo = 0 }) => `${index} ${operators.indexOf(op) + 1} ${value} ${valueTwo}`,
  );
  const twice = new Set((rule.args ?? []).map(({ index }) => index)).size < conditions.length;
  const alternatives = twice ? conditions : [conditions.join(' ')];
  return rule.names.flatMap(name => alternatives.map(text => `rule ${action} ${name} ${text}`.trim()));
}
