import { randomBytes } from 'node:crypto';

import { afterAll, beforeAll, expect, test as jestTest } from '@jest/globals';

import { mediaTypes } from '../../lib/oci/descriptor.js';
import type { Digest } from '../../lib/types.js';
import type { Suite } from '../support/needs.js';
import { RawHttp, withParameter, type RawAnswer } from '../support/raw-http.js';
import { digestOf, GraphMaker, kinds, type Algorithm, type Graph } from './registry-data.js';

/** A registry that wants no log-in. */
export interface ConformingServer extends AsyncDisposable {
  readonly host: string;
}

/** What a registry leaves out, of what the specification leaves open or came with 1.1. */
export type Lack =
  | 'anonymousMount'
  | 'artifactIndex'
  | 'badRanges'
  | 'chunkOrder'
  | 'foreignLayers'
  | 'sha512'
  | 'subject'
  | 'tagDelete'
  | 'tagOrder'
  | 'tagParam';

const octets = { 'content-type': 'application/octet-stream' };
const accept = { accept: [mediaTypes.ociIndex, mediaTypes.ociManifest].join(', ') };

/**
 * distribution-spec v1.1.1, case by section: its four workflow categories, each kind of data and each way to push a blob.
 * The names in brackets are those of its table of endpoints.
 *
 * @param lacks - What the registry is known not to have: these cases are left out.
 */
export function describeDistribution(
  { describe, test }: Suite,
  name: string,
  start: () => Promise<ConformingServer>,
  lacks: readonly Lack[] = [],
): void {
  const has = (what: Lack | undefined): boolean => what === undefined || !lacks.includes(what);
  const testIf = (...needed: readonly (Lack | undefined)[]): typeof test =>
    needed.every(has) ? test : (jestTest.skip as typeof test);

  describe(`${name}, by distribution-spec v1.1.1`, () => {
    let server: ConformingServer;
    let http: RawHttp;
    beforeAll(async () => {
      server = await start();
      http = new RawHttp(server.host);
    });
    afterAll(async () => {
      await server?.[Symbol.asyncDispose]();
    });

    const expectError = ({ status, body }: RawAnswer, wanted: number, ...codes: readonly string[]): void => {
      expect(status).toBe(wanted);
      const { errors } = JSON.parse(body.toString()) as { errors: { code: string }[] };
      expect(codes).toContain(errors[0]?.code);
    };
    const begin = async (repository: string): Promise<string> => {
      const begun = await http.ask('POST', `/v2/${repository}/blobs/uploads/`);
      expect(begun.status).toBe(202);
      expect(begun.location).not.toBe('');
      return begun.location;
    };
    const expectBlob = async (where: string, bytes: Buffer): Promise<void> => {
      const got = await http.ask('GET', where);
      expect(got.status).toBe(200);
      expect(got.body.equals(bytes)).toBe(true);
      expect(got.headers['content-length']).toBe(String(bytes.length));
    };
    const putBlob = async (repository: string, digest: Digest, bytes: Buffer): Promise<RawAnswer> =>
      http.ask('PUT', withParameter(await begin(repository), 'digest', digest), { headers: octets, body: bytes });
    const patch = (location: string, bytes: Buffer, from: number, to: number, method = 'PATCH'): Promise<RawAnswer> =>
      http.ask(method, location, {
        headers: { ...octets, 'content-range': `${from}-${to}` },
        body: bytes.subarray(from, to + 1),
      });
    const statusOf = async (location: string): Promise<{ location: string; last: number }> => {
      const status = await http.ask('GET', location);
      expect(status.status).toBe(204);
      expect(status.headers.range).toMatch(/^0-\d+$/);
      return { location: status.location, last: Number(status.headers.range?.slice(2)) };
    };

    test('Determining support (end-1): GET /v2/ is answered by 200', async () => {
      expect((await http.ask('GET', '/v2/')).status).toBe(200);
    });

    test('Errors: a name that is none is refused with the list of errors', async () => {
      const answer = await http.ask('GET', '/v2/UPPER/case/manifests/x');
      expect([400, 404]).toContain(answer.status);
    });

    const algorithms: readonly Algorithm[] = ['sha256', 'sha512'];
    describe.each(algorithms)('Pushing blobs, %s', algorithm => {
      const only = algorithm === 'sha512' ? testIf('sha512') : test;
      const unless = (...lack: readonly Lack[]): typeof test =>
        algorithm === 'sha512' ? testIf('sha512', ...lack) : testIf(...lack);
      const repository = `conformance/blobs-${algorithm}`;
      const fresh = (size = 512): { bytes: Buffer; digest: Digest } => {
        const bytes = randomBytes(size);
        return { bytes, digest: digestOf(bytes, algorithm) };
      };
      const path = (digest: Digest, where = repository): string => `/v2/${where}/blobs/${digest}`;
      /** What holds for each blob that was pushed in whichever way. */
      const expectPushed = async (answer: RawAnswer, bytes: Buffer, digest: Digest): Promise<void> => {
        expect(answer.status).toBe(201);
        expect(answer.headers['docker-content-digest'] ?? digest).toBe(digest);
        await expectBlob(answer.location, bytes);
        const head = await http.ask('HEAD', path(digest));
        expect(head.status).toBe(200);
        expect(head.body).toHaveLength(0);
        expect(head.headers['content-length']).toBe(String(bytes.length));
        expect(head.headers['docker-content-digest'] ?? digest).toBe(digest);
        await expectBlob(path(digest), bytes);
        expect((await http.ask('DELETE', path(digest))).status).toBe(202);
        expect((await http.ask('HEAD', path(digest))).status).toBe(404);
      };

      only('one that is not there is 404, by GET and HEAD (end-2)', async () => {
        const { digest } = fresh();
        expectError(await http.ask('GET', path(digest)), 404, 'BLOB_UNKNOWN', 'NAME_UNKNOWN');
        const head = await http.ask('HEAD', path(digest));
        expect(head.status).toBe(404);
        expect(head.body).toHaveLength(0);
      });

      only('a digest that is none is refused', async () => {
        const answer = await http.ask('GET', `/v2/${repository}/blobs/${algorithm}:xyz`);
        expect([400, 404]).toContain(answer.status);
      });

      only('monolithically, POST then PUT (end-4a, end-6)', async () => {
        const { bytes, digest } = fresh();
        await expectPushed(await putBlob(repository, digest, bytes), bytes, digest);
      });

      only('monolithically, in a single POST (end-4b), or by the PUT that it falls back to', async () => {
        const { bytes, digest } = fresh();
        const where = `/v2/${repository}/blobs/uploads/?digest=${digest}`;
        const posted = await http.ask('POST', where, { headers: octets, body: bytes });
        const done =
          posted.status === 202
            ? await http.ask('PUT', withParameter(posted.location, 'digest', digest), { headers: octets, body: bytes })
            : posted;
        await expectPushed(done, bytes, digest);
      });

      only('as a stream, by PATCH without a length', async () => {
        const { bytes, digest } = fresh();
        const patched = await http.ask('PATCH', await begin(repository), {
          headers: octets,
          body: bytes,
          streamed: true,
        });
        expect(patched.status).toBe(202);
        const done = await http.ask('PUT', withParameter(patched.location, 'digest', digest), { headers: octets });
        await expectPushed(done, bytes, digest);
      });

      only.each([
        [1, 'PATCH'],
        [3, 'PATCH'],
        [3, 'PUT'],
      ])('in %i chunks, the last by %s (end-5)', async (count, last) => {
        const { bytes, digest } = fresh(1021);
        const size = Math.ceil(bytes.length / count);
        let location = await begin(repository);
        let done: RawAnswer | undefined;
        for (let from = 0; from < bytes.length; from += size) {
          const to = Math.min(from + size, bytes.length) - 1;
          const closing = last === 'PUT' && to === bytes.length - 1;
          const where = closing ? withParameter(location, 'digest', digest) : location;
          const answer = await patch(where, bytes, from, to, closing ? 'PUT' : 'PATCH');
          if (closing) done = answer;
          else {
            expect(answer.status).toBe(202);
            expect(answer.headers.range).toBe(`0-${to}`);
            location = answer.location;
            expect((await statusOf(location)).last).toBe(to);
          }
        }
        done ??= await http.ask('PUT', withParameter(location, 'digest', digest), { headers: octets });
        await expectPushed(done, bytes, digest);
      });

      unless('chunkOrder').each([['PATCH'], ['PUT']])(
        'chunks out of order are 416, and it goes on where GET says (end-13), the last by %s',
        async last => {
          const { bytes, digest } = fresh(1021);
          const size = Math.ceil(bytes.length / 3);
          let location = await begin(repository);
          let done: RawAnswer | undefined;
          for (let from = 0; from < bytes.length; from += size) {
            const to = Math.min(from + size, bytes.length) - 1;
            const ahead = from + size < bytes.length ? from + size : 0;
            const wrong = await patch(location, bytes, ahead, Math.min(ahead + size, bytes.length) - 1);
            expect(wrong.status).toBe(416);
            const there = await statusOf(location);
            if (from > 0) expect(there.last).toBe(from - 1);
            ({ location } = there);
            const closing = last === 'PUT' && to === bytes.length - 1;
            const where = closing ? withParameter(location, 'digest', digest) : location;
            const answer = await patch(where, bytes, from, to, closing ? 'PUT' : 'PATCH');
            expect(answer.status).toBe(closing ? 201 : 202);
            if (closing) done = answer;
            else ({ location } = answer);
          }
          done ??= await http.ask('PUT', withParameter(location, 'digest', digest), { headers: octets });
          await expectPushed(done, bytes, digest);
        },
      );

      unless('chunkOrder')('the same chunk twice is 416', async () => {
        const { bytes } = fresh(1000);
        const location = await begin(repository);
        const first = await patch(location, bytes, 0, 499);
        expect(first.status).toBe(202);
        expect((await patch(first.location, bytes, 0, 499)).status).toBe(416);
        expect((await statusOf(first.location)).last).toBe(499);
      });

      only('an upload that is cancelled is gone (end-14)', async () => {
        const location = await begin(repository);
        expect((await http.ask('DELETE', location)).status).toBe(204);
        expectError(await http.ask('GET', location), 404, 'BLOB_UPLOAD_UNKNOWN');
      });

      only('an upload of another repository is unknown', async () => {
        const location = (await begin(repository)).replace('/blobs-', '/other-');
        expect([400, 404]).toContain((await http.ask('GET', location)).status);
      });

      only('is mounted from another repository (end-11)', async () => {
        const { bytes, digest } = fresh();
        expect((await putBlob(`${repository}-from`, digest, bytes)).status).toBe(201);
        const where = `/v2/${repository}/blobs/uploads/?mount=${digest}&from=${repository}-from`;
        await expectPushed(await http.ask('POST', where), bytes, digest);
      });

      unless('anonymousMount')('is mounted from wherever it is (end-11)', async () => {
        const { bytes, digest } = fresh();
        expect((await putBlob(`${repository}-from`, digest, bytes)).status).toBe(201);
        await expectPushed(await http.ask('POST', `/v2/${repository}/blobs/uploads/?mount=${digest}`), bytes, digest);
      });

      only('a mount from where it is not begins an upload', async () => {
        const { bytes, digest } = fresh();
        const where = `/v2/${repository}/blobs/uploads/?mount=${digest}&from=${repository}-none`;
        const begun = await http.ask('POST', where);
        expect(begun.status).toBe(202);
        const done = await http.ask('PUT', withParameter(begun.location, 'digest', digest), {
          headers: octets,
          body: bytes,
        });
        await expectPushed(done, bytes, digest);
      });

      only.each([
        ['no bytes', Buffer.alloc(0)],
        ['an empty object', Buffer.from('{}')],
      ])('of %s', async (_, bytes) => {
        const digest = digestOf(bytes, algorithm);
        await expectPushed(await putBlob(repository, digest, bytes), bytes, digest);
      });

      only.each(['POST', 'PUT', 'PATCH', 'stream'] as const)(
        'one that is not what it is called is refused, by %s',
        async way => {
          const { digest } = fresh();
          const body = randomBytes(600);
          let answer: RawAnswer;
          if (way === 'PUT') answer = await putBlob(repository, digest, body);
          else if (way === 'POST') {
            answer = await http.ask('POST', `/v2/${repository}/blobs/uploads/?digest=${digest}`, {
              headers: octets,
              body,
            });
            if (answer.status === 202) {
              const where = withParameter(answer.location, 'digest', digest);
              answer = await http.ask('PUT', where, { headers: octets, body });
            }
          } else {
            const location = await begin(repository);
            const patched =
              way === 'PATCH'
                ? await patch(location, body, 0, body.length - 1)
                : await http.ask('PATCH', location, { headers: octets, body, streamed: true });
            expect(patched.status).toBe(202);
            answer = await http.ask('PUT', withParameter(patched.location, 'digest', digest), { headers: octets });
          }
          expectError(answer, 400, 'DIGEST_INVALID');
          expect((await http.ask('HEAD', path(digest))).status).toBe(404);
        },
      );

      describe('ranges (end-2)', () => {
        const { bytes, digest } = fresh(2048);
        beforeAll(async () => {
          if (algorithm === 'sha256' || has('sha512')) await putBlob(repository, digest, bytes);
        });

        only.each([
          ['bytes=500-1499', 500, 1499],
          ['bytes=500-', 500, 2047],
          ['bytes=-500', 1548, 2047],
          ['bytes=2000-5000', 2000, 2047],
          ['bytes=0-0', 0, 0],
        ])('%s', async (range, from, to) => {
          const answer = await http.ask('GET', path(digest), { headers: { range } });
          expect(answer.status).toBe(206);
          expect(answer.headers['content-range']).toBe(`bytes ${from}-${to}/2048`);
          expect(answer.headers['content-length']).toBe(String(to - from + 1));
          expect(answer.body.equals(bytes.subarray(from, to + 1))).toBe(true);
        });

        unless('badRanges').each(['bytes=500-0', 'bytes=5000-10000'])('%s is 416', async range => {
          expect((await http.ask('GET', path(digest), { headers: { range } })).status).toBe(416);
        });
      });
    });

    describe.each(kinds)('Manifests: %s', (kind, make, needed) => {
      const only = testIf(needed);
      const repository = `conformance/${kind.toLowerCase().replace(/[^a-z0-9]+/g, '-')}`;
      const maker = new GraphMaker();
      make(maker);
      const { graph } = maker;
      const path = (ref: string): string => `/v2/${repository}/manifests/${ref}`;
      const tags = graph.manifests.flatMap(({ tag }) => (tag === undefined ? [] : [tag]));

      only('is not there before', async () => {
        for (const ref of [graph.manifests[0]?.digest ?? '', 'none']) {
          const got = await http.ask('GET', path(ref), { headers: accept });
          expectError(got, 404, 'MANIFEST_UNKNOWN', 'NAME_UNKNOWN');
          expect((await http.ask('HEAD', path(ref), { headers: accept })).status).toBe(404);
        }
      });

      only('Push (end-7): its blobs and manifests, by digest and by tag', async () => {
        for (const [digest, bytes] of graph.blobs) expect((await putBlob(repository, digest, bytes)).status).toBe(201);
        for (const { digest, mediaType, bytes, tag } of graph.manifests) {
          for (const ref of tag === undefined ? [digest] : [digest, tag]) {
            const put = await http.ask('PUT', path(ref), { headers: { 'content-type': mediaType }, body: bytes });
            expect(put.status).toBe(201);
            expect(put.headers['docker-content-digest'] ?? digest).toBe(digest);
            const got = await http.ask('GET', put.location, { headers: accept });
            expect(got.status).toBe(200);
            expect(got.body.equals(bytes)).toBe(true);
            const { subject } = JSON.parse(bytes.toString()) as { subject?: { digest: string } };
            if (has('subject')) expect(put.headers['oci-subject']).toBe(subject?.digest);
          }
        }
      });

      only('Pull (end-3): GET and HEAD, by digest and by tag, the bytes that were pushed', async () => {
        for (const { digest, mediaType, bytes, tag } of graph.manifests) {
          for (const ref of tag === undefined ? [digest] : [digest, tag]) {
            for (const method of ['GET', 'HEAD']) {
              const got = await http.ask(method, path(ref), { headers: accept });
              expect(got.status).toBe(200);
              expect(got.headers['content-type']).toBe(mediaType);
              expect(got.headers['content-length']).toBe(String(bytes.length));
              expect(got.headers['docker-content-digest']).toBe(digest);
              expect(got.body.equals(method === 'GET' ? bytes : Buffer.alloc(0))).toBe(true);
            }
          }
        }
        for (const [digest, bytes] of graph.blobs) await expectBlob(`/v2/${repository}/blobs/${digest}`, bytes);
      });

      only('Content discovery (end-8): its tags, in lexical order', async () => {
        const listed = await http.ask('GET', `/v2/${repository}/tags/list`);
        expect(listed.status).toBe(200);
        const answer = JSON.parse(listed.body.toString()) as { name: string; tags: string[] | null };
        expect({ ...answer, tags: has('tagOrder') ? (answer.tags ?? []) : [...(answer.tags ?? [])].sort() }).toEqual({
          name: repository,
          tags: [...tags].sort(),
        });
      });

      testIf(needed, 'subject')('Content discovery (end-12): what refers to it', async () => {
        const subjects = subjectsOf(graph);
        for (const { digest } of graph.manifests) subjects.set(digest, subjects.get(digest) ?? []);
        for (const [subject, referrers] of subjects) {
          const listed = await http.ask('GET', `/v2/${repository}/referrers/${subject}`);
          expect(listed.status).toBe(200);
          expect(listed.headers['content-type']).toBe(mediaTypes.ociIndex);
          const index = JSON.parse(listed.body.toString()) as {
            manifests: { digest: string; artifactType?: string }[];
          };
          expect(index).toMatchObject({ schemaVersion: 2, mediaType: mediaTypes.ociIndex });
          const found = new Map(index.manifests.map(each => [each.digest, each]));
          expect([...found.keys()].sort()).toEqual(referrers.map(({ digest }) => digest).sort());
          for (const referrer of referrers) expect(found.get(referrer.digest)).toEqual(referrer);
          for (const type of new Set(referrers.flatMap(({ artifactType }) => artifactType ?? []))) {
            const where = `/v2/${repository}/referrers/${subject}?artifactType=${encodeURIComponent(type)}`;
            const filtered = await http.ask('GET', where);
            expect(filtered.headers['oci-filters-applied']).toBe('artifactType');
            const some = JSON.parse(filtered.body.toString()) as { manifests: { digest: string }[] };
            const wanted = referrers.filter(each => each.artifactType === type);
            expect(some.manifests.map(({ digest }) => digest).sort()).toEqual(
              wanted.map(({ digest }) => digest).sort(),
            );
          }
        }
      });

      testIf(needed, 'tagDelete')('Content management (end-9): a tag alone', async () => {
        for (const { tag, digest } of graph.manifests) {
          if (tag === undefined) continue;
          expect((await http.ask('DELETE', path(tag))).status).toBe(202);
          expect((await http.ask('GET', path(tag), { headers: accept })).status).toBe(404);
          expect((await http.ask('HEAD', path(digest), { headers: accept })).status).toBe(200);
        }
      });

      only('Content management (end-9, end-10): its manifests and its blobs', async () => {
        for (const { digest } of [...graph.manifests].reverse()) {
          expect((await http.ask('DELETE', path(digest))).status).toBe(202);
          expect((await http.ask('GET', path(digest), { headers: accept })).status).toBe(404);
        }
        for (const digest of graph.blobs.keys()) {
          expect((await http.ask('DELETE', `/v2/${repository}/blobs/${digest}`)).status).toBe(202);
          expect((await http.ask('GET', `/v2/${repository}/blobs/${digest}`)).status).toBe(404);
          expect([202, 404]).toContain((await http.ask('DELETE', `/v2/${repository}/blobs/${digest}`)).status);
        }
      });

      testIf(needed, 'subject')('and then nothing refers to it any more', async () => {
        for (const subject of subjectsOf(graph).keys()) {
          const listed = await http.ask('GET', `/v2/${repository}/referrers/${subject}`);
          expect(JSON.parse(listed.body.toString())).toMatchObject({ manifests: [] });
        }
      });
    });

    describe('Pushing manifests', () => {
      const repository = 'conformance/manifests';
      const put = (ref: string, bytes: Buffer, mediaType: string = mediaTypes.ociManifest): Promise<RawAnswer> =>
        http.ask('PUT', `/v2/${repository}/manifests/${ref}`, { headers: { 'content-type': mediaType }, body: bytes });
      const image = (): { bytes: Buffer; digest: Digest; blobs: Graph['blobs'] } => {
        const maker = new GraphMaker();
        maker.image();
        const [manifest] = maker.graph.manifests;
        return {
          bytes: manifest?.bytes ?? Buffer.alloc(0),
          digest: manifest?.digest ?? digestOf(Buffer.alloc(0)),
          blobs: maker.graph.blobs,
        };
      };

      test('whose content is not there is refused (code-5)', async () => {
        const { bytes } = image();
        const answer = await put('sparse', bytes);
        expect([400, 404]).toContain(answer.status);
        const { errors } = JSON.parse(answer.body.toString()) as { errors: { code: string }[] };
        expect(errors.every(({ code }) => code === 'MANIFEST_BLOB_UNKNOWN' || code === 'BLOB_UNKNOWN')).toBe(true);
      });

      test('under a digest that it does not have is refused', async () => {
        const { bytes, digest, blobs } = image();
        for (const [each, content] of blobs) await putBlob(repository, each, content);
        expectError(await put(digest, Buffer.concat([bytes, Buffer.from('  ')])), 400, 'DIGEST_INVALID');
      });

      test.each([
        ['no JSON', 'hello', mediaTypes.ociManifest],
        ['no object', '[]', mediaTypes.ociManifest],
        ['no manifest', '{"schemaVersion":2}', mediaTypes.ociManifest],
        [
          'of another kind than the header says',
          JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [] }),
          mediaTypes.ociManifest,
        ],
      ])('that is %s is refused', async (_, text, mediaType) => {
        const answer = await put('bad', Buffer.from(text), mediaType);
        expect(answer.status).toBe(400);
        expect(JSON.parse(answer.body.toString())).toMatchObject({ errors: expect.any(Array) });
      });

      test('under a tag that cannot be one is refused', async () => {
        const { bytes } = image();
        const answer = await put('-bad', bytes);
        expect([400, 404]).toContain(answer.status);
      });

      testIf('tagParam').each(['sha256', 'sha512'] as const)(
        'by digest, with its tags as parameters (end-7b), %s',
        async algorithm => {
          if (algorithm === 'sha512' && !has('sha512')) return;
          const { bytes, blobs } = image();
          for (const [each, content] of blobs) await putBlob(repository, each, content);
          const digest = digestOf(bytes, algorithm);
          const answer = await put(`${digest}?tag=p1-${algorithm}&tag=p2-${algorithm}`, bytes);
          expect(answer.status).toBe(201);
          expect(answer.headers['oci-tag']).toBe(`p1-${algorithm}, p2-${algorithm}`);
          for (const tag of [`p1-${algorithm}`, `p2-${algorithm}`]) {
            const got = await http.ask('GET', `/v2/${repository}/manifests/${tag}`, { headers: accept });
            expect(got.headers['docker-content-digest']).toBe(digest);
          }
        },
      );
    });

    describe('Listing tags (end-8)', () => {
      const repository = 'conformance/tags';
      const tags = ['Zeta', 'a', 'b', 'c10', 'c9', 'v1.0', 'v1.0-rc', '_x'].sort();
      const list = async (query = ''): Promise<{ tags: string[]; answer: RawAnswer }> => {
        const answer = await http.ask('GET', `/v2/${repository}/tags/list${query}`);
        expect(answer.status).toBe(200);
        return { tags: (JSON.parse(answer.body.toString()) as { tags: string[] }).tags, answer };
      };

      beforeAll(async () => {
        const maker = new GraphMaker();
        maker.image();
        for (const [digest, bytes] of maker.graph.blobs) await putBlob(repository, digest, bytes);
        for (const tag of tags) {
          const [{ bytes, mediaType } = { bytes: Buffer.alloc(0), mediaType: '' }] = maker.graph.manifests;
          const headers = { 'content-type': mediaType };
          await http.ask('PUT', `/v2/${repository}/manifests/${tag}`, { headers, body: bytes });
        }
      });

      test('a repository that is not there is 404', async () => {
        expectError(await http.ask('GET', '/v2/conformance/nothing/tags/list'), 404, 'NAME_UNKNOWN');
      });

      testIf('tagOrder')('all of them, in lexical order', async () => expect((await list()).tags).toEqual(tags));

      testIf('tagOrder')('n at a time, with a link to the next', async () => {
        const seen: string[] = [];
        let query: string | undefined = '?n=3';
        while (query !== undefined) {
          const page: { tags: string[]; answer: RawAnswer } = await list(query);
          expect(page.tags.length).toBeLessThanOrEqual(3);
          seen.push(...page.tags);
          const link: string | undefined = page.answer.headers.link as string | undefined;
          query = link === undefined ? undefined : /<[^>]*(\?[^>]*)>; rel="next"/.exec(link)?.[1];
        }
        expect(seen).toEqual(tags);
      });

      testIf('tagOrder')('from behind one on', async () => {
        expect((await list(`?n=2&last=${tags[1]}`)).tags).toEqual(tags.slice(2, 4));
        expect((await list(`?last=${tags[5]}`)).tags).toEqual(tags.slice(6));
      });

      testIf('tagOrder')('none, without a link', async () => {
        const { tags: none, answer } = await list('?n=0');
        expect(none).toEqual([]);
        expect(answer.headers.link).toBeUndefined();
      });
    });
  });
}

interface Referrer {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** What is to be listed for each subject: "Listing Referrers" says how the descriptor is made. */
function subjectsOf(graph: Graph): Map<string, Referrer[]> {
  const found = new Map<string, Referrer[]>();
  for (const { digest, mediaType, bytes } of graph.manifests) {
    const { subject, artifactType, config, annotations } = JSON.parse(bytes.toString()) as {
      subject?: { digest: string };
      artifactType?: string;
      config?: { mediaType: string };
      annotations?: Record<string, string>;
    };
    if (subject === undefined) continue;
    const type = artifactType ?? config?.mediaType;
    const referrer = {
      mediaType,
      digest,
      size: bytes.length,
      ...(type !== undefined && { artifactType: type }),
      ...(annotations !== undefined && { annotations }),
    };
    found.set(subject.digest, [...(found.get(subject.digest) ?? []), referrer]);
  }
  return found;
}
