import { resolve } from 'node:path';

import type { VolumesFrom } from '../container/options.js';
import type { BindMount, Mount, Propagation, TmpfsMount, VolumeMount } from '../volume/mount.js';
import { BadValue } from './flags.js';
import { toPair } from './pairs.js';
import { parseBytes } from './units.js';

const propagations: readonly Propagation[] = ['private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave'];
/** Of what may follow the target of `-v`, one at most of each row. */
const modes: readonly (readonly string[])[] = [
  ['ro', 'rw'],
  ['z', 'Z'],
  ['nocopy'],
  ['O'],
  ['consistent', 'cached', 'delegated'],
  propagations,
];

/**
 * Reads `-v`: `/host:/inside[:ro,rslave]`, `name:/inside[:ro,nocopy]`, or `/inside` alone for a volume without a name. A
 * relative path has to begin with a dot, or it would be a name. `O` is Podman's: writes go to a layer that is thrown away.
 * SELinux's labels are taken and mean nothing where there is no SELinux.
 *
 * @throws {@link BadValue}
 */
export function parseVolume(spec: string): Mount {
  const parts = spec.split(':');
  if (spec === '') throw new BadValue('invalid empty volume spec');
  if (parts.length > 3 || parts.includes(''))
    throw new BadValue(`invalid spec: ${spec}: write [source:]target[:options]`);
  const [first = '', target = first, options = ''] = parts;
  if (!target.startsWith('/'))
    throw new BadValue(`invalid volume specification: '${spec}': mount path must be absolute`);
  const words = options.split(',').filter(word => word !== '');
  if (words.some(word => !modes.flat().includes(word)) || modes.some(row => among(words, row).length > 1))
    throw new BadValue(`invalid mode: ${options}`);
  const common = { target, ...(words.includes('ro') ? { readOnly: true } : {}) };
  if (parts.length === 1) return { type: 'volume', ...common };
  const [propagation] = among(words, propagations);
  const isPath = /^[/.~]/.test(first);
  const misplaced = isPath ? among(words, ['nocopy'])[0] : (propagation ?? among(words, ['O'])[0]);
  if (misplaced !== undefined)
    throw new BadValue(
      `invalid volume specification: '${spec}': ${misplaced} is not for a ${isPath ? 'bind' : 'volume'}`,
    );
  if (!isPath)
    return { type: 'volume', source: first, ...common, ...(words.includes('nocopy') ? { noCopy: true } : {}) };
  return {
    type: 'bind',
    source: resolve(first),
    createSource: true,
    ...common,
    ...(propagation === undefined ? {} : { propagation: propagation as Propagation }),
    ...(words.includes('O') ? { overlay: true } : {}),
  };
}

function among(words: readonly string[], row: readonly string[]): string[] {
  return words.filter(word => row.includes(word));
}

/**
 * Reads `--volumes-from`: `container[:ro]`.
 *
 * @throws {@link BadValue}
 */
export function parseVolumesFrom(spec: string): VolumesFrom {
  const [container = '', mode, ...more] = spec.split(':');
  if (container === '' || more.length > 0) throw new BadValue(`invalid volumes-from specification: ${spec}`);
  if (mode === undefined || ['rw', 'z', 'Z'].includes(mode)) return { container };
  if (mode === 'ro') return { container, readOnly: true };
  throw new BadValue(`invalid mode: ${mode}`);
}

/**
 * Reads `--tmpfs`: `/inside[:size=64m,mode=1770]`.
 *
 * @throws {@link BadValue}
 */
export function parseTmpfs(spec: string): Mount {
  const [, target = '', options = ''] = /^([^:]*):?(.*)$/s.exec(spec) ?? [];
  const mount: { -readonly [K in keyof TmpfsMount]: TmpfsMount[K] } = { type: 'tmpfs', target };
  for (const option of options.split(',')) {
    const [key = '', value = ''] = option.split('=');
    if (key === 'size') mount.sizeBytes = parseBytes(value);
    else if (key === 'mode') mount.mode = parseMode(value);
    else if (key === 'uid' || key === 'gid') mount[key] = parseNumber(key, value);
    else if (key === 'nr_inodes') mount.maxInodes = parseNumber(key, value);
    else if (key === 'ro') mount.readOnly = true;
    else if (key === 'exec' || key === 'suid' || key === 'dev') mount[key] = true;
    // How a tmpfs is mounted anyway.
    else if (!['', 'rw', 'noexec', 'nosuid', 'nodev', 'relatime', 'rprivate', 'private'].includes(key))
      throw new BadValue(`invalid tmpfs option ${JSON.stringify(option)}`);
  }
  return mount;
}

function parseNumber(key: string, text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new BadValue(`invalid ${key} ${JSON.stringify(text)}: write a whole number`);
  return Number(text);
}

const keys: Readonly<Record<string, string>> = { src: 'source', dst: 'target', destination: 'target', ro: 'readonly' };
const known: Readonly<Record<Mount['type'], readonly string[]>> = {
  bind: [
    'source',
    'readonly',
    'bind-propagation',
    'bind-recursive',
    'bind-nonrecursive',
    'bind-create-src',
    'consistency',
  ],
  volume: ['source', 'readonly', 'volume-subpath', 'volume-nocopy', 'volume-label', 'volume-opt', 'volume-driver'],
  tmpfs: ['readonly', 'tmpfs-size', 'tmpfs-mode'],
  image: ['source', 'readonly', 'image-subpath'],
};
const toggles = ['readonly', 'volume-nocopy', 'bind-nonrecursive', 'bind-create-src'];
/** Keys that may come more than once: `volume-opt=type=tmpfs,volume-opt=device=tmpfs`. */
const pairs = ['volume-label', 'volume-opt'];

/** The fields of a `--mount`, by key. */
interface Fields {
  readonly one: ReadonlyMap<string, string>;
  readonly many: ReadonlyMap<string, readonly string[]>;
}

/**
 * Reads `--mount`: `type=bind,source=/host,target=/inside,readonly`.
 *
 * @throws {@link BadValue}
 */
export function parseMount(spec: string): Mount {
  const fields = readFields(spec);
  const type = fields.one.get('type') ?? 'volume';
  if (!isMountType(type)) throw new BadValue(`invalid mount type '${type}': it is bind, volume, tmpfs or image`);
  for (const key of [...fields.one.keys(), ...fields.many.keys()]) {
    if (key === 'type' || key === 'target' || known[type].includes(key)) continue;
    const misplaced = Object.values(known).some(others => others.includes(key));
    const value = fields.one.get(key) ?? fields.many.get(key)?.join(',');
    throw new BadValue(
      misplaced ? `cannot mix '${key}' with mount type '${type}'` : `unexpected key '${key}' in '${key}=${value}'`,
    );
  }
  const target = fields.one.get('target');
  if (target === undefined || target === '') throw new BadValue('target is required');
  return toMount(type, target, fields);
}

function readFields(spec: string): Fields {
  const one = new Map<string, string>();
  const many = new Map<string, string[]>();
  for (const field of splitFields(spec)) {
    const [name = '', value] = splitOnce(field.trim());
    const key = keys[name.toLowerCase()] ?? name.toLowerCase();
    if (value === undefined && !toggles.includes(key))
      throw new BadValue(`invalid field '${field}' must be a key=value pair`);
    if (pairs.includes(key)) many.set(key, [...(many.get(key) ?? []), value ?? '']);
    else one.set(key, value ?? 'true');
  }
  return { one, many };
}

function toMount(type: Mount['type'], target: string, fields: Fields): Mount {
  const { one } = fields;
  const source = one.get('source');
  const readOnly = isTrue(one, 'readonly') ? { readOnly: true } : {};
  switch (type) {
    case 'bind':
      if (source === undefined) throw new BadValue('source is required for a bind mount');
      return { type, source: resolve(source), target, ...readOnly, ...bindOptions(one) };
    case 'volume':
      return { type, ...(source === undefined ? {} : { source }), target, ...readOnly, ...volumeOptions(fields) };
    case 'tmpfs': {
      const [size, mode] = [one.get('tmpfs-size'), one.get('tmpfs-mode')];
      return {
        type,
        target,
        ...readOnly,
        ...(size === undefined ? {} : { sizeBytes: parseBytes(size) }),
        ...(mode === undefined ? {} : { mode: parseMode(mode) }),
      };
    }
    case 'image': {
      const subpath = one.get('image-subpath');
      if (source === undefined) throw new BadValue('source is required for an image mount');
      return { type, source, target, ...(subpath === undefined ? {} : { subpath }) };
    }
  }
}

function bindOptions(fields: ReadonlyMap<string, string>): Partial<BindMount> {
  const [propagation, recursive] = [fields.get('bind-propagation'), fields.get('bind-recursive')];
  if (propagation !== undefined && !propagations.includes(propagation as Propagation))
    throw new BadValue(`invalid propagation mode: ${propagation}`);
  if (recursive !== undefined && !['enabled', 'disabled', 'writable', 'readonly'].includes(recursive))
    throw new BadValue(
      `invalid value for bind-recursive: ${recursive} (must be "enabled", "disabled", "writable", or "readonly")`,
    );
  const how = isTrue(fields, 'bind-nonrecursive') ? 'disabled' : recursive;
  return {
    ...(propagation === undefined ? {} : { propagation: propagation as Propagation }),
    ...(how === undefined ? {} : { recursive: how as NonNullable<BindMount['recursive']> }),
    ...(isTrue(fields, 'bind-create-src') ? { createSource: true } : {}),
  };
}

function volumeOptions({ one, many }: Fields): Partial<VolumeMount> {
  const [subpath, driver = 'local'] = [one.get('volume-subpath'), one.get('volume-driver')];
  if (driver !== 'local') throw new BadValue(`volume driver ${JSON.stringify(driver)} is not supported: it is local`);
  const [labels, options] = pairs.map(key => Object.fromEntries((many.get(key) ?? []).map(toPair)));
  return {
    ...(subpath === undefined ? {} : { subpath }),
    ...(isTrue(one, 'volume-nocopy') ? { noCopy: true } : {}),
    ...(many.has('volume-label') && labels !== undefined ? { labels } : {}),
    ...(many.has('volume-opt') && options !== undefined ? { driverOptions: options } : {}),
  };
}

function isMountType(type: string): type is Mount['type'] {
  return Object.hasOwn(known, type);
}

function isTrue(fields: ReadonlyMap<string, string>, key: string): boolean {
  const value = fields.get(key);
  if (value === undefined || ['false', '0'].includes(value)) return false;
  if (['true', '1'].includes(value)) return true;
  throw new BadValue(`invalid value for ${key}: ${value}`);
}

function parseMode(text: string): number {
  if (!/^[0-7]{1,4}$/.test(text))
    throw new BadValue(`invalid mode ${JSON.stringify(text)}: write it in octal, as 1777`);
  return parseInt(text, 8);
}

function splitOnce(field: string): readonly [string, string | undefined] {
  const at = field.indexOf('=');
  return at < 0 ? [field, undefined] : [field.slice(0, at), field.slice(at + 1)];
}

/** Fields of a CSV line, as RFC 4180 has it: one with a comma in it is quoted as a whole. */
function splitFields(line: string): string[] {
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
    ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? '',
  );
}
