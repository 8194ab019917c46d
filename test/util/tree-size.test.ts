import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { treeBytes } from '../../lib/util/tree-size.js';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tree-'));
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

test('files count by their length, once each, and directories not at all', async () => {
  mkdirSync(join(root, 'a/b'), { recursive: true });
  writeFileSync(join(root, 'a/one'), '12345');
  writeFileSync(join(root, 'a/b/two'), '123');
  linkSync(join(root, 'a/one'), join(root, 'a/b/again'));
  symlinkSync('/etc', join(root, 'link'));
  expect(await treeBytes(root)).toBe(5 + 3 + '/etc'.length);
});

test('what is not there takes nothing', async () => {
  expect(await treeBytes(join(root, 'none'))).toBe(0);
});

test('an abort ends it', async () => {
  await expect(treeBytes(root, { signal: AbortSignal.abort('enough') })).rejects.toBe('enough');
});
