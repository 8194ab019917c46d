import { resolve } from 'node:path';

import { describe, expect, test } from '@jest/globals';

import { BadValue } from '../../lib/cli/flags.js';
import { parseMount, parseTmpfs, parseVolume } from '../../lib/cli/mounts.js';

function reasonOf(work: () => unknown): string | undefined {
  try {
    work();
  } catch (error) {
    if (error instanceof BadValue) return error.reason;
    throw error;
  }
  return undefined;
}

describe('-v', () => {
  test.each([
    ['/a:/b', { type: 'bind', source: '/a', createSource: true, target: '/b' }],
    ['/a:/b:ro', { type: 'bind', source: '/a', createSource: true, target: '/b', readOnly: true }],
    ['/a:/b:rw', { type: 'bind', source: '/a', createSource: true, target: '/b' }],
    ['/a:/b:ro,z', { type: 'bind', source: '/a', createSource: true, target: '/b', readOnly: true }],
    ['./a:/b', { type: 'bind', source: resolve('a'), createSource: true, target: '/b' }],
    ['.:/b', { type: 'bind', source: resolve('.'), createSource: true, target: '/b' }],
    ['name:/b', { type: 'volume', source: 'name', target: '/b' }],
    ['name:/b:ro', { type: 'volume', source: 'name', target: '/b', readOnly: true }],
    ['/b', { type: 'volume', target: '/b' }],
    ['name:/b:nocopy', { type: 'volume', source: 'name', target: '/b', noCopy: true }],
    ['/a:/b:rslave', { type: 'bind', source: '/a', createSource: true, target: '/b', propagation: 'rslave' }],
    ['/a:/b:O', { type: 'bind', source: '/a', createSource: true, target: '/b', overlay: true }],
  ])('%s', (spec, mount) => {
    expect(parseVolume(spec)).toEqual(mount);
  });

  test.each([
    ['', 'invalid empty volume spec'],
    [':/b', 'invalid spec: :/b: write [source:]target[:options]'],
    ['/a:', 'invalid spec: /a:: write [source:]target[:options]'],
    ['a:/b:ro:x', 'invalid spec: a:/b:ro:x: write [source:]target[:options]'],
    ['/a:b', "invalid volume specification: '/a:b': mount path must be absolute"],
    ['name', "invalid volume specification: 'name': mount path must be absolute"],
    ['/a:/b:noexec', 'invalid mode: noexec'],
    ['/a:/b:ro,rw', 'invalid mode: ro,rw'],
    ['/a:/b:nocopy', "invalid volume specification: '/a:/b:nocopy': nocopy is not for a bind"],
    ['name:/b:rslave', "invalid volume specification: 'name:/b:rslave': rslave is not for a volume"],
  ])('%s is refused', (spec, reason) => {
    expect(reasonOf(() => parseVolume(spec))).toBe(reason);
  });
});

describe('--mount', () => {
  test.each([
    ['type=bind,source=/a,target=/b', { type: 'bind', source: '/a', target: '/b' }],
    ['type=bind,src=/a,dst=/b,readonly', { type: 'bind', source: '/a', target: '/b', readOnly: true }],
    ['type=bind,src=/a,destination=/b,ro=true', { type: 'bind', source: '/a', target: '/b', readOnly: true }],
    ['type=bind,src=/a,target=/b,readonly=false', { type: 'bind', source: '/a', target: '/b' }],
    ['source=name,target=/b', { type: 'volume', source: 'name', target: '/b' }],
    ['target=/b', { type: 'volume', target: '/b' }],
    ['type=volume,src=n,dst=/b,volume-subpath=x/y', { type: 'volume', source: 'n', target: '/b', subpath: 'x/y' }],
    [
      'type=tmpfs,dst=/b,tmpfs-size=1m,tmpfs-mode=1770',
      { type: 'tmpfs', target: '/b', sizeBytes: 2 ** 20, mode: 0o1770 },
    ],
    [
      'type=bind,src=/a,dst=/b,ro,bind-recursive=writable,bind-propagation=rslave',
      { type: 'bind', source: '/a', target: '/b', readOnly: true, recursive: 'writable', propagation: 'rslave' },
    ],
    [
      'type=volume,src=n,dst=/b,volume-nocopy,volume-label=a=b,volume-opt=type=tmpfs,volume-opt=device=tmpfs',
      {
        type: 'volume',
        source: 'n',
        target: '/b',
        noCopy: true,
        labels: { a: 'b' },
        driverOptions: { type: 'tmpfs', device: 'tmpfs' },
      },
    ],
    [
      'type=image,src=tools:1,dst=/t,image-subpath=bin',
      { type: 'image', source: 'tools:1', target: '/t', subpath: 'bin' },
    ],
    ['type=bind,"source=/a,b",target=/c', { type: 'bind', source: '/a,b', target: '/c' }],
  ])('%s', (spec, mount) => {
    expect(parseMount(spec)).toEqual(mount);
  });

  test.each([
    ['type=bind,source=/a', 'target is required'],
    ['type=bind,target=/b', 'source is required for a bind mount'],
    ['type=magic,target=/b', "invalid mount type 'magic': it is bind, volume, tmpfs or image"],
    ['target', "invalid field 'target' must be a key=value pair"],
    ['target=/b,foo=bar', "unexpected key 'foo' in 'foo=bar'"],
    ['type=bind,source=/a,target=/b,tmpfs-size=1', "cannot mix 'tmpfs-size' with mount type 'bind'"],
    ['type=bind,source=/a,target=/b,readonly=maybe', 'invalid value for readonly: maybe'],
    ['type=tmpfs,target=/b,tmpfs-mode=9', 'invalid mode "9": write it in octal, as 1777'],
    ['type=bind,source=/a,target=/b,bind-propagation=up', 'invalid propagation mode: up'],
    ['type=volume,target=/b,bind-recursive=disabled', "cannot mix 'bind-recursive' with mount type 'volume'"],
  ])('%s is refused', (spec, reason) => {
    expect(reasonOf(() => parseMount(spec))).toBe(reason);
  });
});

describe('--tmpfs', () => {
  test.each([
    ['/t', { type: 'tmpfs', target: '/t' }],
    ['/t:size=64m,mode=700', { type: 'tmpfs', target: '/t', sizeBytes: 64 * 2 ** 20, mode: 0o700 }],
    ['/t:rw,noexec,nosuid,nodev', { type: 'tmpfs', target: '/t' }],
  ])('%s', (spec, mount) => {
    expect(parseTmpfs(spec)).toEqual(mount);
  });

  test('an option that it would not follow is refused', () => {
    expect(reasonOf(() => parseTmpfs('/t:foo'))).toBe('invalid tmpfs option "foo"');
    expect(reasonOf(() => parseTmpfs('/t:size=x'))).toBe("invalid size: 'x'");
  });
});
