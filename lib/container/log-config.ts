import { join } from 'node:path';

import type { ContainerContext } from './context.js';
import type { ContainerRecord } from './record.js';
import type { LogAttributes, LogOptionsOnCreate } from './options.js';

/** Docker's for `local`: 20 MiB in each of 5 files. */
const LOCAL = { maxBytes: 20 * 1024 * 1024, maxFiles: 5, compress: true } as const;

/** How files are kept, all questions answered. */
export interface KeptLog {
  /** `json-file` or `local`: in which format. */
  readonly driver: 'json-file' | 'local';
  /** 0: never rotated. */
  readonly maxBytes: number;
  readonly maxFiles: number;
  readonly compress: boolean;
  readonly attributes?: StoredAttributes;
}

/** A record's part on its log: {@link LogOptionsOnCreate}, as it is kept on disk. */
export type LogConfig = KeptLog | { readonly driver: 'none' } | { readonly driver: 'stream' };

type StoredAttributes = Omit<LogAttributes, 'labelsPattern' | 'envPattern'> & {
  readonly labelsPattern?: string;
  readonly envPattern?: string;
};

/** What is asked for, with Docker's defaults. @throws `TypeError` for what no log can be. */
export function resolveLog(
  options: LogOptionsOnCreate = { driver: 'json-file' },
  lifetime: 'process' | 'detached' = 'process',
): LogConfig {
  switch (options.driver) {
    case 'none':
      return { driver: 'none' };
    case 'stream':
      if (lifetime === 'detached')
        throw new TypeError(
          "containers.create: log: a stream of this process cannot serve a container with lifetime: 'detached'. Use json-file or local, and container.logs({follow: true})",
        );
      return { driver: 'stream' };
    case 'local':
      return checkRotation({
        driver: 'local',
        maxBytes: options.maxBytes ?? LOCAL.maxBytes,
        maxFiles: options.maxFiles ?? LOCAL.maxFiles,
        compress: options.compress ?? (options.maxFiles !== 1 && options.maxBytes !== 0),
      });
    case 'json-file':
      return checkRotation({
        driver: 'json-file',
        maxBytes: options.maxBytes ?? 0,
        maxFiles: options.maxFiles ?? 1,
        compress: options.compress ?? false,
        ...storeAttributes(options),
      });
    default:
      options satisfies never;
      throw new TypeError(
        `containers.create: log.driver: expected json-file, local, none or stream, got ${JSON.stringify(options)}`,
      );
  }
}

/** Whether there is a log on disk to read. */
export function isKept(log: LogConfig): log is KeptLog {
  return log.driver === 'json-file' || log.driver === 'local';
}

/** What goes into each entry, as the JSON text that stands there: sorted by name. `''` when nothing was asked for. */
export function attributesText(record: Pick<ContainerRecord, 'id' | 'name' | 'image' | 'labels' | 'config'>): string {
  const { log, env } = record.config;
  if (log.driver !== 'json-file' || log.attributes === undefined) return '';
  const { labels, labelsPattern, env: names, envPattern, tag } = log.attributes;
  const variables = Object.fromEntries(
    env.map(entry => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
  );
  const found = new Map([
    ...pick(record.labels, labels, labelsPattern),
    ...pick(variables, names, envPattern),
    ...(tag === undefined ? [] : [['tag', expandTag(tag, record)] as const]),
  ]);
  if (found.size === 0) return '';
  const sorted = [...found].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return `{${sorted.map(([name, value]) => `${goString(name)}:${goString(value)}`).join(',')}}`;
}

function pick(
  from: Readonly<Record<string, string>>,
  names: readonly string[] = [],
  pattern?: string,
): (readonly [string, string])[] {
  const matches = pattern === undefined ? undefined : new RegExp(pattern);
  return Object.entries(from).filter(([name]) => names.includes(name) || matches?.test(name) === true);
}

const tagFields: Readonly<Record<string, (record: Pick<ContainerRecord, 'id' | 'name' | 'image'>) => string>> = {
  ID: ({ id }) => id.slice(0, 12),
  FullID: ({ id }) => id,
  Name: ({ name }) => name,
  ImageID: ({ image }) => image.id.replace(/^sha256:/, '').slice(0, 12),
  ImageFullID: ({ image }) => image.id,
  ImageName: ({ image }) => image.ref,
  DaemonName: () => 'tscontainer',
};

/** Field names of a tag, checked when it is created. */
function expandTag(tag: string, record: Pick<ContainerRecord, 'id' | 'name' | 'image'>): string {
  return tag.replace(/\{\{\s*\.(\w+)\s*\}\}/g, (whole, name: string) => tagFields[name]?.(record) ?? whole);
}

function storeAttributes(options: LogAttributes): { attributes?: StoredAttributes } {
  const { labels, labelsPattern, env, envPattern, tag } = options;
  const attributes: StoredAttributes = {
    ...(labels === undefined ? {} : { labels }),
    ...(labelsPattern === undefined ? {} : { labelsPattern: checkPattern('labelsPattern', labelsPattern) }),
    ...(env === undefined ? {} : { env }),
    ...(envPattern === undefined ? {} : { envPattern: checkPattern('envPattern', envPattern) }),
    ...(tag === undefined ? {} : { tag: checkTag(tag) }),
  };
  return Object.keys(attributes).length === 0 ? {} : { attributes };
}

function checkPattern(option: string, pattern: RegExp | string): string {
  const source = typeof pattern === 'string' ? pattern : pattern.source;
  try {
    return new RegExp(source).source;
  } catch (error) {
    throw new TypeError(`containers.create: log.${option}: ${(error as Error).message}`, { cause: error });
  }
}

function checkTag(tag: string): string {
  const rest = tag.replace(/\{\{\s*\.(\w+)\s*\}\}/g, (whole, name: string) =>
    Object.hasOwn(tagFields, name) ? '' : whole,
  );
  if (!rest.includes('{{')) return tag;
  throw new TypeError(
    `containers.create: log.tag: expected text with {{.${Object.keys(tagFields).join('}}, {{.')}}}, got ${JSON.stringify(tag)}`,
  );
}

function checkRotation(log: KeptLog): KeptLog {
  const { maxBytes, maxFiles, compress } = log;
  if (!Number.isSafeInteger(maxBytes) || maxBytes < 0)
    throw new TypeError(`containers.create: log.maxBytes: expected a whole number of bytes, got ${String(maxBytes)}`);
  if (!Number.isSafeInteger(maxFiles) || maxFiles < 1 || maxFiles > 1000)
    throw new TypeError(`containers.create: log.maxFiles: expected 1 to 1000, got ${String(maxFiles)}`);
  if (compress && (maxFiles < 2 || maxBytes === 0))
    throw new TypeError('containers.create: log.compress: needs maxBytes, and maxFiles of 2 or more');
  return log;
}

/** As Go's encoding/json writes text: as JSON.stringify does, and `<`, `>`, `&` and the line separators of Unicode escaped. */
function goString(text: string): string {
  return JSON.stringify(text).replace(
    /[<>&\u2028\u2029]/g,
    character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Where the log of a container is, named as Docker names it; in a format of our own, by a name of our own. */
export function logPath({ records }: ContainerContext, record: ContainerRecord): string {
  return join(
    records.directory(record.id),
    record.config.log.driver === 'local' ? 'local.log' : `${record.id}-json.log`,
  );
}
