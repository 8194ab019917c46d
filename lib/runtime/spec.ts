import type { CgroupPlan } from '../host/cgroups-plan.js';
import type { PlanField } from '../host/plan.js';

/** The namespaces that a container can have to itself. */
export type NamespaceKind = 'mnt' | 'pid' | 'net' | 'ipc' | 'uts' | 'user';

/** One range of ids: `size` of them, from `container` inside to `host` outside. */
export interface IdRange {
  readonly container: number;
  readonly host: number;
  readonly size: number;
}

/** Maps of a user namespace; see user_namespaces(7). */
export interface UserNamespace {
  readonly uids: readonly IdRange[];
  readonly gids: readonly IdRange[];
  readonly setgroups: 'allow' | 'deny';
}

/** What the container sees at `/`. */
export type RootSpec =
  | {
      readonly kind: 'overlay';
      /** Relative to `base`, topmost first. */
      readonly lowers: readonly string[];
      readonly base: string;
      readonly upper: string;
      readonly work: string;
      /** Comma-separated, as for mount(8). */
      readonly options: string;
    }
  | { readonly kind: 'plain'; readonly dir: string };

/** One mount below the root, in the order in which they are made. */
export type MountSpec =
  | {
      readonly kind: 'filesystem';
      readonly type: string;
      readonly source: string;
      readonly target: string;
      /** `MOUNT_ATTR_…` of mount_setattr(2). */
      readonly attributes: number;
      readonly options: string;
    }
  | {
      readonly kind: 'bind';
      readonly source: string;
      readonly target: string;
      readonly attributes: number;
      /** With what is mounted below the source. */
      readonly recursive: boolean;
      /** Whether the attributes are only those of the topmost mount. @defaultValue `false` */
      readonly shallow?: boolean;
      /** Whether later mounts of the host come in (`slave`), or go both ways (`shared`). @defaultValue `'private'` */
      readonly propagation?: 'private' | 'slave' | 'shared';
      /** What to make of a target that is not there. */
      readonly create: 'directory' | 'file' | 'like-source' | 'never';
    }
  /** A mount of another container that runs. */
  | {
      readonly kind: 'bind-of';
      readonly peer: Peer;
      readonly source: string;
      readonly target: string;
      readonly attributes: number;
    }
  | {
      readonly kind: 'overlay';
      readonly target: string;
      readonly attributes: number;
      /** What of it is mounted; empty for all. */
      readonly subpath: string;
      /** Relative to `base`, topmost first. */
      readonly lowers: readonly string[];
      readonly base: string;
      /** Absent for layers that are only read. */
      readonly writable?: { readonly upper: string; readonly work: string };
      /** Comma-separated, as for mount(8). */
      readonly options: string;
    };

/** The first process of another container, by its name for good. */
export interface Peer {
  readonly pid: number;
  /** Clock ticks since boot. */
  readonly startTime: number;
}

/** `MOUNT_ATTR_…`, mount_setattr(2). */
export const attribute = { readOnly: 1, noSuid: 2, noDev: 4, noExec: 8, strictAtime: 0x20 } as const;

/** A node to make under `/dev`. */
export interface DeviceNode {
  readonly path: string;
  readonly type: 'c' | 'b';
  readonly major: number;
  readonly minor: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** Sets of capabilities, as bit masks; capabilities(7). */
export interface CapabilityMasks {
  readonly bounding: bigint;
  readonly permitted: bigint;
  readonly effective: bigint;
  readonly inheritable: bigint;
  readonly ambient: bigint;
}

/** A process inside a container, all questions answered: the first one's, or that of an exec. */
export interface ProcessSpec {
  readonly argv: readonly string[];
  /** `NAME=value`. */
  readonly env: readonly string[];
  readonly cwd: string;
  /** Whether a missing `cwd` is made, as Docker does for the first process. */
  readonly createCwd: boolean;
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  readonly capabilities: CapabilityMasks;
  /** A BPF program; absent when unconfined. */
  readonly seccomp?: Buffer;
  readonly noNewPrivileges: boolean;
  /** From -1000 to 1000; absent to leave it as it is. */
  readonly oomScoreAdj?: number;
  /** The AppArmor profile to change to when it is executed. */
  readonly appArmor?: string;
  readonly rlimits: readonly {
    readonly resource: number;
    readonly soft: number;
    readonly hard: number;
    readonly what: string;
  }[];
  /** The size of its terminal; absent when it has none. */
  readonly tty?: { readonly rows: number; readonly columns: number };
  /** Its standard input is a pipe from us; otherwise `/dev/null`. */
  readonly stdin: boolean;
  /** Both its outputs are one pipe. */
  readonly merged: boolean;
  /** A small PID 1 of ours in front of it. */
  readonly init: boolean;
}

/** An op of a helper's plan, as other layers hand it over: name and fields. */
export type Op = readonly [name: string, ...fields: PlanField[]];

/** A log as the monitor writes it. */
export interface LogSpec {
  readonly path: string;
  readonly driver: 'json-file' | 'local';
  /** 0: never rotated. */
  readonly maxBytes: number;
  readonly maxFiles: number;
  readonly compress: boolean;
  /** What stands in each entry as its `attrs`, as JSON; or nothing. */
  readonly attributes: string;
}

/** A container, all questions answered: what the monitor carries out. Close to runtime-spec v1.3.0, config.md. */
export interface ContainerSpec {
  /** Ends with whoever started it, or runs on. */
  readonly lifetime: 'process' | 'detached';
  /** Made and removed by the monitor: its socket, its running state. */
  readonly runDir: string;
  /** Where the monitor writes how it ended. */
  readonly exitFile: string;
  /** A log on disk; absent where none is kept. */
  readonly log?: LogSpec;
  /** The starter wants the output on its connection, from the first byte. */
  readonly attach: boolean;
  readonly namespaces: readonly NamespaceKind[];
  /** Existing namespaces to enter instead. */
  readonly joins: readonly { readonly kind: NamespaceKind; readonly path: string; readonly of?: Peer }[];
  /** Whether what is left when the first process ends has to be killed: without a pid namespace nobody else does. */
  readonly killsRest?: boolean;
  readonly cgroupNamespace: boolean;
  readonly userNamespace?: UserNamespace;
  readonly hostname?: string;
  readonly domainname?: string;
  /** An empty directory in the store: the root is mounted on it, seen by the container's namespace alone. */
  readonly mountpoint: string;
  readonly root: RootSpec;
  readonly readOnlyRoot: boolean;
  readonly mounts: readonly MountSpec[];
  readonly devices: readonly DeviceNode[];
  readonly symlinks: readonly { readonly path: string; readonly target: string }[];
  readonly maskedPaths: readonly string[];
  readonly readOnlyPaths: readonly string[];
  readonly sysctls: Readonly<Record<string, string>>;
  readonly cgroups?: CgroupPlan;
  /** `proxy`, `net-host-…` and `net-in-…`, from the network layer. */
  readonly network: readonly Op[];
  readonly process: ProcessSpec;
}
