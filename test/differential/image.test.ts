import { afterAll, beforeAll, expect } from '@jest/globals';

import { needs } from '../support/needs.js';
import { baseLayer, imageConfigs, treeLayers } from './images.js';
import { since, Sides } from './sides.js';

const { describe, test } = needs('root', 'docker', 'cc');

describe('an archive that is loaded in both', () => {
  let sides: Sides;

  beforeAll(async () => {
    const layers = await treeLayers();
    const base = await baseLayer();
    const configured = Object.entries(imageConfigs).map(([name, image]) => ({
      tag: `tsc-test/${name}:1`,
      layers: [base],
      ...image,
    }));
    sides = await Sides.of([
      { tag: 'tsc-test/tree:1', layers, config: { Cmd: ['/bin/probe', 'tree'] } },
      ...configured,
    ]);
  });
  afterAll(async () => sides[Symbol.asyncDispose]());

  for (const name of ['tree', ...Object.keys(imageConfigs)]) {
    // An empty list was shown as one, and not as none.
    const isEmpty = name === 'none' || name === 'shell';
    (isEmpty ? since(28) : test)(`has one Id, RootFS, Config and platform: ${name}`, async () => {
      const theirs = await sides.docker.inspectImage(`tsc-test/${name}:1`);
      const ours = await (await sides.engine.images.get(`tsc-test/${name}:1`)).inspectDocker();
      expect(facts(ours)).toEqual(facts({ ...theirs, RepoTags: [`tsc-test/${name}:1`] }));
    });
  }

  test('has one tree: names, types, modes, owners, times, links, devices, contents and extended attributes', async () => {
    const { ours, theirs } = await sides.both(side => side.run({}));
    expect(ours.stderr).toBe('');
    expect(ours.stdout.split('\n').length).toBeGreaterThan(120);
    expect(lines(ours.stdout)).toEqual(lines(theirs.stdout));
  });
});

const compared = [
  'Id',
  'RepoTags',
  'RootFS',
  'Config',
  'Architecture',
  'Variant',
  'Os',
  'OsVersion',
  'Created',
  'Author',
  'Comment',
  'Size',
];

/** Until version 28 a container's settings were shown among the image's. */
const oldSettings = [
  'AttachStderr',
  'AttachStdin',
  'AttachStdout',
  'Domainname',
  'Hostname',
  'Image',
  'OpenStdin',
  'StdinOnce',
  'Tty',
];

function facts(inspected: object): Record<string, unknown> {
  const picked = Object.fromEntries(Object.entries(inspected).filter(([key]) => compared.includes(key)));
  const config = Object.entries(picked['Config'] as object).filter(([key]) => !oldSettings.includes(key));
  return { ...picked, Config: Object.fromEntries(config) };
}

/** What the engines made themselves has the time of now; in `/etc` are the three files that they write for each container. */
function lines(text: string): string[] {
  const recently = Date.now() / 1000 - 3600;
  return text
    .split('\n')
    .map(line =>
      line.replace(/ mtime=(\d+)\.\d+/, (all, seconds: string) =>
        Number(seconds) > recently && Number(seconds) < recently + 7200 ? ' mtime=now' : all,
      ),
    )
    .map(line => (/^\/etc\/(hosts|hostname|resolv\.conf) /.test(line) ? line.replace(/ size=.*/, '') : line))
    .map(line => (/^\/(sys|proc|dev) /.test(line) ? line.replace(/ mtime=.*/, '') : line));
}
