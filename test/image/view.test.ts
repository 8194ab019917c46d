import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { isDirectoryInLayers, readInLayers, type LayerView } from '../../lib/image/view.js';

let place: string;

beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'view-'));
});

afterEach(() => rmSync(place, { recursive: true, force: true }));

/** A layer's directory: text is a file, `null` a whiteout, `->…` a link, `/` a directory. */
function layer(files: Readonly<Record<string, string | null>>, opaque: readonly string[] = []): LayerView {
  const dir = mkdtempSync(join(place, 'layer-'));
  for (const [path, content] of Object.entries(files)) {
    const full = join(dir, path);
    mkdirSync(dirname(full), { recursive: true });
    if (content === null) execFileSync('mknod', [full, 'c', '0', '0']);
    else if (content.startsWith('->')) symlinkSync(content.slice(2), full);
    else if (content === '/') mkdirSync(full, { recursive: true });
    else writeFileSync(full, content);
  }
  return { dir, opaque };
}

function read(layers: readonly LayerView[], path: string): string | undefined {
  return readInLayers(layers, path)?.toString();
}

describe('a file in a stack of layers', () => {
  test('is the topmost of its name', () => {
    const layers = [layer({ 'etc/x': 'top' }), layer({ 'etc/x': 'low', 'etc/y': 'low' })];
    expect(read(layers, '/etc/x')).toBe('top');
    expect(read(layers, '/etc/y')).toBe('low');
    expect(read(layers, '/etc/z')).toBeUndefined();
  });

  test('is hidden by a whiteout, also one of its directory', () => {
    const low = layer({ 'etc/x': 'low', 'a/b/c': 'low' });
    expect(read([layer({ 'etc/x': null }), low], '/etc/x')).toBeUndefined();
    expect(read([layer({ a: null }), low], '/a/b/c')).toBeUndefined();
  });

  test('is hidden by an opaque directory, but only from below', () => {
    const [top, middle, low] = [
      layer({ 'etc/new': 'top' }),
      layer({ 'etc/mid': 'm' }, ['etc']),
      layer({ 'etc/x': 'low' }),
    ];
    expect(read([top, middle, low], '/etc/x')).toBeUndefined();
    expect(read([top, middle, low], '/etc/mid')).toBe('m');
    expect(read([top, middle, low], '/etc/new')).toBe('top');
  });

  test('is hidden by a file in place of its directory, and the other way round', () => {
    expect(read([layer({ etc: 'a file' }), layer({ 'etc/x': 'low' })], '/etc/x')).toBeUndefined();
    const layers = [layer({ 'etc/d/new': 'new' }), layer({ 'etc/d': 'file' }), layer({ 'etc/d/old': 'old' })];
    expect(read(layers, '/etc/d/new')).toBe('new');
    expect(read(layers, '/etc/d/old')).toBeUndefined();
  });
});

describe('a symbolic link', () => {
  test('is followed through all layers, relative and absolute', () => {
    const layers = [
      layer({ 'etc/passwd': '->../usr/etc/p', bin: '->/usr/bin' }),
      layer({ 'usr/etc/p': 'users', 'usr/bin/sh': '#!' }),
    ];
    expect(read(layers, '/etc/passwd')).toBe('users');
    expect(read(layers, '/bin/sh')).toBe('#!');
    expect(isDirectoryInLayers(layers, '/bin')).toBe(true);
  });

  test('does not leave the root', () => {
    writeFileSync(join(place, 'secret'), 'host');
    const layers = [layer({ up: '->../secret', far: '->/../../../../../../etc/hostname', dir: '->..' })];
    for (const path of ['/up', '/far', '/dir/secret', '/../secret']) expect(read(layers, path)).toBeUndefined();
  });

  test('to itself ends in nothing', () => {
    expect(read([layer({ a: '->b', b: '->a' })], '/a')).toBeUndefined();
  });
});

test('a directory, a fifo and a device are no files', () => {
  const view = layer({ 'dir/x': 'x' });
  execFileSync('mkfifo', [join(view.dir, 'fifo')]);
  expect(read([view], '/dir')).toBeUndefined();
  expect(read([view], '/fifo')).toBeUndefined();
});

test('a directory that became a link since the look-up does not lead out', () => {
  const view = layer({ 'etc/x': 'inside' });
  // The layer's own path may well have links: those are the host's.
  const link = join(place, 'link');
  symlinkSync(view.dir, link);
  expect(read([{ ...view, dir: link }], '/etc/x')).toBe('inside');
});

test('a large file is refused', () => {
  const view = layer({ big: 'x'.repeat(100) });
  expect(() => readInLayers([view], '/big', { maxBytes: 99 })).toThrow('has 100 bytes, at most 99 are read');
});
