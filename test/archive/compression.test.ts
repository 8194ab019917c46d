import { execFileSync } from 'node:child_process';
import { gzipSync } from 'node:zlib';

import { describe, expect, test } from '@jest/globals';

import { decompress, peek, sniffCompression, type DecompressOptions } from '../../lib/archive/compression.js';
import { needs } from '../support/needs.js';
import { chunks } from '../support/tar.js';

async function all(source: AsyncIterable<Uint8Array>, options: DecompressOptions = {}): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of decompress(source, options)) parts.push(chunk);
  return Buffer.concat(parts);
}

const content = Buffer.from('0123456789 '.repeat(20_000));

describe('decompress', () => {
  test('passes on what is not compressed, in the same pieces', async () => {
    expect(content.equals(await all(chunks(content, 1000)))).toBe(true);
    expect(await all(chunks(Buffer.alloc(0)))).toHaveLength(0);
    expect(await all(chunks(Buffer.from('x')))).toEqual(Buffer.from('x'));
  });

  for (const size of [1, 2, 1000, 1 << 20]) {
    test(`gzip in pieces of ${size}`, async () => {
      expect(content.equals(await all(chunks(gzipSync(content), size)))).toBe(true);
    });
  }

  test('gzip of several members', async () => {
    const twice = await all(chunks(Buffer.concat([gzipSync(content), gzipSync(content)])));
    expect(twice.equals(Buffer.concat([content, content]))).toBe(true);
  });

  for (const [what, damage] of Object.entries({
    'cut short': (bytes: Buffer) => bytes.subarray(0, -9),
    corrupt: (bytes: Buffer) => Buffer.concat([bytes.subarray(0, 30), Buffer.alloc(30, 255), bytes.subarray(60)]),
  })) {
    test(`gzip that is ${what} is refused with what it is and where it came from`, async () => {
      const reading = all(chunks(damage(gzipSync(content))), { call: 'images.load', source: 'x.tar.gz' });
      await expect(reading).rejects.toMatchObject({
        code: 'CTR_PARSE',
        message: expect.stringContaining('images.load: x.tar.gz: is not good gzip, or ends early'),
      });
    });
  }

  for (const program of ['zstd', 'xz', 'bzip2']) {
    needs(program).test(program, async () => {
      const compressed = execFileSync(program, ['-c'], { input: content, stdio: ['pipe', 'pipe', 'ignore'] });
      expect(content.equals(await all(chunks(compressed)))).toBe(true);
      await expect(all(chunks(compressed.subarray(0, -6)))).rejects.toMatchObject({ code: 'CTR_PARSE' });
    });
  }

  needs('zstd').test('zstd without the program', async () => {
    const compressed = execFileSync('zstd', ['-c'], { input: content, stdio: ['pipe', 'pipe', 'ignore'] });
    // Programs are looked for once in a process, so this needs one of its own.
    const script = `
      import { decompress } from ${JSON.stringify(new URL('../../lib/archive/compression.js', import.meta.url).href)};
      try { for await (const chunk of decompress(process.stdin)) process.stdout.write(chunk); }
      catch (error) { process.stderr.write(error.code); process.exitCode = 9; }`;
    const run = (input: Buffer): Buffer =>
      execFileSync(process.execPath, ['--input-type=module', '--eval', script], {
        input,
        env: { PATH: '/nowhere' },
        stdio: 'pipe',
      });
    expect(content.equals(run(compressed))).toBe(true);
    expect(() => run(compressed.subarray(0, -6))).toThrow(
      expect.objectContaining({ status: 9, stderr: Buffer.from('CTR_PARSE') }),
    );
  });

  test('throws what the source threw', async () => {
    const failure = new Error('the line broke');
    for (const head of [gzipSync(content).subarray(0, 100), content]) {
      const broken = (async function* () {
        yield head;
        await Promise.resolve();
        throw failure;
      })();
      await expect(all(broken)).rejects.toBe(failure);
    }
  });

  test('throws the reason of an abort', async () => {
    const controller = new AbortController();
    const stalled = (async function* () {
      yield gzipSync(content).subarray(0, 100);
      controller.abort('enough');
      await new Promise(() => {});
    })();
    await expect(all(stalled, { signal: controller.signal })).rejects.toBe('enough');
  });

  test('closes its source when nobody wants more', async () => {
    for (const bytes of [content, gzipSync(content)]) {
      let closed = false;
      const source = (async function* () {
        try {
          for (;;) yield* chunks(bytes, 1000);
        } finally {
          closed = true;
        }
      })();
      for await (const chunk of decompress(source)) if (chunk.length > 0) break;
      await new Promise(resolve => setImmediate(resolve));
      expect(closed).toBe(true);
    }
  });

  test('has limits', async () => {
    await expect(all(chunks(gzipSync(content)), { maxBytes: 1000 })).rejects.toMatchObject({
      code: 'CTR_LIMIT',
      limit: 1000,
    });
    await expect(all(chunks(content), { maxBytes: 1000 })).rejects.toMatchObject({ code: 'CTR_LIMIT', limit: 1000 });
  });
});

test('a format is told by its first bytes', () => {
  const heads = { gzip: '1f8b08', zstd: '28b52ffd', bzip2: '425a68', xz: 'fd377a585a00', none: '7573746172' };
  for (const [format, hex] of Object.entries(heads)) expect(sniffCompression(Buffer.from(hex, 'hex'))).toBe(format);
  expect(sniffCompression(Buffer.from('522a4d18', 'hex'))).toBe('zstd');
  expect(sniffCompression(Buffer.alloc(0))).toBe('none');
});

test('peek gives back what it read', async () => {
  const { head, all: rest } = await peek(chunks(Buffer.from('abcdefgh'), 3), 4);
  expect(Buffer.from(head).toString()).toBe('abcdef');
  const parts: Uint8Array[] = [];
  for await (const chunk of rest) parts.push(chunk);
  expect(Buffer.concat(parts).toString()).toBe('abcdefgh');
});
