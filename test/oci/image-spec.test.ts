import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { isEngineError } from '../../lib/errors.js';
import {
  isConfig,
  isIndex,
  isLayer,
  isManifest,
  layerCompression,
  mediaTypes,
  parseDescriptor,
} from '../../lib/oci/descriptor.js';
import { sha256 } from '../../lib/oci/digest.js';
import {
  chainIds,
  checkLayers,
  MAX_CONFIG_BYTES,
  MAX_MANIFEST_BYTES,
  parseConfig,
  parseIndex,
  parseManifest,
  parseManifestDocument,
} from '../../lib/oci/image-spec.js';

const origin = { call: 'images.pull', source: 'acme/app:1' };
const bytes = (value: unknown): Buffer => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));

const layer = { mediaType: mediaTypes.ociLayerGzip, digest: sha256('layer'), size: 5 };
const config = { mediaType: mediaTypes.ociConfig, digest: sha256('config'), size: 6 };
const manifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: [layer] };
const index = {
  schemaVersion: 2,
  mediaType: mediaTypes.ociIndex,
  manifests: [
    {
      mediaType: mediaTypes.ociManifest,
      digest: sha256('m'),
      size: 1,
      platform: { os: 'linux', architecture: 'arm', variant: 'v7', 'os.features': ['x'] },
    },
  ],
};
const imageConfig = {
  os: 'linux',
  architecture: 'amd64',
  created: '2026-01-02T03:04:05Z',
  config: { Env: ['A=b'], Entrypoint: null, Cmd: ['sh'], ExposedPorts: { '80/tcp': {} }, Labels: { a: 'b' } },
  rootfs: { type: 'layers', diff_ids: [sha256('diff')] },
  history: [{ created_by: 'RUN x', empty_layer: true }, {}],
};

describe('a manifest', () => {
  test('is read, and what is unknown in it is passed over', () => {
    const read = parseManifest(bytes({ ...manifest, annotations: { a: 'b' }, novelty: [1] }), origin);
    expect(read).toEqual({ ...manifest, annotations: { a: 'b' } });
  });

  test('of Docker is read as well', () => {
    const docker = { ...manifest, mediaType: mediaTypes.dockerManifest };
    expect(parseManifest(bytes(docker), origin, mediaTypes.dockerManifest)).toEqual(docker);
  });

  test('need not repeat its media type', () => {
    expect(
      parseManifest(bytes({ ...manifest, mediaType: undefined }), origin, mediaTypes.dockerManifest).mediaType,
    ).toBe(mediaTypes.dockerManifest);
  });

  test('may have no layers, as `null` too', () => {
    expect(parseManifest(bytes({ ...manifest, layers: null }), origin).layers).toEqual([]);
  });

  test.each([
    ['nothing', '', /is not JSON \(it is empty\)/],
    ['a web page', '<!DOCTYPE html><html>', /is not JSON \(it starts with "<!DOCTYPE html><html>"\)/],
    ['half of it', '{"schemaVersion":2', /is not JSON/],
    ['bytes that are not UTF-8', Buffer.from('{"a":"\xff"}', 'latin1'), /is not JSON/],
    ['a list', [], /is \[\], expected an object/],
    ['null', null, /is null, expected an object/],
    ['no version', { ...manifest, schemaVersion: undefined }, /schemaVersion is missing, expected a whole number/],
    ['version 3', { ...manifest, schemaVersion: 3 }, /schemaVersion is 3, expected 2/],
    ['Docker schema 1', { schemaVersion: 1, fsLayers: [] }, /schema 1.*Push it again/],
    [
      'another media type',
      { ...manifest, mediaType: mediaTypes.ociIndex },
      /mediaType is .*index.*, expected .*manifest/,
    ],
    ['no config', { ...manifest, config: undefined }, /config is missing, expected an object/],
    ['no layers', { ...manifest, layers: undefined }, /layers is missing, expected a list/],
    ['layers that are none', { ...manifest, layers: {} }, /layers is \{\}, expected a list/],
    ['a layer without digest', { ...manifest, layers: [layer, {}] }, /layers\[1\]\.mediaType is missing/],
    [
      'a bad digest',
      { ...manifest, layers: [{ ...layer, digest: 'sha256:../x' }] },
      /layers\[0\]\.digest is not a digest/,
    ],
    ['a negative size', { ...manifest, layers: [{ ...layer, size: -1 }] }, /layers\[0\]\.size is -1, expected a whole/],
    ['a fractional size', { ...manifest, config: { ...config, size: 1.5 } }, /config\.size is 1\.5/],
    ['a size beyond numbers', { ...manifest, config: { ...config, size: 2 ** 60 } }, /config\.size/],
    ['a size as text', { ...manifest, config: { ...config, size: '5' } }, /config\.size is "5"/],
    ['a bad media type', { ...manifest, config: { ...config, mediaType: 'a\r\nb' } }, /mediaType is not a media type/],
    ['a number as annotation', { ...manifest, annotations: { a: 1 } }, /annotations\.a is 1, expected a string/],
    ['10,001 layers', { ...manifest, layers: Array<object>(10_001).fill({}) }, /layers has 10001 entries/],
    ['depth', '['.repeat(100_000), /nests deeper than 64/],
  ])('with %s is refused, naming the place', (_, document, message) => {
    const read = (): unknown => parseManifest(Buffer.isBuffer(document) ? document : bytes(document), origin);
    expect(read).toThrow(message);
    expect(read).toThrow(/^images\.pull: acme\/app:1: /);
    expect(read).toThrow(expect.objectContaining({ code: 'CTR_PARSE' }));
  });

  test('of more than 4 MiB is not read', () => {
    const read = (): unknown => parseManifest(Buffer.alloc(MAX_MANIFEST_BYTES + 1, ' '), origin);
    expect(read).toThrow(expect.objectContaining({ code: 'CTR_LIMIT', limit: 4 * 1024 * 1024 }));
  });

  test('cannot be an index to somebody else (CVE-2021-41190)', () => {
    expect(() => parseManifest(bytes({ ...manifest, manifests: [] }), origin)).toThrow(/belongs to an index/);
    expect(() => parseIndex(bytes({ ...index, layers: [] }), origin)).toThrow(/belongs to a manifest/);
    expect(() => parseIndex(bytes({ ...index, config }), origin)).toThrow(/belongs to a manifest/);
    expect(() => parseManifest(bytes(manifest), origin, mediaTypes.dockerManifest)).toThrow(/mediaType is/);
  });

  test('may have keys that JavaScript gives a meaning to', () => {
    const text = JSON.stringify(manifest).replace('{', '{"__proto__":{"layers":[]},"annotations":{"__proto__":"x"},');
    const read = parseManifest(bytes(text), origin);
    expect(Object.entries(read.annotations ?? {})).toEqual([['__proto__', 'x']]);
    expect(read.layers).toHaveLength(1);
  });
});

describe('an index', () => {
  test('is read with its platforms', () => {
    expect(parseIndex(bytes(index), origin)).toEqual(index);
  });

  test('is told from a manifest by what the registry calls it', () => {
    expect(parseManifestDocument(bytes(index), mediaTypes.ociIndex, origin)).toEqual({ type: 'index', index });
    expect(parseManifestDocument(bytes(manifest), mediaTypes.ociManifest, origin)).toEqual({
      type: 'manifest',
      manifest,
    });
    expect(() => parseManifestDocument(bytes(index), 'text/plain', origin)).toThrow(/is of type text\/plain/);
    const schema1 = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
    expect(() => parseManifestDocument(bytes('{}'), schema1, origin)).toThrow(/schema 1/);
  });
});

describe('a config', () => {
  test('is read, with null as absent and lists for sets', () => {
    expect(parseConfig(bytes(imageConfig), origin)).toEqual({
      ...imageConfig,
      config: { Env: ['A=b'], Cmd: ['sh'], ExposedPorts: ['80/tcp'], Labels: { a: 'b' } },
    });
  });

  test('needs hardly anything', () => {
    const { os, architecture, rootfs } = imageConfig;
    expect(parseConfig(bytes({ os, architecture, rootfs }), origin)).toEqual({
      os,
      architecture,
      rootfs,
      config: {},
      history: [],
    });
  });

  test('may have a command of one string, as in the first years', () => {
    const old = { ...imageConfig, config: { Cmd: 'sh -c x', User: '' } };
    expect(parseConfig(bytes(old), origin).config).toEqual({ Cmd: ['sh -c x'] });
  });

  test.each([
    ['no os', { ...imageConfig, os: undefined }, /os is missing/],
    ['no root file system', { ...imageConfig, rootfs: undefined }, /rootfs/],
    ['another kind of it', { ...imageConfig, rootfs: { type: 'x', diff_ids: [] } }, /rootfs\.type is "x"/],
    ['a bad diff id', { ...imageConfig, rootfs: { type: 'layers', diff_ids: ['x'] } }, /rootfs\.diff_ids\[0\]/],
    ['a number in Env', { ...imageConfig, config: { Env: [1] } }, /config\.Env\[0\] is 1, expected a string/],
    ['a label that is none', { ...imageConfig, config: { Labels: { a: {} } } }, /config\.Labels\.a is \{\}/],
  ])('with %s is refused', (_, document, message) => {
    expect(() => parseConfig(bytes(document), origin)).toThrow(message);
  });

  test('of more than 8 MiB is not read', () => {
    expect(() => parseConfig(Buffer.alloc(MAX_CONFIG_BYTES + 1), origin)).toThrow(/at most 8388608 are read/);
  });

  test('must speak of as many layers as its manifest', () => {
    const [m, c] = [parseManifest(bytes(manifest), origin), parseConfig(bytes(imageConfig), origin)];
    expect(() => checkLayers(m, c, origin)).not.toThrow();
    expect(() => checkLayers({ ...m, layers: [] }, c, origin)).toThrow(/has 0 layers, but its config has 1/);
  });
});

test('whatever the bytes, parsing succeeds or says why not', () => {
  const mutated = fc
    .tuple(fc.constantFrom(manifest, index, imageConfig), fc.nat(), fc.nat(255))
    .map(([doc, at, byte]) => {
      const copy = bytes(doc);
      copy[at % copy.length] = byte;
      return copy;
    });
  fc.assert(
    fc.property(fc.oneof(mutated, fc.json().map(bytes), fc.uint8Array()), input => {
      for (const parse of [parseManifest, parseIndex, parseConfig]) {
        try {
          parse(input, origin);
        } catch (error) {
          if (!isEngineError(error)) throw error;
        }
      }
    }),
    { numRuns: 500 },
  );
});

test('a descriptor by itself is checked too', () => {
  expect(parseDescriptor({ ...layer, urls: ['https://x'] }, 'index.json')).toEqual({ ...layer, urls: ['https://x'] });
  expect(() => parseDescriptor({ ...layer, size: null }, 'index.json')).toThrow(/index\.json: size is null/);
});

test('media types are told apart', () => {
  expect([isIndex(mediaTypes.dockerIndex), isManifest(mediaTypes.dockerManifest)]).toEqual([true, true]);
  expect([isConfig(mediaTypes.ociConfig), isConfig(mediaTypes.ociLayer)]).toEqual([true, false]);
  expect([isLayer(mediaTypes.ociLayerZstd), isLayer('toString')]).toEqual([true, false]);
  expect(layerCompression(mediaTypes.dockerForeignLayerGzip)).toBe('gzip');
  expect(layerCompression(mediaTypes.ociLayerZstd)).toBe('zstd');
  expect(layerCompression(mediaTypes.dockerLayer)).toBe('none');
  expect(layerCompression(mediaTypes.ociConfig)).toBeUndefined();
});

describe('chain ids', () => {
  test('name every stack, lowest first', () => {
    const [a, b, c] = [sha256('a'), sha256('b'), sha256('c')];
    const ab = sha256(`${a} ${b}`);
    expect(chainIds([a, b, c])).toEqual([a, ab, sha256(`${ab} ${c}`)]);
    expect(chainIds([])).toEqual([]);
  });
});
