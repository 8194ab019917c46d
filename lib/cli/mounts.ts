import { resolve } from 'node:path';

import type { Mount } from '../volume/mount.js';
import { BadValue } from './flags.js';
import { parseBytes } from './units.js';

/** What may follow the target of `-v` without a change of meaning here: Docker's defaults, and SELinux's labels. */
const harmless = new Set(['rw', 'z', 'Z', 'rprivate', 'private', 'nocopy', 'consistent', 'cached', 'delegated']);

/**
 * Reads `-v`: `/host:/inside[:ro]`, `name:/inside`, or `/inside` alone for a volume without a name. A relative path has to
 * begin with a dot, or it would be a name.
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
  const unknown = words.find(word => word !== 'ro' && !harmless.has(word));
  if (unknown !== undefined) throw new BadValue(`invalid mode: ${unknown}`);
  const common = { target, ...(words.includes('ro') ? { readOnly: true } : {}) };
  if (parts.length === 1) return { type: 'volume', ...common };
  const isPath = /^[/.~]/.test(first);
  return isPath
    ? { type: 'bind', source: resolve(first), createSource: true, ...common }
    : { type: 'volume', source: first, ...common };
}

/**
 * Reads `--tmpfs`: `/inside[:size=64m,mode=1770]`.
 *
 * @throws {@link BadValue}
 */
export function parseTmpfs(spec: string): Mount {
  const [, target = '', options = ''] = /^([^:]*):?(.*)$/s.exec(spec) ?? [];
  const mount: { type: 'tmpfs'; target: string; sizeBytes?: number; mode?: number } = { type: 'tmpfs', target };
  for (const option of options.split(',')) {
    const [key = '', value = ''] = option.split('=');
    if (key === 'size') mount.sizeBytes = parseBytes(value);
    else if (key === 'mode') mount.mode = parseMode(value);
    // How a tmpfs is mounted anyway.
    else if (!['', 'rw', 'noexec', 'nosuid', 'nodev'].includes(key))
      throw new BadValue(`invalid tmpfs option ${JSON.stringify(option)}`);
  }
  return mount;
}

const keys: Readonly<Record<string, string>> = { src: 'source', dst: 'target', destination: 'target', ro: 'readonly' };
const known: Readonly<Record<Mount['type'], readonly string[]>> = {
  bind: ['source', 'readonly', 'bind-propagation'],
  volume: ['source', 'readonly', 'volume-subpath', 'volume-nocopy'],
  tmpfs: ['tmpfs-size', 'tmpfs-mode'],
};

/**
 * Reads `--mount`: `type=bind,source=/host,target=/inside,readonly`.
 *
 * @throws {@link BadValue}
 */
export function parseMount(spec: string): Mount {
  const fields = new Map<string, string>();
  for (const field of splitFields(spec)) {
    const [name = '', value] = splitOnce(field.trim());
    const key = keys[name.toLowerCase()] ?? name.toLowerCase();
    if (value === undefined && key !== 'readonly' && key !== 'volume-nocopy')
      throw new BadValue(`invalid field '${field}' must be a key=value pair`);
    fields.set(key, value ?? 'true');
  }
  const type = fields.get('type') ?? 'volume';
  if (!isMountType(type)) throw new BadValue(`invalid mount type '${type}': it is bind, volume or tmpfs`);
  for (const [key, value] of fields) {
    if (key === 'type' || key === 'target' || known[type].includes(key)) continue;
    const misplaced = Object.values(known).some(others => others.includes(key));
    throw new BadValue(
      misplaced ? `cannot mix '${key}' with mount type '${type}'` : `unexpected key '${key}' in '${key}=${value}'`,
    );
  }
  const target = fields.get('target');
  if (target === undefined || target === '') throw new BadValue('target is required');
  return toMount(type, target, fields);
}

function toMount(type: Mount['type'], target: string, fields: ReadonlyMap<string, string>): Mount {
  const source = fields.get('source');
  const readOnly = isTrue(fields, 'readonly') ? { readOnly: true } : {};
  switch (type) {
    case 'bind': {
      const propagation = fields.get('bind-propagation') ?? 'rprivate';
      if (propagation !== 'rprivate')
        throw new BadValue(`bind-propagation ${JSON.stringify(propagation)} is not supported: mounts are rprivate`);
      if (source === undefined) throw new BadValue('source is required for a bind mount');
      return { type, source: resolve(source), target, ...readOnly };
    }
    case 'volume': {
      const subpath = fields.get('volume-subpath');
      return {
        type,
        ...(source === undefined ? {} : { source }),
        target,
        ...readOnly,
        ...(subpath === undefined ? {} : { subpath }),
      };
    }
    case 'tmpfs': {
      const [size, mode] = [fields.get('tmpfs-size'), fields.get('tmpfs-mode')];
      return {
        type,
        target,
        ...(size === undefined ? {} : { sizeBytes: parseBytes(size) }),
        ...(mode === undefined ? {} : { mode: parseMode(mode) }),
      };
    }
  }
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
