/** What both are asked for, in one language. */
export interface Ask {
  readonly image?: string;
  readonly command?: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly user?: string;
  readonly cwd?: string;
  readonly tty?: boolean;
  readonly hostname?: string;
  /** Written to its standard input, which is then closed. Without: it has none. */
  readonly input?: string;
  /** @defaultValue `'none'`: the quickest */
  readonly network?: 'none' | 'host' | 'bridge';
  readonly readOnly?: boolean;
  readonly init?: boolean;
  readonly noNewPrivileges?: boolean;
  readonly capabilities?: { readonly add?: readonly string[]; readonly drop?: readonly string[] };
  readonly seccomp?: 'unconfined';
  readonly resources?: {
    readonly memoryBytes?: number;
    readonly memorySwapBytes?: number;
    readonly maxProcesses?: number;
    readonly cpus?: number;
    readonly cpuShares?: number;
    readonly cpusetCpus?: string;
  };
  readonly shmSizeBytes?: number;
  readonly sysctls?: Readonly<Record<string, string>>;
  readonly extraHosts?: Readonly<Record<string, string>>;
  readonly dns?: readonly string[];
  readonly stopSignal?: NodeJS.Signals;
  readonly tmpfs?: string;
  readonly bind?: { readonly source: string; readonly target: string; readonly readOnly?: boolean };
}

/** How it went, in one language. */
export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  /** As a shell says it: 128 and more for a signal. For a start that failed, as `docker run` exits. */
  readonly exitCode: number;
  readonly oomKilled: boolean;
  /** Why it did not start, for whoever looks into a failing test: no two say it alike. */
  readonly refused?: string;
}

/** What one engine does. */
export interface Side {
  /** To the end. */
  run(ask: Ask): Promise<Outcome>;
  /** The log file of a container that ran to the end, without the times. */
  log(ask: Ask): Promise<string>;
  /** Starts one, waits for "ready", does something to it, says how it ended. */
  ending(
    ask: Ask,
    what: { readonly stop?: number; readonly kill?: NodeJS.Signals },
  ): Promise<Omit<Outcome, 'stdout' | 'stderr'>>;
  /** Starts one, waits for "ready", runs a command in it. */
  exec(
    ask: Ask,
    command: readonly string[],
    options?: {
      readonly user?: string;
      readonly cwd?: string;
      readonly env?: Readonly<Record<string, string>>;
      readonly tty?: boolean;
    },
  ): Promise<Outcome>;
}

/** What a log file says, but for when. */
export function withoutTimes(bytes: Buffer): string {
  return bytes.toString('utf8').replace(/"time":"[^"]*"/g, '"time":""');
}

/** Sections of the probe's view by name. */
export function sections(text: string): Record<string, string> {
  return Object.fromEntries(
    text
      .split(/^=== /m)
      .slice(1)
      .map(section => [section.slice(0, section.indexOf('\n')), section.slice(section.indexOf('\n') + 1)]),
  );
}
