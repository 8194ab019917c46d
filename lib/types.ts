import type { EngineError, ExitStatus } from './errors.js';

/** Every asynchronous call takes this. An abort rejects with `signal.reason`, unwrapped. */
export interface AbortOptions {
  /** Ends the call. `AbortSignal.timeout(ms)` is the timeout. */
  readonly signal?: AbortSignal;
}

/** What the caller created and therefore may dispose of. Look-ups return a plain `T`. */
export type Owned<T> = T & AsyncDisposable;

/** A long call: await it for the result, iterate it for the progress, or both. */
export interface Operation<T, P> extends Promise<T>, AsyncIterable<P> {}

/** `algorithm:hex`, as in image-spec v1.1.1, descriptor.md, section Digests. */
export type Digest = `sha256:${string}` | `sha512:${string}`;

/** `linux/amd64`, `linux/arm64/v8`. */
export type PlatformString = `${string}/${string}`;

/** Keys and values as the user gave them. */
export type Labels = Readonly<Record<string, string>>;

/** Every given field must match. */
export interface Filter {
  /** The whole name, or a pattern somewhere in it. */
  readonly name?: string | RegExp;
  /** `{key: true}` asks only that the label is there. */
  readonly labels?: Readonly<Record<string, string | true>>;
}

/** Limits of a container. Bytes, plain numbers, no strings to parse; what is left out is not limited. */
export interface Resources {
  /** Memory, in bytes. At least 6 MiB, as Docker. */
  readonly memoryBytes?: number;
  /** Memory and swap together, in bytes; -1 for no limit. Default: twice `memoryBytes`, as Docker. */
  readonly memorySwapBytes?: number;
  /** What the kernel tries to reclaim down to when memory is short, in bytes. */
  readonly memoryReservationBytes?: number;
  /** `1.5` is one and a half processors. */
  readonly cpus?: number;
  /** Weight against other containers, 2 to 262144; the kernel's default is 1024. */
  readonly cpuShares?: number;
  /** With `cpuQuotaMicros`, the longhand of `cpus`: 1,000 to 1,000,000. */
  readonly cpuPeriodMicros?: number;
  /** Processor time per period, at least 1,000; -1 for no limit. */
  readonly cpuQuotaMicros?: number;
  /** Processors that may be used: `0-2,7`. */
  readonly cpusetCpus?: string;
  /** Memory nodes that may be used: `0,1`. */
  readonly cpusetMems?: string;
  /** Processes and threads together; -1 or 0 for no limit. */
  readonly maxProcesses?: number;
  /** How readily the kernel swaps, 0 to 100; -1 for its own way. Version 1 of cgroups only. */
  readonly memorySwappiness?: number;
  /** Whether processes wait for memory at their limit instead of being killed. Version 1 of cgroups only. @defaultValue `false` */
  readonly oomKillDisable?: boolean;
  /** Weight of block input and output against other containers, 10 to 1000; 0 for the kernel's own. */
  readonly blkioWeight?: number;
  /** The same for single devices. */
  readonly blkioWeightDevices?: readonly { readonly path: string; readonly weight: number }[];
  /** Bytes per second that may be read from a block device. */
  readonly deviceReadBytes?: readonly DeviceRate[];
  /** Bytes per second that may be written to a block device. */
  readonly deviceWriteBytes?: readonly DeviceRate[];
  /** Reads per second from a block device. */
  readonly deviceReadOps?: readonly DeviceRate[];
  /** Writes per second to a block device. */
  readonly deviceWriteOps?: readonly DeviceRate[];
  /** Huge pages, in bytes for each size of page: `{'2MB': 64 << 20}`. */
  readonly hugePageBytes?: Readonly<Record<string, number>>;
}

/** How much of a block device may be used per second. */
export interface DeviceRate {
  /** The device: `/dev/sda`. */
  readonly path: string;
  /** Bytes or operations per second, at least 1. */
  readonly perSecond: number;
}

/** What a prune took away. */
export interface PruneReport {
  /** Ids or names. */
  readonly removed: readonly string[];
  /** Bytes of disk that were given back. */
  readonly reclaimedBytes: number;
}

/** One kind of thing on disk, as `engine.diskUsage()` counts it. */
export interface UsageOf<T> {
  /** How many there are. */
  readonly count: number;
  /** How many of them are in use: images of containers, containers that run, volumes that are mounted. */
  readonly active: number;
  /** Bytes of all of them; what several share counts once. */
  readonly totalBytes: number;
  /** Bytes that removing what is not in use would give back. */
  readonly reclaimableBytes: number;
  /** Each of them. */
  readonly items: readonly T[];
}

/** What an image takes. */
export interface ImageUsage {
  /** Digest of its config. */
  readonly id: Digest;
  /** As short as Docker prints them. */
  readonly tags: readonly string[];
  /** What registries call it. */
  readonly repoDigests: readonly string[];
  /** When it was built, as it says itself. */
  readonly createdAt: Date | undefined;
  /** Bytes of its layers, unpacked. */
  readonly sizeBytes: number;
  /** Of those, the bytes of layers that other images have, too. */
  readonly sharedBytes: number;
  /** What would go with it. */
  readonly uniqueBytes: number;
  /** How many containers were made from it. */
  readonly containers: number;
}

/** What a container takes. */
export interface ContainerUsage {
  /** Its id. */
  readonly id: string;
  /** Its name. */
  readonly name: string;
  /** It has a process. */
  readonly running: boolean;
  /** Bytes of the files that it has made or changed. */
  readonly sizeBytes: number;
  /** How many volumes it mounts. */
  readonly volumes: number;
}

/** What a volume takes. */
export interface VolumeUsage {
  /** Its name. */
  readonly name: string;
  /** How many containers mount it, running or not. */
  readonly containers: number;
  /** Bytes of its files. */
  readonly sizeBytes: number;
}

/** What a step of a build left for the next one. */
export interface BuildCacheUsage {
  /** Its name in the cache. */
  readonly id: string;
  /** What it is the result of. */
  readonly description: string;
  /** Bytes of it. */
  readonly sizeBytes: number;
  /** When it was made. */
  readonly createdAt: Date;
  /** A build uses it now. */
  readonly inUse: boolean;
}

/** What the store takes on disk, in the sections of `docker system df`. */
export interface DiskUsage {
  /** Layers count as they are unpacked, once however many images have them. */
  readonly images: UsageOf<ImageUsage>;
  /** What containers wrote outside of volumes. */
  readonly containers: UsageOf<ContainerUsage>;
  /** What is in volumes. */
  readonly volumes: UsageOf<VolumeUsage>;
  /** What builds left. */
  readonly buildCache: UsageOf<BuildCacheUsage>;
  /** Content as it was transferred, which is kept beside the unpacked layers. */
  readonly blobs: {
    /** How many there are. */
    readonly count: number;
    /** Bytes of them. */
    readonly totalBytes: number;
    /** Bytes of transfers that were interrupted, kept for a while to be gone on with. */
    readonly partialBytes: number;
  };
}

/** Progress of bytes or files on their way. */
export interface TransferProgress {
  /** What is going on with this item. */
  readonly kind: 'resolve' | 'download' | 'upload' | 'unpack' | 'exists' | 'mounted' | 'done';
  /** Which item. */
  readonly digest: Digest;
  /** Bytes so far. */
  readonly bytes: number;
  /** Bytes in all, where known. */
  readonly totalBytes: number | undefined;
}

/** Whether this host can do something and, if not, why and what would make it so. */
export type Feature =
  | { readonly available: true; readonly detail?: string }
  | { readonly available: false; readonly reason: string; readonly remedy: string };

/** Found by trying, once, when it is first asked for. */
export interface Features {
  /** Linux at all. */
  readonly linux: Feature;
  /** Creating mount, pid, ipc, uts and network namespaces. */
  readonly namespaces: Feature;
  /** Creating user namespaces with the maps this user may have. */
  readonly userNamespaces: Feature;
  /** Mounting overlayfs on the store's file system. */
  readonly overlay: Feature;
  /** Copying files by reference on the store's file system. */
  readonly reflink: Feature;
  /** Any controller at all, version 1 or 2. */
  readonly cgroups: Feature;
  /** `resources.memoryBytes`. */
  readonly memoryLimit: Feature;
  /** `resources.cpus`. */
  readonly cpuLimit: Feature;
  /** `resources.maxProcesses`. */
  readonly pidsLimit: Feature;
  /** `resources.deviceReadBytes` and the like. */
  readonly blockIo: Feature;
  /** `resources.hugePageBytes`. */
  readonly hugePages: Feature;
  /** `container.pause`. */
  readonly freezer: Feature;
  /** Access rules for device nodes. */
  readonly devices: Feature;
  /** Bridges and veth pairs. */
  readonly bridge: Feature;
  /** Masquerading, so that containers reach what the host reaches. */
  readonly masquerade: Feature;
  /** Seccomp filters. */
  readonly seccomp: Feature;
  /** AppArmor profiles. */
  readonly appArmor: Feature;
  /** Reading zstd layers, and how fast. */
  readonly zstd: Feature;
}

/** What there is in a store, and what it runs on. */
export interface EngineInfo {
  /** Of this package. */
  readonly version: string;
  /** How many there are, by state. */
  readonly containers: {
    readonly total: number;
    readonly running: number;
    readonly paused: number;
    /** All others. */
    readonly stopped: number;
  };
  /** How many there are. */
  readonly images: number;
  /** Where everything is kept. */
  readonly root: string;
  /** How layers are stacked. */
  readonly snapshotter: 'overlay' | 'plain';
  /** Version of the cgroups that limits are set in; a hybrid host keeps them in 1. `undefined` where there are none. */
  readonly cgroupVersion: 1 | 2 | undefined;
  /** What confines containers here. */
  readonly security: readonly ('seccomp' | 'apparmor')[];
  /** Of the kernel, as `uname -r` has it. */
  readonly kernelVersion: string;
  /** The system's name of itself: `Debian GNU/Linux 12 (bookworm)`. */
  readonly operatingSystem: string;
  /** As `uname -m` has it: `x86_64`. */
  readonly architecture: string;
  /** Of the machine. */
  readonly hostname: string;
  /** Processors. */
  readonly cpus: number;
  /** Of the machine. */
  readonly memoryBytes: number;
  /** What this host lacks, one sentence each with what would change it. */
  readonly warnings: readonly string[];
}

/** Shaped like pino. Nothing is ever printed by the library itself. */
export interface Logger {
  /** Details for whoever looks into a problem. */
  debug(fields: object, message: string): void;
  /** What went as planned. */
  info(fields: object, message: string): void;
  /** What did not, and was coped with. */
  warn(fields: object, message: string): void;
  /** What did not, and was not. */
  error(fields: object, message: string): void;
}

/** What every event carries. */
export interface EventBase {
  /** When it happened. */
  readonly time: Date;
  /** Of the thing it happened to. */
  readonly id: string;
  /** Of the thing it happened to. */
  readonly labels: Labels;
}

/** What every event of a container carries. */
export interface ContainerEventBase extends EventBase {
  /** Its name at that time. */
  readonly name: string;
  /** Its image, as it was named when the container was created. */
  readonly image: string;
}

/** Event names are `noun:verb`. */
export interface EngineEvents {
  /** It has a record and does not run yet. */
  'container:create': [event: ContainerEventBase];
  /** Its command was executed. */
  'container:start': [event: ContainerEventBase & { readonly pid: number }];
  /** Its first process has ended. With `restartInMs` it is started again after so long, unless it is stopped first. */
  'container:exit': [event: ContainerEventBase & { readonly status: ExitStatus; readonly restartInMs?: number }];
  /** The kernel killed a process of it for want of memory. */
  'container:oom': [event: ContainerEventBase];
  /** It was sent a signal. */
  'container:kill': [event: ContainerEventBase & { readonly signal: NodeJS.Signals }];
  /** It was stopped: by `stop`, and it has ended. */
  'container:stop': [event: ContainerEventBase];
  /** It was restarted: by `restart`, and it runs again. */
  'container:restart': [event: ContainerEventBase];
  /** Its processes stand still. */
  'container:pause': [event: ContainerEventBase];
  /** They go on. */
  'container:unpause': [event: ContainerEventBase];
  /** Its health check came to another result than before. */
  'container:health': [event: ContainerEventBase & { readonly health: 'starting' | 'healthy' | 'unhealthy' }];
  /** It has another name; `name` is the new one. */
  'container:rename': [event: ContainerEventBase & { readonly oldName: string }];
  /** Its limits or its restart policy are others. */
  'container:update': [event: ContainerEventBase];
  /** An image was made of it. */
  'container:commit': [
    event: ContainerEventBase & {
      readonly imageId: Digest;
      /** The name that the image got. */
      readonly ref?: string;
      readonly message?: string;
    },
  ];
  /** Nothing of it is left. */
  'container:remove': [event: ContainerEventBase];
  /** It came from a registry. */
  'image:pull': [event: EventBase & { readonly ref: string }];
  /** It went to a registry. */
  'image:push': [event: EventBase & { readonly ref: string }];
  /** It came from an archive. */
  'image:load': [event: EventBase & { readonly ref: string }];
  /** It was made from the file system of an archive. */
  'image:import': [event: EventBase & { readonly ref: string }];
  /** It was written to an archive. */
  'image:save': [event: EventBase & { readonly ref: string }];
  /** It got a name. */
  'image:tag': [event: EventBase & { readonly ref: string }];
  /** It lost a name. */
  'image:untag': [event: EventBase & { readonly ref: string }];
  /** It is gone. */
  'image:remove': [event: EventBase];
  /** It was made. */
  'volume:create': [event: EventBase];
  /** It is gone, with all that was in it. */
  'volume:remove': [event: EventBase];
  /** It was made, and its bridge is up. */
  'network:create': [event: EventBase & { readonly name: string }];
  /** It is gone. */
  'network:remove': [event: EventBase & { readonly name: string }];
  /** A container that runs came to it: by `connect`. */
  'network:connect': [event: EventBase & { readonly name: string; readonly container: string }];
  /** A container that runs left it: by `disconnect`. */
  'network:disconnect': [event: EventBase & { readonly name: string; readonly container: string }];
  /** Something went wrong and was coped with. */
  warning: [event: { readonly time: Date; readonly message: string; readonly error?: EngineError }];
}

/** One event with its name, as `engine.events()` gives it. */
export type EngineEvent = { [K in keyof EngineEvents]: { readonly type: K } & EngineEvents[K][0] }[keyof EngineEvents];
