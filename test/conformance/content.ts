import { appendFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from '@jest/globals';

import type { ContentStore } from '../../lib/store/content.js';
import { sha256 } from '../../lib/oci/digest.js';
import type { Digest } from '../../lib/types.js';

/** A content store for one test. */
export interface ContentSubject extends AsyncDisposable {
  /** What an outside reader sees: an OCI image layout. */
  readonly directory: string;
  readonly content: ContentStore;
}

/** What every content store must do, whatever it is made of. */
export function describeContentStore(name: string, make: () => Promise<ContentSubject>): void {
  const bytes = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => (i * i) % 251));
  const digest = sha256(bytes);
  const missing: Digest = `sha256:${'0'.repeat(64)}`;

  describe(name, () => {
    test('gives back what was put, by its digest', async () => {
      await using subject = await make();
      const { content } = subject;
      const put = await content.put('hello');
      expect(put).toBe(sha256('hello'));
      expect(content.stat(put)).toMatchObject({ size: 5 });
      expect((await content.read(put)).toString()).toBe('hello');
      expect(await collect(content.open(put, { start: 1 }))).toEqual(Buffer.from('ello'));
      expect([...content.list()]).toEqual([put]);
    });

    test('knows sha512, too', async () => {
      await using subject = await make();
      const expected: Digest = `sha512:${'cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e'}`;
      expect(await subject.content.put('', expected)).toBe(expected);
      expect([...subject.content.list()]).toEqual([expected]);
    });

    test('refuses bytes that are not what was expected, and keeps nothing of them', async () => {
      await using subject = await make();
      await expect(subject.content.put('hello', missing)).rejects.toMatchObject({
        code: 'CTR_INTEGRITY',
        expected: missing,
      });
      expect([...subject.content.list()]).toEqual([]);
    });

    test('says what it does not have', async () => {
      await using subject = await make();
      const { content } = subject;
      expect(content.stat(missing)).toBeUndefined();
      expect(content.delete(missing)).toBe(false);
      await expect(content.read(missing)).rejects.toMatchObject({ code: 'CTR_NOT_FOUND', kind: 'blob', ref: missing });
      expect(() => content.open(missing)).toThrow(expect.objectContaining({ code: 'CTR_NOT_FOUND' }));
    });

    test('does not read more than it was allowed', async () => {
      await using subject = await make();
      const put = await subject.content.put('hello');
      await expect(subject.content.read(put, { maxBytes: 4 })).rejects.toMatchObject({ code: 'CTR_LIMIT', limit: 4 });
    });

    test('notices at reading that the disk has changed a blob', async () => {
      await using subject = await make();
      const put = await subject.content.put('hello');
      writeFileSync(subject.content.path(put), 'hullo');
      await expect(subject.content.read(put)).rejects.toMatchObject({ code: 'CTR_INTEGRITY', actual: sha256('hullo') });
    });

    test('an ingest is nothing until it is committed, and whole then', async () => {
      await using subject = await make();
      const ingest = await subject.content.ingest({ digest, size: bytes.length });
      expect([ingest.offset, ingest.present]).toEqual([0, false]);
      for (const chunk of chunks(bytes)) await ingest.write(chunk);
      expect(subject.content.stat(digest)).toBeUndefined();
      await ingest.commit();
      expect(readFileSync(subject.content.path(digest)).equals(bytes)).toBe(true);
      expect(readdirSync(join(subject.directory, 'ingest'))).toEqual([]);
    });

    test('an empty blob is a blob', async () => {
      await using subject = await make();
      const ingest = await subject.content.ingest({ digest: sha256(''), size: 0 });
      await ingest.commit();
      expect(subject.content.stat(sha256(''))).toMatchObject({ size: 0 });
    });

    test('an aborted ingest goes on where it was', async () => {
      await using subject = await make();
      const first = await subject.content.ingest({ digest, size: bytes.length });
      await first.write(bytes.subarray(0, 2_000_000));
      await first.abort();
      const second = await subject.content.ingest({ digest, size: bytes.length });
      expect(second.offset).toBe(2_000_000);
      await second.write(bytes.subarray(second.offset));
      await second.commit();
      expect((await subject.content.read(digest)).equals(bytes)).toBe(true);
    });

    test('an ingest aborted for good begins anew', async () => {
      await using subject = await make();
      const first = await subject.content.ingest({ digest, size: bytes.length });
      await first.write(bytes.subarray(0, 2_000_000));
      await first.abort(false);
      await using second = await subject.content.ingest({ digest, size: bytes.length });
      expect(second.offset).toBe(0);
    });

    test.each([
      ['wrong bytes', Buffer.alloc(bytes.length)],
      ['too few', bytes.subarray(1)],
    ])('%s fail at commit and leave nothing to go on with', async (_, wrong) => {
      await using subject = await make();
      const ingest = await subject.content.ingest({ digest, size: bytes.length });
      await ingest.write(wrong);
      await expect(ingest.commit()).rejects.toMatchObject({ code: 'CTR_INTEGRITY' });
      expect(subject.content.stat(digest)).toBeUndefined();
      await using again = await subject.content.ingest({ digest, size: bytes.length });
      expect(again.offset).toBe(0);
    });

    test('too many bytes fail as they come', async () => {
      await using subject = await make();
      const ingest = await subject.content.ingest({ digest, size: 3 });
      await expect(ingest.write(bytes)).rejects.toMatchObject({ code: 'CTR_INTEGRITY' });
      await ingest.abort();
      await using again = await subject.content.ingest({ digest, size: bytes.length });
      expect(again.offset).toBe(0);
    });

    test('a partial file that something else wrote to fails by its digest, and only once', async () => {
      await using subject = await make();
      const first = await subject.content.ingest({ digest, size: bytes.length });
      await first.write(bytes.subarray(0, 1000));
      await first.abort();
      appendFileSync(join(subject.directory, 'ingest', digest.slice(7)), 'x');
      const second = await subject.content.ingest({ digest, size: bytes.length });
      await second.write(bytes.subarray(second.offset));
      await expect(second.commit()).rejects.toMatchObject({ code: 'CTR_INTEGRITY' });
      await using third = await subject.content.ingest({ digest, size: bytes.length });
      expect(third.offset).toBe(0);
    });

    test('whoever waits for the same blob finds it whole', async () => {
      await using subject = await make();
      const first = await subject.content.ingest({ digest, size: bytes.length });
      const waiting = subject.content.ingest({ digest, size: bytes.length });
      await first.write(bytes);
      await first.commit();
      const second = await waiting;
      expect([second.offset, second.present]).toEqual([bytes.length, true]);
      await second.commit();
    });

    test('an abort ends the waiting for the same blob', async () => {
      await using subject = await make();
      await using first = await subject.content.ingest({ digest, size: bytes.length });
      const controller = new AbortController();
      const waiting = subject.content.ingest({ digest, size: bytes.length, signal: controller.signal });
      controller.abort('enough');
      await expect(waiting).rejects.toBe('enough');
      expect(first.offset).toBe(0);
    });

    test('a deleted blob is gone', async () => {
      await using subject = await make();
      const put = await subject.content.put('hello');
      expect(subject.content.delete(put)).toBe(true);
      expect(subject.content.stat(put)).toBeUndefined();
    });

    test('is an OCI image layout to outside readers', async () => {
      await using subject = await make();
      const put = await subject.content.put('{}');
      const entry = {
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        digest: put,
        size: 2,
        annotations: { 'org.opencontainers.image.ref.name': 'docker.io/library/x:1' },
      };
      await subject.content.writeIndex(() => [entry]);
      const read = (file: string): unknown => JSON.parse(readFileSync(join(subject.directory, file), 'utf8'));
      expect(read('oci-layout')).toEqual({ imageLayoutVersion: '1.0.0' });
      expect(read('index.json')).toMatchObject({ schemaVersion: 2, manifests: [entry] });
      expect(readFileSync(join(subject.directory, 'blobs', 'sha256', put.slice(7)), 'utf8')).toBe('{}');
      expect(await subject.content.readIndex()).toEqual([entry]);
    });
  });
}

function* chunks(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(part);
  return Buffer.concat(parts);
}
