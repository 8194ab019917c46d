import type { Features } from './types.js';

/** Codes are API and change only in a major version; messages are not. */
export type ErrorCode =
  | 'CTR_NOT_FOUND'
  | 'CTR_CONFLICT'
  | 'CTR_INVALID_STATE'
  | 'CTR_PARSE'
  | 'CTR_INTEGRITY'
  | 'CTR_REGISTRY'
  | 'CTR_UNAUTHORIZED'
  | 'CTR_RATE_LIMIT'
  | 'CTR_NETWORK'
  | 'CTR_LIMIT'
  | 'CTR_EXIT'
  | 'CTR_START'
  | 'CTR_BUILD'
  | 'CTR_SYSCALL'
  | 'CTR_UNSUPPORTED';

/** The nouns that errors speak of. */
export type ResourceKind =
  | 'engine'
  | 'image'
  | 'container'
  | 'volume'
  | 'network'
  | 'project'
  | 'process'
  | 'blob'
  | 'snapshot'
  | 'address'
  | 'port'
  | 'file'
  | 'user'
  | 'group';

/** How a process ended. */
export interface ExitStatus {
  /** `undefined` when a signal ended it. */
  readonly exitCode: number | undefined;
  /** The signal that ended it, `undefined` when it exited by itself. */
  readonly signal: NodeJS.Signals | undefined;
  /** The kernel killed a process of the container because its memory limit was reached. */
  readonly oomKilled: boolean;
  /** From start to end, in milliseconds. */
  readonly durationMs: number;
}

/** How a process ended, and what it wrote. */
export interface ProcessResult extends ExitStatus {
  /** The command as it was executed. */
  readonly command: readonly string[];
  /** What was written to standard output, as UTF-8. */
  readonly stdout: string;
  /** What was written to standard error, as UTF-8. */
  readonly stderr: string;
  /** More than `maxOutputBytes` was written, and the rest dropped. */
  readonly truncated: boolean;
}

const brand = Symbol.for('tscontainer.EngineError');

/**
 * Everything this package throws on purpose, except `TypeError` for misuse and abort reasons.
 * The message says the call, the thing, the reason and, where there is one, the remedy.
 */
export abstract class EngineError extends Error {
  /** What to branch on. */
  abstract readonly code: ErrorCode;

  /** @internal */
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    Object.defineProperty(this, brand, { value: true });
    Object.defineProperty(this, 'name', { value: new.target.name, configurable: true });
  }
}

/** Like `instanceof EngineError`, and also true across copies of this package. */
export function isEngineError(error: unknown): error is EngineError {
  return typeof error === 'object' && error !== null && (error as Record<symbol, unknown>)[brand] === true;
}

interface Said {
  /** The call that failed, as the user wrote it: `container.exec`. */
  readonly call: string;
  readonly cause?: unknown;
}

function sentence(call: string, ...parts: readonly (string | undefined)[]): string {
  return [call, ...parts.filter(part => part !== undefined && part !== '')].join(': ');
}

/** No such thing. */
export class NotFoundError extends EngineError {
  readonly code = 'CTR_NOT_FOUND';
  /** What kind of thing was asked for. */
  readonly kind: ResourceKind;
  /** What was asked for. */
  readonly ref: string;

  /** @internal */
  constructor(options: Said & { kind: ResourceKind; ref: string; remedy?: string }) {
    super(
      sentence(options.call, `no such ${options.kind}`, options.ref) + (options.remedy ? `. ${options.remedy}` : ''),
      options,
    );
    this.kind = options.kind;
    this.ref = options.ref;
  }
}

/** The name is taken, or others still use it: `usedBy` says who. */
export class ConflictError extends EngineError {
  readonly code = 'CTR_CONFLICT';
  /** What kind of thing is in the way. */
  readonly kind: ResourceKind;
  /** Its name. */
  readonly ref: string;
  /** Who uses it, as ids or names. */
  readonly usedBy: readonly string[];

  /** @internal */
  constructor(
    options: Said & { kind: ResourceKind; ref: string; reason: string; usedBy?: readonly string[]; remedy?: string },
  ) {
    super(
      sentence(options.call, `${options.kind} ${options.ref}`, options.reason) +
        (options.remedy ? `. ${options.remedy}` : ''),
      options,
    );
    this.kind = options.kind;
    this.ref = options.ref;
    this.usedBy = options.usedBy ?? [];
  }
}

/** The thing is not in a state in which the call makes sense. */
export class InvalidStateError extends EngineError {
  readonly code = 'CTR_INVALID_STATE';
  /** What kind of thing it is. */
  readonly kind: ResourceKind;
  /** Its name or id. */
  readonly ref: string;
  /** The state it is in. */
  readonly state: string;
  /** The states in which the call would have worked. */
  readonly expected: readonly string[];

  /** @internal */
  constructor(
    options: Said & { kind: ResourceKind; ref: string; state: string; expected: readonly string[]; remedy?: string },
  ) {
    super(
      sentence(
        options.call,
        `${options.kind} ${options.ref}`,
        `is ${options.state}, expected ${options.expected.join(' or ')}`,
      ) + (options.remedy ? `. ${options.remedy}` : ''),
      options,
    );
    this.kind = options.kind;
    this.ref = options.ref;
    this.state = options.state;
    this.expected = options.expected;
  }
}

/** A reference, manifest, archive, Dockerfile or compose file is malformed. */
export class ParseError extends EngineError {
  readonly code = 'CTR_PARSE';
  /** What was read: a file name, a URL, or the text itself when short. */
  readonly source: string;
  /** Counted from 1. */
  readonly line?: number;
  /** Counted from 1. */
  readonly column?: number;

  /** @internal */
  constructor(options: Said & { source: string; reason: string; line?: number; column?: number; remedy?: string }) {
    const place =
      options.line === undefined
        ? options.source
        : `${options.source}:${options.line}${options.column === undefined ? '' : `:${options.column}`}`;
    super(sentence(options.call, place, options.reason) + (options.remedy ? `. ${options.remedy}` : ''), options);
    this.source = options.source;
    if (options.line !== undefined) this.line = options.line;
    if (options.column !== undefined) this.column = options.column;
  }
}

/** Bytes are not what their digest or size promised. Nothing of them was kept. */
export class IntegrityError extends EngineError {
  readonly code = 'CTR_INTEGRITY';
  /** The digest or size that was promised. */
  readonly expected: string;
  /** What came. */
  readonly actual: string;

  /** @internal */
  constructor(options: Said & { what: string; expected: string; actual: string; remedy?: string }) {
    super(
      sentence(options.call, options.what, `expected ${options.expected}, got ${options.actual}`) +
        (options.remedy ? `. ${options.remedy}` : ''),
      options,
    );
    this.expected = options.expected;
    this.actual = options.actual;
  }
}

/** One entry of the error list of distribution-spec v1.1.1, section "Error Codes". */
export interface RegistryErrorEntry {
  /** For example `MANIFEST_UNKNOWN`. */
  readonly code: string;
  /** What the registry said of it. */
  readonly message: string;
  /** Whatever the registry added. */
  readonly detail?: unknown;
}

/** The registry refused, or answered with something that is no answer. */
export class RegistryError extends EngineError {
  readonly code: 'CTR_REGISTRY' | 'CTR_UNAUTHORIZED' | 'CTR_RATE_LIMIT';
  /** The HTTP status; 0 when there was no answer. */
  readonly status: number;
  /** The HTTP method. */
  readonly method: string;
  /** The URL, without credentials. */
  readonly url: URL;
  /** The distribution-spec error list; empty where the body was none. */
  readonly errors: readonly RegistryErrorEntry[];

  /** @internal */
  constructor(
    options: Said & {
      status: number;
      method: string;
      url: URL;
      reason: string;
      errors?: readonly RegistryErrorEntry[];
      remedy?: string;
    },
  ) {
    const url = new URL(options.url);
    url.username = url.password = url.search = '';
    super(
      sentence(options.call, `${options.method} ${url.href}`, options.reason) +
        (options.remedy ? `. ${options.remedy}` : ''),
      options,
    );
    this.code = registryCode(options.status);
    this.status = options.status;
    this.method = options.method;
    this.url = url;
    this.errors = options.errors ?? [];
  }
}

function registryCode(status: number): RegistryError['code'] {
  if (status === 429) return 'CTR_RATE_LIMIT';
  return status === 401 || status === 403 ? 'CTR_UNAUTHORIZED' : 'CTR_REGISTRY';
}

/** The registry has had enough of us for now: status 429. */
export class RateLimitError extends RegistryError {
  /** When it will answer again, where it said so. */
  readonly resetAt: Date | undefined;
  /** Requests per window, where it said so. */
  readonly limit: number | undefined;
  /** What is left of them. */
  readonly remaining: number | undefined;
  /** The window, in milliseconds. */
  readonly windowMs: number | undefined;

  /** @internal */
  constructor(
    options: ConstructorParameters<typeof RegistryError>[0] & {
      resetAt?: Date | undefined;
      limit?: number | undefined;
      remaining?: number | undefined;
      windowMs?: number | undefined;
    },
  ) {
    super(options);
    this.resetAt = options.resetAt;
    this.limit = options.limit;
    this.remaining = options.remaining;
    this.windowMs = options.windowMs;
  }
}

/** The host cannot be reached, or stopped answering. */
export class NetworkError extends EngineError {
  readonly code = 'CTR_NETWORK';
  /** `host:port`. */
  readonly address: string;

  /** @internal */
  constructor(options: Said & { address: string; reason: string; remedy?: string }) {
    super(
      sentence(options.call, options.address, options.reason) + (options.remedy ? `. ${options.remedy}` : ''),
      options,
    );
    this.address = options.address;
  }
}

/** A bound that protects the host was reached: too large, too many, too deep. */
export class LimitError extends EngineError {
  readonly code = 'CTR_LIMIT';
  /** The bound that was in force. */
  readonly limit: number;

  /** @internal */
  constructor(options: Said & { what: string; reason: string; limit: number; remedy?: string }) {
    super(
      sentence(options.call, options.what, options.reason) + (options.remedy ? `. ${options.remedy}` : ''),
      options,
    );
    this.limit = options.limit;
  }
}

/** A failed process. Has every field of {@link ProcessResult}, so both are read alike. */
export class ExitError extends EngineError implements ProcessResult {
  readonly code = 'CTR_EXIT';
  readonly command: readonly string[];
  readonly exitCode: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
  readonly oomKilled: boolean;
  readonly durationMs: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly truncated: boolean;

  /** @internal */
  constructor(call: string, result: ProcessResult) {
    super(exitMessage(call, result));
    this.command = result.command;
    this.exitCode = result.exitCode;
    this.signal = result.signal;
    this.oomKilled = result.oomKilled;
    this.durationMs = result.durationMs;
    this.stdout = result.stdout;
    this.stderr = result.stderr;
    this.truncated = result.truncated;
  }
}

function exitMessage(call: string, result: ProcessResult): string {
  const how = result.oomKilled
    ? 'was killed at its memory limit. Raise resources.memoryBytes, or use less'
    : result.signal !== undefined
      ? `was killed by ${result.signal}`
      : `exited with ${result.exitCode}`;
  const tail = lastLines(result.stderr || result.stdout);
  return sentence(call, result.command.join(' '), how) + (tail === '' ? '' : `\n${tail}`);
}

function lastLines(text: string): string {
  return text.trimEnd().split('\n').slice(-10).join('\n').slice(-2000);
}

/**
 * The container's or the exec's first process could not be started, as Docker's exit codes tell it:
 * 126 cannot be executed, 127 not found, 125 anything else.
 */
export class StartError extends EngineError {
  readonly code = 'CTR_START';
  /** What Docker's CLI would exit with: 125, 126 or 127. */
  readonly exitCode: 125 | 126 | 127;
  /** What was to be executed. */
  readonly command: readonly string[];

  /** @internal */
  constructor(
    options: Said & {
      ref: string;
      reason: string;
      exitCode: 125 | 126 | 127;
      command: readonly string[];
      remedy?: string;
    },
  ) {
    super(
      sentence(options.call, `container ${options.ref}`, options.reason) +
        (options.remedy ? `. ${options.remedy}` : ''),
      options,
    );
    this.exitCode = options.exitCode;
    this.command = options.command;
  }
}

/** A kernel call failed; `stage` is where in the helper, e.g. `pivot-root`. */
export class SyscallError extends EngineError {
  readonly code = 'CTR_SYSCALL';
  /** The call's name, as in section 2 of the manual. */
  readonly syscall: string;
  /** The symbolic error, e.g. `EPERM`. */
  readonly errno: string;
  /** Where in the helper it failed. */
  readonly stage: string;
  /** What it was about, where that is known. */
  readonly path?: string;

  /** @internal */
  constructor(options: Said & { stage: string; syscall: string; errno: string; path?: string; remedy?: string }) {
    super(
      sentence(options.call, options.stage, `${options.syscall}(${options.path ?? ''}) failed with ${options.errno}`) +
        (options.remedy ? `. ${options.remedy}` : ''),
      options,
    );
    this.syscall = options.syscall;
    this.errno = options.errno;
    this.stage = options.stage;
    if (options.path !== undefined && options.path !== '') this.path = options.path;
  }
}

/** This host cannot do it; `reason` says what would make it possible. */
export class UnsupportedError extends EngineError {
  readonly code = 'CTR_UNSUPPORTED';
  /** The row of `engine.features()` that says the same. */
  readonly feature: keyof Features;
  /** Why not, and what would make it possible. */
  readonly reason: string;

  /** @internal */
  constructor(options: Said & { feature: keyof Features; reason: string }) {
    super(sentence(options.call, `this host lacks ${options.feature}`, options.reason), options);
    this.feature = options.feature;
    this.reason = options.reason;
  }
}

/** The `code` of whatever was thrown: `ENOENT`, `CTR_NOT_FOUND`, or `undefined`. Works across realms, where `instanceof Error` does not. */
export function errorCode(error: unknown): string | undefined {
  const code = typeof error === 'object' && error !== null ? (error as { code?: unknown }).code : undefined;
  return typeof code === 'string' ? code : undefined;
}
