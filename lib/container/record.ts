import type { Asked } from './asked.js';
import type { PortSpec } from '../network/ports.js';
import type { ContainerEventBase, Digest, Labels, Resources } from '../types.js';
import type { SettledMount } from '../volume/mounts.js';
import type { LogConfig } from './log-config.js';
import type { Attachment, DeviceMapping, IpcMode, PidMode, TerminalSize, Ulimit, UlimitName } from './options.js';

/** How a container is connected: to networks of its own, to the host's, to another container's, or to nothing. */
export type NetworkMode = 'networks' | 'host' | 'none' | 'container' | 'ns';

/** What is only written down where it was asked for. See `CreateContainerOptions` for what each means. */
export interface Isolation {
  readonly domainname?: string;
  readonly privileged?: boolean;
  readonly groups?: readonly string[];
  readonly devices?: readonly DeviceMapping[];
  readonly deviceRules?: readonly string[];
  readonly maskedPaths?: readonly string[];
  readonly readOnlyPaths?: readonly string[];
  readonly writableCgroups?: boolean;
  readonly appArmor?: string;
  readonly ulimits?: Readonly<Partial<Record<UlimitName, Ulimit>>>;
  readonly oomScoreAdj?: number;
  readonly cgroupParent?: string;
  readonly cgroupNamespace?: 'host' | 'private';
  /** `container:` is followed by a whole id. */
  readonly pidMode?: PidMode;
  readonly ipcMode?: IpcMode;
  readonly utsMode?: 'private' | 'host';
  readonly userNamespace?: 'host';
  readonly annotations?: Labels;
}

/** When a container is started again: Docker's words, and how often at most (0: no limit). */
export interface SettledRestart {
  readonly name: 'always' | 'unless-stopped' | 'on-failure';
  readonly maxRetries: number;
}

/** A health check, settled: the user's fields and else the image's. 0 stands for Docker's default, as in an image. */
export interface SettledHealthcheck {
  /** As Docker has it: `CMD` and words, or `CMD-SHELL` and a line. */
  readonly test: readonly string[];
  /** For `CMD-SHELL`. */
  readonly shell: readonly string[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly retries: number;
  readonly startPeriodMs: number;
  readonly startIntervalMs: number;
  readonly onFailure: 'none' | 'kill' | 'restart' | 'stop';
}

/** Everything that was decided when the container was created. Starting it reads nothing else. */
export interface ContainerConfig extends Isolation {
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  /** `NAME=value`, the image's and the user's; what start adds (HOSTNAME, HOME …) is not in it. */
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user: string;
  readonly tty: boolean;
  readonly terminalSize?: TerminalSize;
  readonly stdin: boolean;
  /** Its standard input ends with what the first who attaches says. */
  readonly stdinOnce?: boolean;
  readonly hostname: string;
  readonly stopSignal: NodeJS.Signals;
  readonly stopGraceMs: number;
  /** The image or the user named the stop signal. */
  readonly stopSignalGiven?: true;
  /** Absent: `no`. */
  readonly restart?: SettledRestart;
  /** Absent: none. */
  readonly healthcheck?: SettledHealthcheck;
  readonly mounts: readonly SettledMount[];
  readonly ports: readonly PortSpec[];
  readonly networkMode: NetworkMode;
  /** Of mode `container` its name or id, of mode `ns` the path. */
  readonly networkTarget?: string;
  readonly networks: readonly Attachment[];
  readonly resources: Resources;
  readonly readOnly: boolean;
  readonly capabilities: { readonly add: readonly string[]; readonly drop: readonly string[] };
  /** Absent: the default profile. */
  readonly seccomp?: 'unconfined' | object;
  readonly noNewPrivileges: boolean;
  readonly init: boolean;
  readonly sysctls: Readonly<Record<string, string>>;
  readonly shmSizeBytes: number;
  readonly extraHosts: Readonly<Record<string, string | readonly string[]>>;
  readonly dns: readonly string[];
  readonly dnsSearch?: readonly string[];
  readonly dnsOptions?: readonly string[];
  /** Links of the default network, as they were asked for. */
  readonly links?: readonly string[];
  /** Ports that it offers, the image's too: `80/tcp`. */
  readonly exposed?: readonly string[];
  readonly publishAll?: boolean;
  readonly log: LogConfig;
}

/** What every event of a container says of it. */
export function eventOf(
  { id, name, image, labels }: Pick<ContainerRecord, 'id' | 'name' | 'image' | 'labels'>,
  time = new Date(),
): ContainerEventBase {
  return { time, id, labels, name, image: image.ref };
}

/** A container on disk. What changes when it runs is not in it: see `state.ts`. */
export interface ContainerRecord {
  /** 64 hexadecimal digits. */
  readonly id: string;
  readonly name: string;
  /** RFC 3339. */
  readonly createdAt: string;
  readonly image: { readonly id: Digest; readonly ref: string };
  /** ChainIDs of its layers, lowest first. */
  readonly chain: readonly Digest[];
  readonly labels: Labels;
  /** While it is renamed: the name that it is to have, then the one that it had. Claimed for it, or not. */
  readonly spareName?: string;
  readonly lifetime: 'process' | 'detached';
  /** It goes when it has ended. */
  readonly autoRemove?: boolean;
  /** Which process created it. */
  readonly owner: string;
  /** Volumes without a name that were made for it and go with it. */
  readonly anonymousVolumes: readonly string[];
  /** What does not follow from `config`, and has no effect. */
  readonly asked?: Asked;
  readonly config: ContainerConfig;
}
