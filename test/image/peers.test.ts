import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';

import { afterEach, beforeEach, expect } from '@jest/globals';

import { ImageCollection } from '../../lib/image/images.js';
import type { Store } from '../../lib/store/store.js';
import { Place } from '../store/place.js';
import { Docker } from '../support/docker.js';
import { needs } from '../support/needs.js';
import { runPeer } from '../support/peers.js';
import { dockerFiles, tar } from './fixtures.js';

const base = tar([
  { name: 'etc/' },
  { name: 'etc/x', content: 'base' },
  { name: 'bin/sh', content: '#!', mode: 0o755 },
]);
const top = tar([{ name: 'etc/y', content: 'top' }, { name: 'etc/.wh.x' }]);

let place: Place;
let store: Store;
let images: ImageCollection;

beforeEach(async () => {
  place = new Place();
  store = await place.open();
  images = new ImageCollection({ store });
});

afterEach(() => place[Symbol.asyncDispose]());

async function loadApp(config?: Record<string, unknown>): Promise<Buffer> {
  const archive = tar(dockerFiles([{ tags: ['peer-app:1'], layers: [base, top], ...(config && { config }) }]));
  writeFileSync(place.at('app.tar'), archive);
  await images.load(place.at('app.tar'));
  return archive;
}

const skopeo = needs('skopeo');

skopeo.test('skopeo reads our store as an OCI layout', async () => {
  await loadApp();
  const { id, digest, layers } = await (await images.get('peer-app:1')).inspect();
  const ref = `oci:${place.at('root')}:docker.io/library/peer-app:1`;
  const said = await runPeer('skopeo', ['inspect', ref]);
  expect(said).toMatchObject({ code: 0 });
  expect(JSON.parse(said.stdout)).toMatchObject({ Digest: digest, Layers: layers.map(layer => layer.digest) });
  const config = await runPeer('skopeo', ['inspect', '--config', '--raw', ref]);
  expect(`${config.stdout}`).toBe(readFileSync(store.content.path(id), 'utf8'));
});

skopeo.test('what skopeo writes as an archive, old and new, we load', async () => {
  await loadApp();
  const { id } = await images.get('peer-app:1');
  const from = `oci:${place.at('root')}:docker.io/library/peer-app:1`;
  const other = new ImageCollection({ store: await place.open({ root: place.at('other') }) });
  for (const to of ['docker-archive', 'oci-archive']) {
    const path = place.at(`${to}.tar`);
    expect(await runPeer('skopeo', ['copy', '-q', from, `${to}:${path}:peer-app:${to}`])).toMatchObject({ code: 0 });
    const [image] = await other.load(path);
    expect(image?.id).toBe(id);
    expect((await image?.inspect())?.tags).toContain(`peer-app:${to}`);
  }
});

needs('skopeo', 'zstd').test('an archive with zstd layers, as skopeo makes them, is loaded', async () => {
  await loadApp();
  const { id } = await images.get('peer-app:1');
  const from = `oci:${place.at('root')}:docker.io/library/peer-app:1`;
  const copy = ['copy', '-q', '--dest-compress-format', 'zstd', '--dest-oci-accept-uncompressed-layers=false'];
  const said = await runPeer('skopeo', [...copy, '--dest-compress', from, `oci:${place.at('zstd')}:peer-app:zstd`]);
  expect(said).toMatchObject({ code: 0 });
  const other = new ImageCollection({ store: await place.open({ root: place.at('other') }) });
  const [image] = await other.load(place.at('zstd'));
  expect(image?.id).toBe(id);
  expect(other.resolve('peer-app:zstd').readFile('/etc/y')?.toString()).toBe('top');
});

needs('umoci', 'root').test('umoci unpacks an image from our store', async () => {
  await loadApp();
  // umoci takes what follows the first colon for the tag.
  await images.tag('peer-app:1', 'peer-app:umoci');
  mkdirSync(place.at('bundle'));
  const list = await runPeer('umoci', ['ls', '--layout', place.at('root')]);
  expect(list.stdout.split('\n')).toContain('docker.io/library/peer-app:umoci');
  const image = `${place.at('root')}:docker.io/library/peer-app:umoci`;
  const said = await runPeer('umoci', ['raw', 'unpack', '--image', image, place.at('bundle', 'rootfs')]);
  expect(said).toMatchObject({ code: 0 });
  expect(readFileSync(place.at('bundle', 'rootfs', 'etc', 'y'), 'utf8')).toBe('top');
});

needs('docker').test('Docker says the same of an archive: id, layers, config', async () => {
  const archive = await loadApp({
    Cmd: ['sh', '-c', 'true'],
    Entrypoint: ['/entry'],
    Env: ['A=b'],
    ExposedPorts: { '80/tcp': {} },
    Healthcheck: { Test: ['CMD', 'true'], Interval: 1_000_000_000 },
    Labels: { a: 'b' },
    OnBuild: ['RUN true'],
    Shell: ['/bin/bash', '-c'],
    StopSignal: 'SIGINT',
    User: '1:2',
    Volumes: { '/data': {} },
    WorkingDir: '/w',
  });
  const docker = new Docker();
  await docker.load(archive);
  try {
    const theirs = await docker.inspectImage('peer-app:1');
    const ours = (await (await images.get('peer-app:1')).inspectDocker()) as unknown as Record<string, unknown>;
    for (const key of ['Id', 'RepoTags', 'RootFS', 'Architecture', 'Os', 'Created', 'Size', 'Author', 'Comment']) {
      expect([key, ours[key]]).toEqual([key, theirs[key] ?? '']);
    }
    // Version 20 prints fields that an image's config does not have, empty.
    const config = Object.entries(theirs['Config'] as object).filter(([key]) => key in (ours['Config'] as object));
    expect(ours['Config']).toEqual(Object.fromEntries(config));
  } finally {
    await docker.removeImage('peer-app:1');
  }
});
