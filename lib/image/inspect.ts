import { parseReference } from '../oci/reference.js';
import type { Digest, PlatformString } from '../types.js';
import type { ImageRecord } from './record.js';

/** A frozen copy of what is known of an image at one moment. */
export interface ImageInfo {
  /** Digest of the config, what Docker calls the image id. */
  readonly id: Digest;
  /** Digest of the manifest. */
  readonly digest: Digest;
  /** As short as Docker prints them: `alpine:3`. */
  readonly tags: readonly string[];
  /** What registries call it: `alpine@sha256:…`. */
  readonly repoDigests: readonly string[];
  /** What it runs on. */
  readonly platform: PlatformString;
  /** When it was built, as it says itself. */
  readonly createdAt: Date | undefined;
  /** Bytes of its layers, unpacked. */
  readonly sizeBytes: number;
  /** Lowest first. */
  readonly layers: ReadonlyArray<{
    /** Of the blob as it was transferred. */
    readonly digest: Digest;
    /** Of the tar archive in it. */
    readonly diffId: Digest;
    /** Of the blob. */
    readonly sizeBytes: number;
  }>;
  /** How a container of it starts: the `config` of its configuration, as it was written. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** As `docker image inspect` says it. */
export interface DockerImage {
  readonly Id: Digest;
  readonly RepoTags: readonly string[];
  readonly RepoDigests: readonly string[];
  readonly Parent: '';
  readonly Comment: string;
  readonly Created: string;
  readonly DockerVersion: string;
  readonly Author: string;
  readonly Config: Readonly<Record<string, unknown>>;
  readonly Architecture: string;
  readonly Variant?: string;
  readonly Os: string;
  readonly OsVersion?: string;
  readonly Size: number;
  /** Where the unpacked layers are, the top one apart. There is no `MergedDir`: nothing is mounted. */
  readonly GraphDriver: { readonly Name: string; readonly Data: Readonly<Record<string, string>> };
  readonly RootFS: { readonly Type: 'layers'; readonly Layers?: readonly Digest[] };
  readonly Metadata: { readonly LastTagTime: string };
}

/** What an image's inspection is made of. */
export interface Inspected {
  readonly record: ImageRecord;
  /** In full. */
  readonly tags: readonly string[];
  /** The configuration as JSON says it, with whatever else is in it. */
  readonly raw: Readonly<Record<string, unknown>>;
}

/** Where an image's layers are on the disk. */
export interface UnpackedLayers {
  readonly driver: string;
  /** Top first. */
  readonly lowers: readonly string[];
}

/** In our words. */
export function toImageInfo({ record, tags, raw }: Inspected): ImageInfo {
  return deepFreeze({
    id: record.config,
    digest: record.manifest.digest,
    tags: tags.map(familiar),
    repoDigests: record.repoDigests.map(familiar),
    platform: record.platform,
    createdAt: instantOf(record.created),
    sizeBytes: sizeOf(record),
    layers: record.layers.map(({ blob, diffId }) => ({ digest: blob.digest, diffId, sizeBytes: blob.size })),
    config: objectOf(raw['config']),
  });
}

/** In Docker's. */
export function toDockerImage({ record, tags, raw }: Inspected, { driver, lowers }: UnpackedLayers): DockerImage {
  const diffIds = record.layers.map(layer => layer.diffId);
  return deepFreeze({
    Id: record.config,
    RepoTags: tags.map(familiar),
    RepoDigests: record.repoDigests.map(familiar),
    Parent: '',
    Comment: lastComment(raw),
    Created: text(raw['created']),
    DockerVersion: text(raw['docker_version']),
    Author: text(raw['author']),
    Config: toDockerConfig(objectOf(raw['config'])),
    Architecture: text(raw['architecture']),
    ...(text(raw['variant']) === '' ? {} : { Variant: text(raw['variant']) }),
    Os: text(raw['os']),
    ...(text(raw['os.version']) === '' ? {} : { OsVersion: text(raw['os.version']) }),
    Size: sizeOf(record),
    GraphDriver: { Name: driver === 'overlay' ? 'overlay2' : 'vfs', Data: graphData(driver, lowers) },
    RootFS: diffIds.length === 0 ? { Type: 'layers' } : { Type: 'layers', Layers: diffIds },
    Metadata: { LastTagTime: tags.length === 0 ? '0001-01-01T00:00:00Z' : record.updated },
  });
}

function graphData(driver: string, [top, ...below]: readonly string[]): Record<string, string> {
  if (top === undefined) return {};
  if (driver !== 'overlay') return { Dir: top };
  return { ...(below.length === 0 ? {} : { LowerDir: below.join(':') }), UpperDir: top };
}

/** Docker prints these also when they are absent, the way Go prints a nil slice or map. */
const always = {
  User: '',
  Env: null,
  Cmd: null,
  Volumes: null,
  WorkingDir: '',
  Entrypoint: null,
  OnBuild: null,
  Labels: null,
};
const sometimes = ['ExposedPorts', 'Healthcheck', 'ArgsEscaped', 'StopSignal', 'Shell'] as const;

function toDockerConfig(config: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const said = [...Object.keys(always), ...sometimes].filter(key => !isEmpty(config[key]));
  return { ...always, ...Object.fromEntries(said.map(key => [key, config[key]])) };
}

/** As Go leaves out what is empty when it passes the configuration on. */
function isEmpty(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length === 0;
  return value === undefined || value === null || value === '' || value === false;
}

/** What its layers come to, unpacked. */
export function sizeOf(record: ImageRecord): number {
  return record.layers.reduce((sum, layer) => sum + layer.bytes, 0);
}

function lastComment(raw: Readonly<Record<string, unknown>>): string {
  const history = Array.isArray(raw['history']) ? (raw['history'] as unknown[]) : [];
  return text(raw['comment']) || text(objectOf(history.at(-1))['comment']);
}

/** `alpine:3` for `docker.io/library/alpine:3`. */
export function familiar(full: string): string {
  return parseReference(full, { defaultTag: false }).familiar();
}

/** `undefined` where the image says nothing, or nonsense. */
export function instantOf(created: string | undefined): Date | undefined {
  const date = new Date(created ?? NaN);
  return Number.isNaN(date.getTime()) ? undefined : date;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !(value instanceof Date)) {
    Object.values(value).forEach(deepFreeze);
    Object.freeze(value);
  }
  return value;
}
