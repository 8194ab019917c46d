import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { buffer } from 'node:stream/consumers';

import { formatPax, formatPaxTime, parsePax, parsePaxTime } from '../../lib/archive/pax.js';
import { readTar, type ReadTarOptions } from '../../lib/archive/reader.js';
import type { TarHeader } from '../../lib/archive/header.js';
import { writeTar, type TarInput } from '../../lib/archive/writer.js';
import { archive, chunks, entry, pack, pax } from '../support/tar.js';

async function read(
  bytes: Uint8Array,
  options: ReadTarOptions = {},
  size?: number,
): Promise<(TarHeader & { content: string })[]> {
  const all = [];
  for await (const { header, body } of readTar(chunks(bytes, size), options))
    all.push({ ...header, content: (await buffer(body)).toString('latin1') });
  return all;
}

const base = {
  size: 0,
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtime: 0n,
  link: '',
  xattrs: new Map<string, Buffer>(),
  content: '',
};

describe('what was written is read', () => {
  const cases: Readonly<Record<string, TarInput>> = {
    'a file': { name: 'file', content: 'hello' },
    'an empty file': { name: 'empty' },
    'a directory': { name: 'dir/', type: 'directory', mode: 0o1777 },
    'a symlink': { name: 'soft', type: 'symlink', link: '../x' },
    'a hard link': { name: 'hard', type: 'link', link: 'file' },
    'a device': { name: 'null', type: 'character', device: { major: 1, minor: 3 } },
    'a fifo': { name: 'fifo', type: 'fifo' },
    'a name of 100 bytes': { name: 'n'.repeat(100) },
    'a name of 101 bytes': { name: 'n'.repeat(101) },
    'a path that ustar can split': { name: `${'d/'.repeat(70)}${'f'.repeat(90)}` },
    'a path of 255 bytes that it cannot': { name: `${'d'.repeat(160)}/${'f'.repeat(94)}` },
    'a name that is not ASCII': { name: 'ünï' },
    'a long link': { name: 'soft', type: 'symlink', link: 'x'.repeat(3000) },
    nanoseconds: { name: 'file', mtime: 1_234_567_890_123_456_789n },
    'a time before 1970': { name: 'file', mtime: -1_500_000_000n },
    'a far time': { name: 'file', mtime: 99_999_999_999n * 1_000_000_000n },
    'a large owner': { name: 'file', uid: 4_000_000_000, gid: 3_000_000_000 },
    'attributes that are no text': {
      name: 'file',
      xattrs: { 'security.capability': Buffer.from([1, 0, 0, 2, 0x80, 10, 61, 0]) },
    },
  };
  for (const [what, input] of Object.entries(cases)) {
    test(what, async () => {
      const { content = '', xattrs = {}, ...rest } = input;
      const type = input.type ?? 'file';
      const expected = {
        ...base,
        type,
        ...rest,
        content,
        size: String(content).length,
        xattrs: new Map(Object.entries(xattrs)),
      };
      expect(await read(await pack(input, { name: 'after', content: 'next' }))).toEqual([
        expected,
        { ...base, name: 'after', type: 'file', content: 'next', size: 4 },
      ]);
    });
  }

  test('in pieces of any size', async () => {
    const bytes = await pack({ name: 'n'.repeat(200), content: 'x'.repeat(3000) }, { name: 'b', content: 'y' });
    const whole = await read(bytes);
    for (const size of [1, 3, 511, 513]) expect(await read(bytes, {}, size)).toEqual(whole);
  });

  test('and equal entries are equal bytes', async () => {
    const entries = (): TarInput[] => [
      { name: 'ü', xattrs: { b: Buffer.from('1'), a: Buffer.from('2') }, uid: 5_000_000 },
    ];
    const swapped = { name: 'ü', xattrs: { a: Buffer.from('2'), b: Buffer.from('1') }, uid: 5_000_000 };
    expect(await pack(...entries())).toEqual(await pack(swapped));
  });

  test('also when nobody looks at the content', async () => {
    const names: string[] = [];
    for await (const { header } of readTar(chunks(await pack({ name: 'a', content: 'x'.repeat(1000) }, { name: 'b' }))))
      names.push(header.name);
    expect(names).toEqual(['a', 'b']);
  });

  test('a body that was left gives nothing of the next entry', async () => {
    const bodies: AsyncIterable<Uint8Array>[] = [];
    for await (const { body } of readTar(
      chunks(await pack({ name: 'a', content: 'first' }, { name: 'b', content: 'second' })),
    ))
      bodies.push(body);
    for (const body of bodies) expect(await buffer(body)).toHaveLength(0);
  });

  test('whoever stops early closes the source', async () => {
    let closed = false;
    const source = (async function* () {
      try {
        yield* chunks(await pack({ name: 'a' }, { name: 'b' }), 512);
      } finally {
        closed = true;
      }
    })();
    for await (const { header } of readTar(source)) if (header.name === 'a') break;
    expect(closed).toBe(true);
  });
});

describe('a stream as content', () => {
  const stream = (text: string): AsyncIterable<Uint8Array> => chunks(Buffer.from(text), 2);

  test('is as long as its size says', async () => {
    expect(await read(await pack({ name: 'a', size: 5, content: stream('hello') }))).toMatchObject([
      { content: 'hello' },
    ]);
  });

  for (const size of [4, 6]) {
    test(`of another length than ${size} is refused`, async () => {
      await expect(buffer(writeTar([{ name: 'a', size, content: stream('hello') }]))).rejects.toThrow(
        `writeTar: a: expected ${size} bytes`,
      );
    });
  }
});

describe('a malformed archive', () => {
  for (const [what, bytes] of Object.entries({
    'cut in a header': (b: Buffer) => b.subarray(0, 300),
    'cut in a body': (b: Buffer) => b.subarray(0, 600),
    'with a flipped bit': (b: Buffer) => Buffer.concat([Buffer.from([b.readUInt8(0) ^ 1]), b.subarray(1)]),
    'with a negative size': () => entry({ size: Buffer.from('ffffffffffffffffffffffff', 'hex') }),
    'with a size beyond what JavaScript counts': () => entry({ size: Buffer.from('8000000000ffffffffffffff', 'hex') }),
    'with an unknown type': () => entry({ type: 'Z' }),
    'with a sparse file': () => Buffer.concat([pax({ 'GNU.sparse.major': '1' }), entry({})]),
    'with a NUL in a PAX path': () => Buffer.concat([pax({ path: 'a\0b' }), entry({})]),
    'with a PAX header at its end': () => pax({ path: 'a' }),
    'with half an end mark': () => Buffer.concat([Buffer.alloc(512), entry({})]),
  })) {
    test(`${what} is refused with what it is and where it came from`, async () => {
      const made = bytes(archive(entry({ name: 'file', body: 'content' })));
      await expect(read(made, { call: 'images.load', source: 'x.tar' })).rejects.toMatchObject({
        code: 'CTR_PARSE',
        source: 'x.tar',
        message: expect.stringMatching(/^images\.load: x\.tar: /),
      });
    });
  }

  test('with more or larger entries than allowed is refused', async () => {
    const bytes = await pack({ name: 'a', content: 'x'.repeat(100) }, { name: 'b' });
    await expect(read(bytes, { maxEntries: 1 })).rejects.toMatchObject({ code: 'CTR_LIMIT', limit: 1 });
    await expect(read(bytes, { maxEntryBytes: 99 })).rejects.toMatchObject({ code: 'CTR_LIMIT', limit: 99 });
  });

  test('never makes the reader throw anything else, or hang', async () => {
    const good = await pack(
      { name: 'n'.repeat(120), content: 'x'.repeat(700), uid: 3_000_000_000 },
      { name: 'dir', type: 'directory' },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 }),
        async changes => {
          const bytes = Buffer.from(good);
          for (const [at, value] of changes) bytes[at] = value;
          await read(bytes).catch((error: unknown) =>
            expect(error).toMatchObject({ code: expect.stringMatching(/^CTR_(PARSE|LIMIT)$/) }),
          );
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('PAX', () => {
  test('a record counts its own digits', () => {
    for (const length of [1, 2, 3, 4, 90, 91, 92, 93, 990, 991]) {
      const bytes = formatPax(new Map([['k', 'v'.repeat(length)]]));
      expect(Number.parseInt(bytes.toString(), 10)).toBe(bytes.length);
      expect(parsePax(bytes)).toEqual(new Map([['k', Buffer.from('v'.repeat(length))]]));
    }
  });

  for (const [text, nanoseconds] of [
    ['1', 1_000_000_000n],
    ['1.5', 1_500_000_000n],
    ['-0.000000001', -1n],
    ['-1.25', -1_250_000_000n],
    ['1234567890.123456789', 1_234_567_890_123_456_789n],
  ] as const) {
    test(`${text} s is ${nanoseconds} ns`, () => {
      expect(parsePaxTime(text)).toBe(nanoseconds);
      expect(formatPaxTime(nanoseconds)).toBe(text);
    });
  }

  test('what is no time is none', () => {
    for (const text of ['', '-', '1e9', '0x1', '1.2.3', ' 1', 'now']) expect(parsePaxTime(text)).toBeUndefined();
    expect(parsePaxTime('1.1234567899')).toBe(1_123_456_789n);
  });
});
