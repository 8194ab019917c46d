export { Engine, type EngineOptions, type EventOptions, type RunOptions } from './engine.js';
export * from './errors.js';
export type * from './types.js';

export { Container } from './container/container.js';
export type { FileChange } from './container/changes.js';
export type { CommitOptions } from './container/commit.js';
export type { Containers } from './container/containers.js';
export type { CopyInOptions, CopyOutOptions, CopyReport } from './container/copy.js';
export type { ContainerFiles, DirectoryEntry, WriteFileOptions } from './container/fs.js';
export type { FileStat, FileType } from './container/fs-stat.js';
export type { HealthResult, HealthStatus } from './container/health.js';
export type { ContainerFilter } from './container/filter.js';
export type { ContainerInfo, ContainerState } from './container/inspect.js';
export type { ContainerStats, NetworkCounters, StatsOptions, WatchStatsOptions } from './container/stats.js';
export type { ProcessTable, TopOptions } from './container/top.js';
export type { UpdatableResources, UpdateOptions } from './container/update.js';
export type {
  AttachOptions,
  Attachment,
  CreateContainerOptions,
  DeviceMapping,
  ExecOptions,
  FurtherProcessOptions,
  Healthcheck,
  IpcMode,
  LogAttributes,
  LogChunk,
  LogLine,
  LogOptions,
  LogOptionsOnCreate,
  LogRotation,
  PidMode,
  ProcessOptions,
  RestartPolicy,
  SpawnOptions,
  StopOptions,
  TerminalSize,
  VolumesFrom,
  WaitCondition,
  Ulimit,
  UlimitName,
} from './container/options.js';
export type { Exec } from './container/exec.js';
export type { ExecInfo, ExecRequest } from './container/exec-record.js';
export type { Process } from './container/process.js';
export type { FetchOptions } from './container/reach.js';
export { ready } from './container/ready.js';
export type { Condition } from './container/ready-condition.js';
export type { HttpOptions } from './container/ready-http.js';

export { Image } from './image/image.js';
export type { ImageCollection } from './image/images.js';
export type { PullOptions, PullPolicy, CopyOptions, LoadImageOptions } from './image/options.js';
export type { ImageRemoval, RemoveImageOptions } from './image/removals.js';
export type { CheckOptions, StoreCheck, StoreProblem } from './image/check.js';
export type { ImageLocation } from './image/copy.js';
export type { HistoryStep } from './image/history.js';
export type { ImportOptions } from './image/import.js';
export type { LintFinding } from './image/lint.js';
export type { ImageChange, MountedImage } from './image/mount.js';
export type { SaveOptions } from './image/save.js';
export type { ImageFilter } from './image/filter.js';
export type { FromHostOptions } from './image/from-host.js';
export type { HostFile } from './image/host-tree.js';
export type { DockerImage, ImageInfo } from './image/inspect.js';

export { Network, type ConnectOptions, type ContainerRef, type NetworkInfo } from './network/network.js';
export type { JoinRequest } from './network/members.js';
export type { SubnetOptions } from './network/subnets.js';
export type { CreateNetworkOptions, Networks } from './network/networks.js';
export type { PortMapping } from './network/ports.js';

export type { PushOptions, PushProgress } from './image/push.js';
export { Registry } from './registry/registry.js';
export type { BlobOptions, CallOptions, RegistryOptions } from './registry/options.js';
export type { BlobContent, UploadOptions, UploadOutcome } from './registry/upload.js';
export { dockerDaemonConfig, type RegistrySettings } from './registry/mirrors.js';
export { login, logout, type Login, type LoginOptions, type LogoutOptions } from './registry/login.js';
export type { SearchResult } from './registry/search.js';
export { RegistryServer, type ListenOptions, type RegistryServerOptions } from './registry/server/server.js';
export type { Authenticate } from './registry/server/auth.js';
export type { CollectRegistryOptions } from './registry/server/collect.js';
export type { RegistryStorage, StoredBlob, StoredManifest } from './registry/server/storage.js';
export type { Upstream } from './registry/server/upstream.js';
export type { FetchedManifest } from './registry/manifest.js';
export { dockerCredentials, type Credential, type CredentialProvider } from './registry/credentials.js';
export type { Descriptor, Platform } from './oci/descriptor.js';

export type { BindMount, ImageMount, Mount, Propagation, TmpfsMount, VolumeMount } from './volume/mount.js';
export { Volume, type VolumeInfo } from './volume/volume.js';
export type { VolumeFilter } from './volume/filter.js';
export type { CreateVolumeOptions } from './volume/options.js';
export type { VolumeCollection } from './volume/volumes.js';
