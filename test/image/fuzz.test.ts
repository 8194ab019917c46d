import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from '@jest/globals';
import fc from 'fast-check';

import { isEngineError } from '../../lib/errors.js';
import { applyChanges } from '../../lib/image/changes.js';
import { matchesReference } from '../../lib/image/glob.js';
import { indexTar } from '../../lib/image/tar-index.js';
import { parseConfig, parseIndex, parseManifest } from '../../lib/oci/image-spec.js';
import { sha256 } from '../../lib/oci/digest.js';
import { configFor, dockerFiles, tar } from './fixtures.js';

const origin = { call: 'images.load', source: 'fuzz' };
const runs = { numRuns: Number(process.env['TSC_FUZZ_RUNS'] ?? 200) };
const digest = sha256('x');
const good = [
  configFor([digest]).toString(),
  JSON.stringify({
    schemaVersion: 2,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: 1 },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size: 1, annotations: { a: 'b' } }],
  }),
  JSON.stringify({
    schemaVersion: 2,
    manifests: [
      {
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        digest,
        size: 1,
        platform: { os: 'linux', architecture: 'amd64' },
      },
    ],
  }),
];

/** Something good with a piece of it replaced. */
const damaged = fc
  .tuple(fc.constantFrom(...good), fc.nat(1000), fc.nat(20), fc.oneof(fc.json(), fc.string(), fc.constant('null')))
  .map(([text, at, length, instead]) => {
    const from = at % text.length;
    return text.slice(0, from) + instead + text.slice(from + length);
  });

function isTyped(work: () => unknown): boolean {
  try {
    work();
    return true;
  } catch (error) {
    return isEngineError(error);
  }
}

test.each([
  ['index', parseIndex],
  ['manifest', parseManifest],
  ['config', parseConfig],
] as const)('whatever is said to be an %s is read or refused by a typed error', (_, parse) => {
  fc.assert(
    fc.property(fc.oneof(damaged, fc.json()), text => isTyped(() => parse(Buffer.from(text), origin))),
    runs,
  );
});

test('whatever is said to be a change is applied or refused by a typed error', () => {
  const words = fc.constantFrom('CMD', 'ENV', 'EXPOSE', 'LABEL', 'HEALTHCHECK', 'VOLUME', 'WORKDIR', 'ONBUILD', 'x');
  fc.assert(
    fc.property(words, fc.string(), (word, rest) => isTyped(() => applyChanges({}, [`${word} ${rest}`], 'x'))),
    runs,
  );
});

test('a pattern never fails, and a name without special characters is its own pattern', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (name, pattern) => typeof matchesReference(name, pattern) === 'boolean'),
    runs,
  );
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z0-9/.:_-]{1,30}$/), name => matchesReference(name, name)),
    runs,
  );
});

test('an archive with bytes changed is indexed within its bounds, or refused by a typed error', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'fuzz-'));
  const archive = tar(dockerFiles([{ layers: [tar([{ name: 'x', content: 'y' }])], tags: ['a:1'] }]));
  const path = join(directory, 'a.tar');
  try {
    const change = fc.array(fc.tuple(fc.nat(archive.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(change, fc.nat(archive.length), async (changes, length) => {
        const bytes = Buffer.from(archive);
        for (const [at, value] of changes) bytes[at] = value;
        writeFileSync(path, bytes.subarray(0, Math.max(512, length)));
        await using file = await open(path);
        const { size } = await file.stat();
        try {
          for (const entry of (await indexTar(file, origin)).values())
            if (entry.kind === 'file') expect(entry.offset + entry.size).toBeLessThanOrEqual(size);
        } catch (error) {
          expect(isEngineError(error)).toBe(true);
        }
      }),
      runs,
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
