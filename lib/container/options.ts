import type { Readable, Writable } from 'node:stream';

import type { Image } from '../image/image.js';
import type { PullPolicy } from '../image/options.js';
import type { PortMapping } from '../network/ports.js';
import type { AbortOptions, Labels, PlatformString, Resources } from '../types.js';
import type { Mount } from '../volume/mount.js';
import type { Asked } from './asked.js';

/** What a process is run with. Omitted fields come from the image. */
export interface ProcessOptions {
  /** Added to the image's; a name that is in both has this value. */
  readonly env?: Readonly<Record<string, string>>;
  /** The working directory, absolute. Made if it is not there (for the first process only). */
  readonly cwd?: string;
  /** `name`, `uid`, `name:group` or `uid:gid`. */
  readonly user?: string;
  /** Whether it gets a terminal. Then its standard error comes on standard output. @defaultValue `false` */
  readonly tty?: boolean;
  /** What the terminal begins with. @defaultValue `{columns: 80, rows: 24}` */
  readonly terminalSize?: TerminalSize;
}

/** The size of a terminal, in characters. */
export interface TerminalSize {
  /** Across. */
  readonly columns: number;
  /** Down. */
  readonly rows: number;
}

/** Whose mounts to take: a name or id, and whether they are read-only here whatever they are there. */
export type VolumesFrom = string | { readonly container: string; readonly readOnly?: boolean };

/** How a container is on a network. */
export interface Attachment {
  /** Its name or id. */
  readonly network: string;
  /** Further names by which others on it find the container. Not on the default network, which has no names. */
  readonly aliases?: readonly string[];
  /** A certain IPv4 address of its subnet. */
  readonly ip?: string;
  /** A certain IPv6 address of its subnet. */
  readonly ip6?: string;
  /** A certain hardware address. Default: made of the IPv4 address. */
  readonly mac?: string;
  /** Which of several networks is the way out: the highest; of equals, the first by name. @defaultValue `0` */
  readonly gatewayPriority?: number;
  /** Other containers by names of their own on this network: `container`, or `container:name`. */
  readonly links?: readonly string[];
}

/**
 * When a container is started again after it has ended by itself. `{onFailure: 3}`: after it failed, three times at most;
 * `{onFailure: 0}`, or `'on-failure'`, however often. `unless-stopped` is `always`, but after a reboot one that was stopped stays so.
 */
export type RestartPolicy =
  | 'no'
  | 'always'
  | 'unless-stopped'
  | 'on-failure'
  | {
      /** So often at most; 0 for no limit. */
      readonly onFailure: number;
    };

/** A command that is run in a container again and again, and tells by its exit code (0 or not) whether all is well. */
export interface Healthcheck {
  /** Words, or a line for the image's shell. Default: the image's. */
  readonly command?: readonly string[] | string;
  /** Between the end of one check and the next, in milliseconds. @defaultValue `30_000` */
  readonly intervalMs?: number;
  /** A check that takes longer has failed, and is killed; in milliseconds. @defaultValue `30_000` */
  readonly timeoutMs?: number;
  /** So many failures in a row make it unhealthy. @defaultValue `3` */
  readonly retries?: number;
  /** Failures do not count for so long after the start, in milliseconds. @defaultValue `0` */
  readonly startPeriodMs?: number;
  /** In place of `intervalMs` during the start period, until it is healthy; in milliseconds. @defaultValue `5_000` */
  readonly startIntervalMs?: number;
  /** What becomes of a container that turns unhealthy. @defaultValue `'none'` */
  readonly onFailure?: 'none' | 'kill' | 'restart' | 'stop';
}

/** Which details of a container go into each entry of its log, as `attrs`; Docker's `--log-opt labels=…` and its like. */
export interface LogAttributes {
  /** Names of labels. */
  readonly labels?: readonly string[];
  /** Labels whose names match. */
  readonly labelsPattern?: RegExp | string;
  /** Names of environment variables. */
  readonly env?: readonly string[];
  /** Environment variables whose names match. */
  readonly envPattern?: RegExp | string;
  /** A text of one's own; `{{.Name}}`, `{{.ID}}`, `{{.FullID}}`, `{{.ImageName}}`, `{{.ImageID}}` and `{{.ImageFullID}}` stand for what they say. */
  readonly tag?: string;
}

/** How much of a log is kept. */
export interface LogRotation {
  /** A file that has grown to this is rotated before the next line. Default: never, and 20 MiB with `local`. */
  readonly maxBytes?: number;
  /** Files that are kept when rotated, the current one included. Default: 1, and 5 with `local`. */
  readonly maxFiles?: number;
  /** Whether files are compressed when they are rotated. Needs `maxBytes` and two files or more. Default: `false`, and `true` with `local`. */
  readonly compress?: boolean;
}

/**
 * How the output of the first process is kept.
 *
 * - `json-file`: a file as Docker's driver of that name writes it. The default.
 * - `local`: a smaller file in a format of its own, bounded by default.
 * - `none`: not at all. It can be attached to.
 * - `stream`: not on disk, but handed on to streams of this process: only with `lifetime: 'process'`. A stream that does not
 *   take it holds the container back, as a pipe would.
 */
export type LogOptionsOnCreate =
  | ({ readonly driver: 'json-file' } & LogRotation & LogAttributes)
  | ({ readonly driver: 'local' } & LogRotation)
  | { readonly driver: 'none' }
  | {
      readonly driver: 'stream';
      /** Where standard output goes, and standard error as well where `stderr` is not given. Neither is ended. */
      readonly stdout: Writable;
      /** Where standard error goes. */
      readonly stderr?: Writable;
    };

/** A device of the host's that a container gets. */
export interface DeviceMapping {
  /** The device, or a directory with devices: `/dev/sda`. */
  readonly hostPath: string;
  /** Where it is inside. Default: `hostPath`. */
  readonly containerPath?: string;
  /** What may be done with it: any of `r`, `w` and `m` (make nodes). @defaultValue `'rwm'` */
  readonly permissions?: string;
}

/** What setrlimit(2) limits, without `RLIMIT_`. */
export type UlimitName =
  | 'as'
  | 'core'
  | 'cpu'
  | 'data'
  | 'fsize'
  | 'locks'
  | 'memlock'
  | 'msgqueue'
  | 'nice'
  | 'nofile'
  | 'nproc'
  | 'rss'
  | 'rtprio'
  | 'rttime'
  | 'sigpending'
  | 'stack';

/** One limit of setrlimit(2), in its own unit; -1 is unlimited. */
export interface Ulimit {
  /** What is in force. */
  readonly soft: number;
  /** How far a process may raise it by itself. Default: `soft`. */
  readonly hard?: number;
}

/** Whose processes are seen: its own, the host's, or those of another container that runs. */
export type PidMode = 'private' | 'host' | `container:${string}`;

/**
 * Whose System V and POSIX objects, and whose `/dev/shm`: its own, its own and open to others that ask for
 * `container:…`, its own without `/dev/shm`, the host's, or those of another container that runs.
 */
export type IpcMode = 'private' | 'shareable' | 'none' | 'host' | `container:${string}`;

/** What a container is made of. */
export interface CreateContainerOptions extends ProcessOptions, AbortOptions {
  /** A reference, an id, or a handle. Pulled when it is missing: see `pull`. */
  readonly image: string | Image;
  /** Default: two words, drawn by lot. */
  readonly name?: string;
  /** In place of the image's Cmd. Docker takes `[]` for none given, and so do we. */
  readonly command?: readonly string[];
  /** In place of the image's Entrypoint, and then the image's Cmd is not used either. `[]` for none. */
  readonly entrypoint?: readonly string[];
  /** Added to the image's. */
  readonly labels?: Labels;
  /** Binds, volumes and tmpfs, in any order. */
  readonly mounts?: readonly Mount[];
  /**
   * Containers, running or not, whose binds and volumes are mounted at the same places. The container's own win over them,
   * and they over the volumes that the image asks for.
   */
  readonly volumesFrom?: readonly VolumesFrom[];
  /** Ports to publish. A number stands for that port inside and a free one of the host; a text is in Docker's notation. */
  readonly ports?: readonly (number | string | PortMapping)[];
  /** Publishes every port that the image or `expose` names, each at a free one of the host. @defaultValue `false` */
  readonly publishAll?: boolean;
  /** Ports that it offers, besides those that the image names: `80`, `'53/udp'`, `'8000-8010'`. */
  readonly expose?: readonly (number | string)[];
  /**
   * Names of networks; or one of these alone: `'none'`, `'host'`, `'container:NAME'` for the network of another container
   * that runs, `'ns:PATH'` for a network namespace that somebody else made. @defaultValue `['bridge']`
   */
  readonly networks?: readonly (string | Attachment)[];
  /** Containers of the default network to know by name, as Docker's `--link`: `container`, or `container:alias`. */
  readonly links?: readonly string[];
  /** Limits. */
  readonly resources?: Resources;
  /** Whether the root file system is read-only. @defaultValue `false` */
  readonly readOnly?: boolean;
  /** Default: the first twelve digits of the id, as Docker. */
  readonly hostname?: string;
  /** Lines for `/etc/hosts`: name to address, or addresses. `host-gateway` is the host as the container reaches it. */
  readonly extraHosts?: Readonly<Record<string, string | readonly string[]>>;
  /** The NIS domain name. Default: none. */
  readonly domainname?: string;
  /** Name servers. Default: the host's. */
  readonly dns?: readonly string[];
  /** Domains in which names without dots are looked up. `'.'` alone for none. Default: the host's. */
  readonly dnsSearch?: readonly string[];
  /** Settings of the resolver, as `ndots:2`. Default: the host's. */
  readonly dnsOptions?: readonly string[];
  /** Added to and taken from Docker's fourteen; `ALL` is a word for all. */
  readonly capabilities?: { readonly add?: readonly string[]; readonly drop?: readonly string[] };
  /** A profile in Docker's JSON form, or `'unconfined'`. Default: Docker's own profile. */
  readonly seccomp?: 'unconfined' | object;
  /** No exec inside gains privileges: set-user-ID bits do nothing. @defaultValue `false` */
  readonly noNewPrivileges?: boolean;
  /**
   * All capabilities, all devices, nothing masked or read-only, no seccomp filter unless one is given.
   * What is in it is as good as root on the host. @defaultValue `false`
   */
  readonly privileged?: boolean;
  /** Further groups of the process, by name or id. */
  readonly groups?: readonly string[];
  /** Devices of the host's. */
  readonly devices?: readonly DeviceMapping[];
  /** Further rules for device nodes, in the kernel's words: `c 1:3 rwm`, `b 8:* r`, `a *:* rwm`. */
  readonly deviceRules?: readonly string[];
  /** Paths that are not to be seen, in place of Docker's list; `[]` for none. */
  readonly maskedPaths?: readonly string[];
  /** Paths that cannot be written to, in place of Docker's list; `[]` for none. */
  readonly readOnlyPaths?: readonly string[];
  /** Whether the container may write to its own cgroups. Needs `cgroupNamespace: 'private'` or version 2. @defaultValue `false` */
  readonly writableCgroups?: boolean;
  /** A profile that is loaded in the kernel, or `'unconfined'`. Default: none. */
  readonly appArmor?: string;
  /** Limits of setrlimit(2). Default: those of this process. */
  readonly ulimits?: Readonly<Partial<Record<UlimitName, Ulimit>>>;
  /** From -1000, killed last when memory is short, to 1000, killed first. Default: that of this process. */
  readonly oomScoreAdj?: number;
  /** The cgroup under which its own are made, from the root; it stays. @defaultValue `'/tscontainer'` */
  readonly cgroupParent?: string;
  /** Whether it sees its own cgroup as the root of all. Default: `'private'` on version 2, `'host'` on version 1, as Docker. */
  readonly cgroupNamespace?: 'host' | 'private';
  /** @defaultValue `'private'` */
  readonly pidMode?: PidMode;
  /** @defaultValue `'private'` */
  readonly ipcMode?: IpcMode;
  /** Whose host name. @defaultValue `'private'` */
  readonly utsMode?: 'private' | 'host';
  /** Whose users. Default: the host's, which is all there is in this version. */
  readonly userNamespace?: 'host';
  /** Words for other programs, kept with the container. */
  readonly annotations?: Labels;
  /** A small first process in front of the command, which forwards signals and reaps. @defaultValue `false` */
  readonly init?: boolean;
  /** Namespaced kernel settings: `net.…`, `kernel.shm…`, `kernel.msg…`, `kernel.sem`, `fs.mqueue.…`. */
  readonly sysctls?: Readonly<Record<string, string>>;
  /** The size of `/dev/shm`, in bytes. @defaultValue `67_108_864` */
  readonly shmSizeBytes?: number;
  /** What `stop` sends first. Default: the image's StopSignal, else SIGTERM. */
  readonly stopSignal?: NodeJS.Signals;
  /** Between the stop signal and SIGKILL, in milliseconds. @defaultValue `10_000` */
  readonly stopGraceMs?: number;
  /** When it is started again after it has ended. Kept by its monitor, so also when this process is gone. @defaultValue `'no'` */
  readonly restart?: RestartPolicy;
  /** How to tell whether it is well; `false` for not at all. Fields that are left out are the image's. Default: the image's. */
  readonly healthcheck?: Healthcheck | false;
  /** Whether the first process can be written to: see `attach`. @defaultValue `false` */
  readonly stdin?: boolean;
  /** Whether its standard input ends with what the first who attaches has to say, as `docker run -i`; the CLI asks. @internal */
  readonly stdinOnce?: boolean;
  /** How output is kept. @defaultValue `{driver: 'json-file'}` */
  readonly log?: LogOptionsOnCreate;
  /** `process` ends with the process that created it, however that ends; `detached` runs on. @defaultValue `'process'` */
  readonly lifetime?: 'process' | 'detached';
  /** Whether it is removed when it has ended: by the next engine that opens the store. @defaultValue `false` */
  readonly autoRemove?: boolean;
  /** How a command line put it, for `docker inspect`'s words. @internal */
  readonly asked?: Asked;
  /** Which of a tag's platforms. Default: the host's. */
  readonly platform?: PlatformString;
  /** When to ask the registry. @defaultValue `'missing'` */
  readonly pull?: PullPolicy;
}

/** What only a further process can have. */
export interface FurtherProcessOptions extends ProcessOptions {
  /** All capabilities there are. The seccomp filter stays, as with Docker. @defaultValue `false` */
  readonly privileged?: boolean;
  /**
   * One pipe for both: what it writes to standard error comes on `stdout` as well, in exactly the order in which it was
   * written, and `stderr` stays empty. @defaultValue `false`
   */
  readonly merged?: boolean;
}

/** How a command is run to its end. */
export interface ExecOptions extends FurtherProcessOptions, AbortOptions {
  /** What it reads. Default: nothing, `/dev/null`. */
  readonly input?: string | Uint8Array | Readable;
  /** `false` returns a failed result instead of throwing `ExitError`. @defaultValue `true` */
  readonly reject?: boolean;
  /** Kept per stream, in bytes; what is over is dropped and `truncated` is set. @defaultValue `10_485_760` */
  readonly maxOutputBytes?: number;
}

/** How a command is started. */
export interface SpawnOptions extends FurtherProcessOptions, AbortOptions {
  /** Whether its standard input is open. @defaultValue `true` */
  readonly stdin?: boolean;
  /** Keys that mean to leave it running: see `AttachOptions.detachKeys`. Default: none. */
  readonly detachKeys?: string;
}

/** How one is connected to a container's first process, or to a further one. */
export interface AttachOptions extends AbortOptions {
  /** Whether what was written before comes first, out of the log, without a gap or a repetition. @defaultValue `false` */
  readonly logs?: boolean;
  /** Whether it can be written to, if it has a standard input at all. @defaultValue `true` */
  readonly stdin?: boolean;
  /** Both streams on `stdout`, in the order in which the monitor read them. @defaultValue `false` */
  readonly merged?: boolean;
  /**
   * Keys that, written to `stdin`, mean to leave it running: they are not passed on, and `detached` resolves. Docker's
   * notation: `ctrl-p,ctrl-q`, `ctrl-@`, `a,b`. Default: none.
   */
  readonly detachKeys?: string;
  /**
   * For how long this reader may hold the process back when it does not read, in milliseconds. Then it is let go, and its
   * streams fail; the process and all other readers go on. @defaultValue `30_000`
   */
  readonly patienceMs?: number;
}

/**
 * What `wait` waits for, in Docker's words. `not-running`: it does not run, or its process ends, whether it is started again
 * or not. `next-exit`: its process ends, from now on. `removed`: nothing is left of it.
 */
export type WaitCondition = 'not-running' | 'next-exit' | 'removed';

/** How `stop` goes about it. */
export interface StopOptions extends AbortOptions {
  /** What is sent first, by name or number. Default: the container's `stopSignal`. */
  readonly stopSignal?: NodeJS.Signals | number;
  /** Between the stop signal and SIGKILL, in milliseconds. Default: the container's `stopGraceMs`, `10_000`. */
  readonly graceMs?: number;
}

/** Which lines, and until when. */
export interface LogOptions extends AbortOptions {
  /** Goes on until the container ends; over rotations, and over restarts by its policy. @defaultValue `false` */
  readonly follow?: boolean;
  /** Only the last so many of those that are there. Default: all. */
  readonly tail?: number;
  /** Not those before. A `bigint` is nanoseconds since 1970. */
  readonly since?: Date | bigint;
  /** Not those after. */
  readonly until?: Date | bigint;
  /** Only this one. Default: both. */
  readonly stream?: 'stdout' | 'stderr';
}

/** A line of output. */
export interface LogLine {
  /** When the monitor read it. */
  readonly time: Date;
  /** The same to the nanosecond, as it is in the log: RFC 3339, without zeros at the end. */
  readonly timestamp: string;
  /** Where it was written to. */
  readonly stream: 'stdout' | 'stderr';
  /** UTF-8, without its newline. */
  readonly text: string;
  /** It was cut here, at 16 KiB or at the end of the output: no newline followed. */
  readonly partial: boolean;
  /** What was asked for at creation: see {@link LogAttributes}. Absent where there is none. */
  readonly attributes?: Readonly<Record<string, string>>;
}

/** A piece of output as it was written, newlines and all. */
export interface LogChunk {
  /** Where it was written to. */
  readonly stream: 'stdout' | 'stderr';
  /** Whole entries of the log, many at a time. */
  readonly bytes: Buffer;
}
