import { buffer } from 'node:stream/consumers';
import type { Readable } from 'node:stream';

import { expect } from '@jest/globals';
import fc from 'fast-check';

import { writeTar, type TarInput } from '../../lib/archive/writer.js';
import { startFileJob } from '../../lib/host/file-job.js';
import { Plan } from '../../lib/host/plan.js';
import { needs } from '../support/needs.js';
import { Cell } from '../support/tar.js';

const { describe, test } = needs('root');

/** The archive that the helper makes of a plan. */
async function made(plan: Plan): Promise<Buffer> {
  const job = startFileJob(plan, { call: 'test', stdout: 'pipe' });
  const [bytes] = await Promise.all([buffer(job.stdout as Readable), job.done]);
  return bytes;
}

const layerOf = (cell: Cell): Promise<Buffer> => made(new Plan().op('layer', cell.root, 'overlay'));

async function written(entries: Iterable<TarInput>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of writeTar(entries)) parts.push(chunk);
  return Buffer.concat(parts);
}

interface Common {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: bigint;
  readonly xattrs: Readonly<Record<string, Uint8Array>>;
}
type Node =
  | (Common & { readonly type: 'file'; readonly content: Uint8Array; readonly links: readonly string[] })
  | (Common & { readonly type: 'directory'; readonly opaque: boolean; readonly children: Tree })
  | (Common & { readonly type: 'symlink'; readonly link: string })
  | (Common & {
      readonly type: 'character' | 'block' | 'fifo';
      readonly device: { readonly major: number; readonly minor: number };
    })
  | { readonly type: 'whiteout' };
type Tree = Readonly<Record<string, Node>>;

const name = fc.oneof(
  fc.stringMatching(/^[a-z][a-z0-9 .-]{0,11}$/),
  fc.stringMatching(/^[a-zé日本]{1,6}$/),
  fc.stringMatching(/^n[a-z]{90,240}$/),
);
const owner = fc.oneof(fc.constant(0), fc.nat(0xffff), fc.integer({ min: 2_097_150, max: 4_000_000_000 }));
const common = {
  mode: fc.nat(0o7777),
  uid: owner,
  gid: owner,
  // From 1970 on: the kernel's file systems here begin later than 1970 at the earliest, and end in 2446.
  mtime: fc.oneof(
    fc.bigInt({ min: 0n, max: 4_000_000_000n }).map(seconds => seconds * 1_000_000_000n),
    fc.bigInt({ min: 0n, max: 10_000_000_000_000_000_000n }),
  ),
  xattrs: fc.oneof(
    { weight: 3, arbitrary: fc.constant({}) },
    {
      weight: 1,
      arbitrary: fc.dictionary(
        fc.stringMatching(/^trusted\.[a-z]{1,8}$/),
        fc.uint8Array({ minLength: 1, maxLength: 40 }),
        { maxKeys: 3 },
      ),
    },
  ),
};

const { tree } = fc.letrec<{ tree: Tree; node: Node }>(tie => ({
  tree: fc.dictionary(name, tie('node'), { maxKeys: 5, noNullPrototype: true }),
  node: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.record({
      type: fc.constant('file' as const),
      content: fc.uint8Array({ maxLength: 1500 }),
      links: fc.uniqueArray(fc.stringMatching(/^~[a-z]{1,5}$/), { maxLength: 2 }),
      ...common,
    }),
    fc.record({ type: fc.constant('symlink' as const), link: fc.stringMatching(/^[a-zé/.]{1,150}$/), ...common }),
    fc.record({
      type: fc.constantFrom('character' as const, 'block' as const, 'fifo' as const),
      device: fc.record({ major: fc.integer({ min: 1, max: 4095 }), minor: fc.nat(1_048_575) }),
      ...common,
    }),
    fc.constant({ type: 'whiteout' as const }),
    fc.record({
      type: fc.constant('directory' as const),
      opaque: fc.boolean(),
      children: tie('tree') as fc.Arbitrary<Tree>,
      ...common,
    }),
  ),
}));

/** What is in a directory once the hard links stand beside their files, by name. */
function entriesBelow(nodes: Tree, above: string): TarInput[] {
  const all = new Map<string, Node | { readonly type: 'link'; readonly of: string }>(Object.entries(nodes));
  for (const [file, node] of Object.entries(nodes)) {
    // A link that sorts behind its file, so that the file comes first.
    if (node.type === 'file')
      for (const link of node.links) all.set(`${file.slice(0, 200)}${link}`, { type: 'link', of: file });
  }
  const sorted = [...all].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return sorted.flatMap(([base, node]) => entryOf(node, above, base));
}

function entryOf(node: Node | { readonly type: 'link'; readonly of: string }, above: string, base: string): TarInput[] {
  const path = `${above}${base}`;
  if (node.type === 'whiteout') return [{ name: `${above}.wh.${base}`, mode: 0o600 }];
  if (node.type === 'link') return [{ name: path, type: 'link', link: `${above}${node.of}` }];
  const { mode, uid, gid, mtime, xattrs } = node;
  const entry = { name: path, type: node.type, mode, uid, gid, mtime, xattrs };
  if (node.type === 'file') return [{ ...entry, content: node.content }];
  if (node.type === 'symlink') return [{ ...entry, mode: 0o777, link: node.link }];
  if (node.type !== 'directory') return [node.type === 'fifo' ? entry : { ...entry, device: node.device }];
  const opaque = node.opaque ? [{ name: `${path}/.wh..wh..opq`, mode: 0o600 }] : [];
  return [entry, ...opaque, ...entriesBelow(node.children, `${path}/`)];
}

/** A hard link's header repeats what its file has; the file system has one inode for both. */
function withLinks(entries: readonly TarInput[]): TarInput[] {
  const files = new Map(entries.map(entry => [entry.name, entry]));
  return entries.map(entry => {
    if (entry.type !== 'link') return entry;
    const { mode, uid, gid, mtime } = files.get(entry.link ?? '') ?? {};
    return {
      ...entry,
      ...(mode === undefined ? {} : { mode }),
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
      ...(mtime === undefined ? {} : { mtime }),
    };
  });
}

describe('a layer that is made', () => {
  test('is, byte for byte, the one that was unpacked: files, links, devices, attributes, whiteouts', async () => {
    await fc.assert(
      fc.asyncProperty(tree, async nodes => {
        const layer = await written(withLinks(entriesBelow(nodes, '')));
        using cell = new Cell();
        await cell.apply(layer);
        expect((await layerOf(cell)).equals(layer)).toBe(true);
      }),
      { numRuns: 60, interruptAfterTimeLimit: 20_000 },
    );
  }, 60_000);
});
