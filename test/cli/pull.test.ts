import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import { afterAll, beforeAll, expect } from '@jest/globals';

import { hostPlatform } from '../../lib/oci/platform.js';
import { dockerFiles, tar } from '../image/fixtures.js';
import { Place } from '../support/engine.js';
import { needs } from '../support/needs.js';
import { TestRegistry } from '../support/registry.js';
import { Cli } from './cli.js';

const { describe, test } = needs('root');

const platform = hostPlatform();
const layers = [
  tar([{ name: 'etc/' }, { name: 'etc/passwd', content: 'root:x:0:0::/root:/bin/sh\n' }]),
  tar([{ name: 'etc/' }, { name: 'etc/motd', content: 'hello' }]),
];

let place: Place;
let cli: Cli;
let registry: TestRegistry;

describe('images on the command line', () => {
  beforeAll(async () => {
    place = new Place();
    cli = new Cli(place);
    registry = await TestRegistry.start();
  });

  afterAll(async () => {
    await registry[Symbol.asyncDispose]();
    await place[Symbol.asyncDispose]();
  });

  test('pull tells what it does in lines when nobody looks on', async () => {
    const { manifest, layers: blobs } = registry.putImage('team/app', '1', {
      layers,
      platform,
      config: { ExposedPorts: { '80/tcp': {} } },
    });
    const ref = `${registry.host}/team/app:1`;
    const first = (await cli.get('pull', ref)).split('\n');
    expect(first[0]).toBe('1: Pulling from team/app');
    expect(first.slice(1, 3).sort()).toEqual(blobs.map(({ digest }) => `${digest.slice(7, 19)}: Pull complete`).sort());
    expect(first.slice(3)).toEqual([`Digest: ${manifest.digest}`, `Status: Downloaded newer image for ${ref}`, ref]);

    const second = (await cli.get('pull', ref)).split('\n');
    expect(second.at(-2)).toBe(`Status: Image is up to date for ${ref}`);
    expect(await cli.get('pull', '-q', ref)).toBe(ref);
    expect(await cli.get('images', '--digests', '--format', '{{.Repository}} {{.Tag}} {{.Digest}}')).toBe(
      `${registry.host}/team/app 1 ${manifest.digest}`,
    );
  });

  test('pull without a tag says which it takes', async () => {
    registry.putImage('plain', 'latest', { layers, platform });
    expect((await cli.get('pull', `${registry.host}/plain`)).split('\n').slice(0, 2)).toEqual([
      'Using default tag: latest',
      'latest: Pulling from plain',
    ]);
  });

  test('a pull that fails says why in one line, and leaves nothing', async () => {
    const before = await cli.get('images', '-q');
    const missing = await cli.run('pull', `${registry.host}/no/such:1`);
    expect(missing).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/^tscontainer: images\.pull: [^\n]*no\/such[^\n]*\n$/),
    });
    expect(await cli.run('pull', 'Not A Name')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('Not A Name'),
    });
    expect(await cli.get('images', '-q')).toBe(before);
  });

  test('run pulls what is not here, and tells of it on standard error', async () => {
    registry.putImage('runnable', '1', { layers, platform, config: { Cmd: ['/no/such/program'] } });
    const ref = `${registry.host}/runnable:1`;
    const result = await cli.run('run', '--rm', '--network', 'none', ref);
    expect(result).toMatchObject({ exitCode: 127, stdout: '' });
    expect(result.stderr.split('\n').slice(0, 2)).toEqual([
      `Unable to find image '${ref}' locally`,
      '1: Pulling from runnable',
    ]);
    expect(result.stderr).toContain(`Status: Downloaded newer image for ${ref}\n`);
    expect((await cli.run('run', '--rm', '--network', 'none', ref)).stderr).not.toContain('Pulling');
    expect((await cli.run('run', '--rm', '--network', 'none', '--pull', 'always', ref)).stderr).toContain(
      `Image is up to date for ${ref}`,
    );
    expect((await cli.run('run', '--rm', '--network', 'none', '--pull', 'always', '-q', ref)).stderr).not.toContain(
      'Pulling',
    );
  });

  test('load reads a file or standard input', async () => {
    const archive = tar(dockerFiles([{ layers: [layers[0] as Buffer], tags: ['loaded:1'] }]));
    const path = join(place.directory, 'image.tar.gz');
    writeFileSync(path, gzipSync(archive));
    expect(await cli.get('load', '-i', path)).toBe('Loaded image: loaded:1');
    expect(await cli.get('rmi', 'loaded:1')).toMatch(/^Untagged: loaded:1\nDeleted: sha256:[0-9a-f]{64}$/);
    expect(await cli.run('load', '-i', '/no/such/file')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('/no/such/file'),
    });
    expect(await cli.feed('no archive', 'load')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('tscontainer: images.load: '),
    });
  });
});
