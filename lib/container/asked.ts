/**
 * How a command line put what it asked for, where that does not follow from the options: `docker inspect` tells it back
 * word by word. Nothing of it has an effect.
 */
export interface Asked {
  /** The streams that whoever started it was connected to. */
  readonly attach?: readonly ('stdin' | 'stdout' | 'stderr')[];
  /** Every `-v` with a source. */
  readonly binds?: readonly string[];
  /** Every `--tmpfs`: its options by its target. */
  readonly tmpfs?: Readonly<Record<string, string>>;
  /** The target of every `-v` without a source. */
  readonly volumes?: readonly string[];
  readonly volumesFrom?: readonly string[];
  /** `-w`, where it says what is so anyway. */
  readonly cwd?: string;
  /** In seconds. */
  readonly stopTimeout?: number;
  readonly cidFile?: string;
  readonly securityOptions?: readonly string[];
  readonly logOptions?: Readonly<Record<string, string>>;
  readonly extraHosts?: readonly string[];
  /** `--init`, also where it was `false`. */
  readonly init?: boolean;
  readonly restart?: string;
}
