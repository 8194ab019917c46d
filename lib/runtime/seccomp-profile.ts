import { ParseError } from '../errors.js';

/** What happens to a call; seccomp(2), `SECCOMP_RET_…`. */
export type SeccompAction =
  | 'SCMP_ACT_KILL'
  | 'SCMP_ACT_KILL_THREAD'
  | 'SCMP_ACT_KILL_PROCESS'
  | 'SCMP_ACT_TRAP'
  | 'SCMP_ACT_ERRNO'
  | 'SCMP_ACT_TRACE'
  | 'SCMP_ACT_LOG'
  | 'SCMP_ACT_ALLOW';

/** How an argument is compared, unsigned. */
export type SeccompOperator =
  'SCMP_CMP_NE' | 'SCMP_CMP_LT' | 'SCMP_CMP_LE' | 'SCMP_CMP_EQ' | 'SCMP_CMP_GE' | 'SCMP_CMP_GT' | 'SCMP_CMP_MASKED_EQ';

/** A condition on one argument. */
export interface SeccompArgument {
  /** Which argument, 0 to 5. */
  readonly index: number;
  /** What it is compared with; for `MASKED_EQ` the mask. Decimal text where a number would lose bits. */
  readonly value: number | string;
  /** For `MASKED_EQ`, what must be left under the mask. Default 0. */
  readonly valueTwo?: number | string;
  readonly op: SeccompOperator;
}

/** When a rule counts. */
export interface SeccompFilter {
  /** `CAP_…`, in the bounding set. */
  readonly caps?: readonly string[] | null;
  /** Go's names: `amd64`, `arm64` … */
  readonly arches?: readonly string[] | null;
  /** `4.8`. */
  readonly minKernel?: string;
}

/** What happens to some calls. */
export interface SeccompRule {
  readonly names: readonly string[];
  readonly action: SeccompAction;
  /** For `ERRNO` and `TRACE`. Default 1, `EPERM`. */
  readonly errnoRet?: number;
  /** All must hold, unless two are about the same argument: then each is a rule of its own, as in runc. */
  readonly args?: readonly SeccompArgument[] | null;
  /** The rule counts only with all of these capabilities, on one of these architectures, from this kernel on. */
  readonly includes?: SeccompFilter;
  /** The rule does not count with any of these capabilities, on one of these architectures, from this kernel on. */
  readonly excludes?: SeccompFilter;
}

/** A profile in Docker's JSON format. */
export interface SeccompProfile {
  readonly defaultAction: SeccompAction;
  /** For `ERRNO` and `TRACE`. Default 1, `EPERM`. */
  readonly defaultErrnoRet?: number;
  /** `SCMP_ARCH_…`, instead of `archMap`. */
  readonly architectures?: readonly string[] | null;
  readonly archMap?:
    readonly { readonly architecture: string; readonly subArchitectures?: readonly string[] | null }[] | null;
  readonly syscalls?: readonly SeccompRule[] | null;
}

const actions: readonly string[] = [
  'SCMP_ACT_KILL',
  'SCMP_ACT_KILL_THREAD',
  'SCMP_ACT_KILL_PROCESS',
  'SCMP_ACT_TRAP',
  'SCMP_ACT_ERRNO',
  'SCMP_ACT_TRACE',
  'SCMP_ACT_LOG',
  'SCMP_ACT_ALLOW',
] satisfies SeccompAction[];

const operators: readonly string[] = [
  'SCMP_CMP_NE',
  'SCMP_CMP_LT',
  'SCMP_CMP_LE',
  'SCMP_CMP_EQ',
  'SCMP_CMP_GE',
  'SCMP_CMP_GT',
  'SCMP_CMP_MASKED_EQ',
] satisfies SeccompOperator[];

/**
 * Reads a profile in Docker's JSON format.
 *
 * @param source - Where it comes from, for messages.
 * @throws {@link ParseError} for what is no profile.
 * @see {@link https://docs.docker.com/engine/security/seccomp/ | Docker's description}
 */
export function parseSeccompProfile(text: string, source: string, call = 'containers.create'): SeccompProfile {
  let value: unknown;
  try {
    // Numbers that a double cannot hold are kept as text.
    value = JSON.parse(text.replace(/("value(?:Two)?"\s*:\s*)(\d{16,})/g, '$1"$2"'));
  } catch (error) {
    throw new ParseError({ call, source, reason: 'is not JSON', cause: error });
  }
  return checkSeccompProfile(value, source, call);
}

/**
 * Checks a profile that is JSON no longer.
 *
 * @throws {@link ParseError} for what is no profile.
 */
export function checkSeccompProfile(value: unknown, source: string, call = 'containers.create'): SeccompProfile {
  return new Reader(source, call).profile(value);
}

/** Walks the value and says where it is wrong. */
class Reader {
  readonly #source: string;
  readonly #call: string;

  constructor(source: string, call: string) {
    this.#source = source;
    this.#call = call;
  }

  profile(value: unknown): SeccompProfile {
    const object = this.#object(value, 'the profile');
    if (
      this.#list(object['architectures'], 'architectures').length > 0 &&
      this.#list(object['archMap'], 'archMap').length > 0
    ) {
      this.#fail('architectures and archMap exclude each other');
    }
    if (object['listenerPath'] !== undefined && object['listenerPath'] !== '')
      this.#fail('listenerPath (SCMP_ACT_NOTIFY) is not supported');
    return {
      defaultAction: this.#action(object['defaultAction'], 'defaultAction'),
      ...this.#errno(object, 'defaultErrnoRet'),
      architectures: this.#texts(object['architectures'], 'architectures'),
      archMap: this.#list(object['archMap'], 'archMap').map((entry, index) =>
        this.#archEntry(entry, `archMap[${index}]`),
      ),
      syscalls: this.#list(object['syscalls'], 'syscalls').map((rule, index) => this.#rule(rule, `syscalls[${index}]`)),
    };
  }

  #archEntry(value: unknown, at: string): { architecture: string; subArchitectures: string[] } {
    const entry = this.#object(value, at);
    return {
      architecture: this.#text(entry['architecture'], `${at}.architecture`),
      subArchitectures: this.#texts(entry['subArchitectures'], `${at}.subArchitectures`),
    };
  }

  #rule(value: unknown, at: string): SeccompRule {
    const rule = this.#object(value, at);
    const names = this.#texts(rule['names'], `${at}.names`);
    // Before `names` there was `name`, and such profiles are still about.
    const single = rule['name'] === undefined || rule['name'] === '' ? [] : [this.#text(rule['name'], `${at}.name`)];
    if (names.length > 0 && single.length > 0) this.#fail(`${at}: name and names exclude each other`);
    return {
      names: [...names, ...single],
      action: this.#action(rule['action'], `${at}.action`),
      ...this.#errno(rule, 'errnoRet', at),
      args: this.#list(rule['args'], `${at}.args`).map((argument, index) =>
        this.#argument(argument, `${at}.args[${index}]`),
      ),
      ...this.#filter(rule, 'includes', at),
      ...this.#filter(rule, 'excludes', at),
    };
  }

  #argument(value: unknown, at: string): SeccompArgument {
    const argument = this.#object(value, at);
    const index = argument['index'];
    if (typeof index !== 'number' || !Number.isInteger(index) || index < 0 || index > 5)
      this.#fail(`${at}.index: expected 0 to 5, got ${show(index)}`);
    const op = argument['op'];
    if (typeof op !== 'string' || !operators.includes(op)) this.#fail(`${at}.op: there is no operator ${show(op)}`);
    return {
      index,
      value: this.#word(argument['value'] ?? 0, `${at}.value`),
      valueTwo: this.#word(argument['valueTwo'] ?? 0, `${at}.valueTwo`),
      op: op as SeccompOperator,
    };
  }

  #filter(
    rule: Record<string, unknown>,
    key: 'includes' | 'excludes',
    at: string,
  ): { [K in typeof key]?: SeccompFilter } {
    if (rule[key] === undefined || rule[key] === null) return {};
    const filter = this.#object(rule[key], `${at}.${key}`);
    const minKernel = filter['minKernel'];
    if (minKernel !== undefined && !(typeof minKernel === 'string' && /^\d+\.\d+$/.test(minKernel))) {
      this.#fail(`${at}.${key}.minKernel: expected a version like 4.8, got ${show(minKernel)}`);
    }
    return {
      [key]: {
        caps: this.#texts(filter['caps'], `${at}.${key}.caps`),
        arches: this.#texts(filter['arches'], `${at}.${key}.arches`),
        ...(minKernel === undefined ? {} : { minKernel }),
      },
    };
  }

  #errno(
    object: Record<string, unknown>,
    key: 'errnoRet' | 'defaultErrnoRet',
    at = 'profile',
  ): { [K in typeof key]?: number } {
    const value = object[key];
    if (value === undefined || value === null) return {};
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 4095) return { [key]: value };
    return this.#fail(`${at}.${key}: expected an errno from 0 to 4095, got ${show(value)}`);
  }

  #action(value: unknown, at: string): SeccompAction {
    if (value === 'SCMP_ACT_NOTIFY') this.#fail(`${at}: SCMP_ACT_NOTIFY is not supported`);
    if (typeof value !== 'string' || !actions.includes(value)) this.#fail(`${at}: there is no action ${show(value)}`);
    return value as SeccompAction;
  }

  #word(value: unknown, at: string): number | string {
    const fits =
      typeof value === 'number'
        ? Number.isSafeInteger(value) && value >= 0
        : typeof value === 'string' && /^\d{1,20}$/.test(value);
    if (!fits || BigInt(value as number | string) >= 1n << 64n)
      this.#fail(`${at}: expected a number of 64 bits, got ${show(value)}`);
    return value as number | string;
  }

  #object(value: unknown, at: string): Record<string, unknown> {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      this.#fail(`${at}: expected an object, got ${show(value)}`);
    return value as Record<string, unknown>;
  }

  #list(value: unknown, at: string): readonly unknown[] {
    if (value === undefined || value === null) return [];
    return Array.isArray(value) ? value : this.#fail(`${at}: expected a list, got ${show(value)}`);
  }

  #texts(value: unknown, at: string): string[] {
    return this.#list(value, at).map((item, index) => this.#text(item, `${at}[${index}]`));
  }

  #text(value: unknown, at: string): string {
    return typeof value === 'string' ? value : this.#fail(`${at}: expected text, got ${show(value)}`);
  }

  #fail(reason: string): never {
    throw new ParseError({ call: this.#call, source: this.#source, reason });
  }
}

function show(value: unknown): string {
  return (JSON.stringify(value) ?? 'nothing').slice(0, 80);
}
