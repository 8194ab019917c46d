import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { isEngineError } from '../../lib/errors.js';
import { parseReference } from '../../lib/oci/reference.js';
import type { Digest } from '../../lib/types.js';

const f64 = 'f'.repeat(64);
const sha256: Digest = `sha256:${f64}`;
const sha512: Digest = `sha512:${'f'.repeat(128)}`;

describe('a reference is read as Docker reads it', () => {
  test.each([
    // text, in full, as Docker prints it
    ['alpine', 'docker.io/library/alpine:latest', 'alpine:latest'],
    ['alpine:3', 'docker.io/library/alpine:3', 'alpine:3'],
    ['library/alpine', 'docker.io/library/alpine:latest', 'alpine:latest'],
    ['acme/app', 'docker.io/acme/app:latest', 'acme/app:latest'],
    ['acme/team/app', 'docker.io/acme/team/app:latest', 'acme/team/app:latest'],
    ['docker.io/alpine', 'docker.io/library/alpine:latest', 'alpine:latest'],
    ['docker.io/library/a/b', 'docker.io/library/a/b:latest', 'library/a/b:latest'],
    ['index.docker.io/alpine', 'docker.io/library/alpine:latest', 'alpine:latest'],
    ['localhost/app', 'localhost/app:latest', 'localhost/app:latest'],
    ['localhost:5000/app:1', 'localhost:5000/app:1', 'localhost:5000/app:1'],
    ['127.0.0.1:5000/debian:bookworm', '127.0.0.1:5000/debian:bookworm', '127.0.0.1:5000/debian:bookworm'],
    ['192.168.1.1/repo', '192.168.1.1/repo:latest', '192.168.1.1/repo:latest'],
    ['[::1]:5000/repo', '[::1]:5000/repo:latest', '[::1]:5000/repo:latest'],
    ['[2001:db8::1]/repo:tag', '[2001:db8::1]/repo:tag', '[2001:db8::1]/repo:tag'],
    [`[2001:db8::1]:5000/repo:tag@${sha256}`, `[2001:db8::1]:5000/repo:tag@${sha256}`, undefined],
    ['ghcr.io/acme/app', 'ghcr.io/acme/app:latest', 'ghcr.io/acme/app:latest'],
    ['test:5000/repo', 'test:5000/repo:latest', 'test:5000/repo:latest'],
    ['Uppercase/lowercase:tag', 'Uppercase/lowercase:tag', 'Uppercase/lowercase:tag'],
    ['lowercase:Uppercase', 'docker.io/library/lowercase:Uppercase', 'lowercase:Uppercase'],
    ['test.com:5000', 'docker.io/library/test.com:5000', 'test.com:5000'],
    ['foo_bar.com:8080', 'docker.io/library/foo_bar.com:8080', 'foo_bar.com:8080'],
    ['foo/foo_bar.com:8080', 'docker.io/foo/foo_bar.com:8080', 'foo/foo_bar.com:8080'],
    ['a__b/c---d/e.f', 'docker.io/a__b/c---d/e.f:latest', 'a__b/c---d/e.f:latest'],
    ['sub-dom1.foo.com/bar/baz/quux:some-long-tag', 'sub-dom1.foo.com/bar/baz/quux:some-long-tag', undefined],
    [
      'b.gcr.io/test.example.com/my-app:test.example.com',
      'b.gcr.io/test.example.com/my-app:test.example.com',
      undefined,
    ],
    ['xn--n3h.com/myimage:xn--n3h.com', 'xn--n3h.com/myimage:xn--n3h.com', undefined],
    [`alpine@${sha256}`, `docker.io/library/alpine@${sha256}`, `alpine@${sha256}`],
    [`alpine:3@${sha256}`, `docker.io/library/alpine:3@${sha256}`, `alpine:3@${sha256}`],
    [`xn--7o8h.com/myimage:t@${sha512}`, `xn--7o8h.com/myimage:t@${sha512}`, undefined],
    [`${'a/'.repeat(127)}a:tag-puts-this-over-max`, `docker.io/${'a/'.repeat(127)}a:tag-puts-this-over-max`, undefined],
    [`r:${'t'.repeat(128)}`, `docker.io/library/r:${'t'.repeat(128)}`, undefined],
  ])('%s', (text, full, familiar) => {
    const reference = parseReference(text);
    expect(reference.toString()).toBe(full);
    expect(reference.familiar()).toBe(familiar ?? text);
    expect(JSON.stringify({ reference })).toBe(JSON.stringify({ reference: full }));
  });

  test('its parts are there', () => {
    const reference = parseReference(`registry.example:5000/acme/app:1@${sha256}`);
    expect(reference).toMatchObject({ domain: 'registry.example:5000', path: 'acme/app', tag: '1', digest: sha256 });
    expect(reference.repository).toBe('registry.example:5000/acme/app');
    expect(reference.familiarRepository()).toBe('registry.example:5000/acme/app');
  });

  test('the digest is what a registry is asked for, if there is one, and else the tag', () => {
    expect(parseReference(`alpine:3@${sha256}`).version).toBe(sha256);
    expect(parseReference('alpine:3').version).toBe('3');
    expect(parseReference('alpine', { defaultTag: false }).version).toBe('latest');
  });

  test('only Docker Hub lives elsewhere than its images say', () => {
    expect(parseReference('alpine').registryHost).toBe('registry-1.docker.io');
    expect(parseReference('localhost:5000/alpine').registryHost).toBe('localhost:5000');
  });

  test('a default tag can be left out, or be another', () => {
    expect(parseReference('alpine', { defaultTag: false }).toString()).toBe('docker.io/library/alpine');
    expect(parseReference('alpine', { defaultTag: 'edge' }).toString()).toBe('docker.io/library/alpine:edge');
    expect(parseReference(`alpine@${sha256}`, { defaultTag: 'edge' }).tag).toBeUndefined();
  });

  test('a tag replaces tag and digest, a digest is added', () => {
    const reference = parseReference(`alpine:3@${sha256}`);
    expect(reference.withTag('4').familiar()).toBe('alpine:4');
    expect(parseReference('alpine:3').withDigest(sha256).familiar()).toBe(`alpine:3@${sha256}`);
    expect(() => reference.withTag('-x')).toThrow(/"-x" is not a tag/);
  });
});

describe('what is no reference is refused, and the part that is wrong is named', () => {
  test.each([
    ['', /must not be empty/],
    [':justtag', /"" is not a repository name/],
    [`@${sha256}`, /is not a repository name/],
    ['Uppercase:tag', /"Uppercase" must be lower case. Write uppercase$/],
    ['test:5000/Uppercase/lowercase:tag', /"Uppercase\/lowercase" must be lower case/],
    ['aa/asdf$$^/aa', /"aa\/asdf\$\$\^\/aa" is not a repository name/],
    ['a//b', /is not a repository name/],
    ['a/', /is not a repository name/],
    ['/a', /is not a repository name/],
    ['a..b', /is not a repository name/],
    ['a___b', /is not a repository name/],
    ['a/../b', /is not a repository name/],
    ['-a', /is not a repository name/],
    ['a:', /"" is not a tag/],
    ['a:.b', /".b" is not a tag/],
    ['a:b:c', /"a:b" is not a repository name/],
    [`r:${'t'.repeat(129)}`, /the tag has 129 characters, at most 128 are allowed/],
    [`${'a/'.repeat(128)}a:tag`, /the repository name has 257 characters, at most 255 are allowed/],
    [`${'a'.repeat(2000)}`, /2000 characters/],
    ['repo@sha256:ffff', /what follows the @ is not a digest: expected sha256 and 64/],
    [`repo@sha256:${'F'.repeat(64)}`, /is not a digest/],
    [`repo@md5:${f64}`, /the digest algorithm "md5": only sha256 and sha512/],
    [`repo@${sha256}@${sha256}`, /what follows the @/],
    ['[2001:db8::1]', /is not a repository name/],
    ['[fe80::1%eth0]:5000/repo', /is not a registry's host/],
    ['[:::]:5000/repo', /is not a registry's host/],
    ['exa_mple.com/repo', /"exa_mple.com" is not a registry's host/],
    ['host:0/repo', /port 0 is not between/],
    ['host:65536/repo', /port 65536 is not between/],
    ['host:/repo', /"host:" is not a registry's host/],
    [f64, /64 hexadecimal digits, which is an image id/],
    ['https://ghcr.io/acme/app', /is a URL, not an image reference. Leave out https:\/\//],
    ['al pine', /no white space/],
    ['alpine\n', /no white space/],
    ['alpine\0', /is not a repository name/],
    ['älpine', /is not a repository name/],
  ])('%j', (text, message) => {
    const error = thrownBy(() => parseReference(text, { call: 'images.pull' }));
    expect(error).toMatchObject({ code: 'CTR_PARSE' });
    expect((error as { message: string }).message).toMatch(/^images\.pull: /);
    expect((error as { message: string }).message).toMatch(message);
  });

  test('what is not even a string is misuse', () => {
    expect(() => parseReference(7 as unknown as string)).toThrow(TypeError);
  });
});

describe('whatever the text', () => {
  test('it is read or refused, in no time, and what was read is read the same again', () => {
    const shape = fc.stringMatching(/^[a-zA-Z0-9._\-:/@[\]]{0,80}$/);
    fc.assert(
      fc.property(fc.oneof(shape, fc.string({ maxLength: 300 })), text => {
        const reference = readOrRefuse(text);
        if (reference === undefined) return;
        expect(parseReference(reference.toString()).toString()).toBe(reference.toString());
        expect(parseReference(reference.familiar()).toString()).toBe(reference.toString());
      }),
    );
  });

  test('no pattern takes long over a text that almost fits', () => {
    const before = performance.now();
    for (const piece of ['a-', 'a.', 'a_', '--', 'a/', 'A-', '0.']) {
      readOrRefuse(`${piece.repeat(400)}!`);
      readOrRefuse(`${piece.repeat(400)}!/x`);
    }
    expect(performance.now() - before).toBeLessThan(500);
  });
});

function readOrRefuse(text: string): ReturnType<typeof parseReference> | undefined {
  try {
    return parseReference(text);
  } catch (error) {
    if (!isEngineError(error)) throw error;
    return undefined;
  }
}

function thrownBy(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new TypeError('nothing was thrown');
}
