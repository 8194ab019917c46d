import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';

import { expect } from '@jest/globals';

import { readTar } from '../../lib/archive/reader.js';
import type { Container } from '../../lib/index.js';
import { testEngine } from '../support/engine.js';
import { baseImage } from '../support/host.js';
import { needs } from '../support/needs.js';

const { test } = needs('root');

const letters = { added: 'A', changed: 'C', deleted: 'D' } as const;

async function diff(container: Container): Promise<string[]> {
  return (await container.changes()).map(({ kind, path }) => `${letters[kind]} ${path}`);
}

test.each(['overlay', 'plain'] as const)('changes are told as they are: %s', async snapshotter => {
  await using engine = await testEngine({ snapshotter });
  await using container = await engine.containers.launch({
    image: await baseImage(engine),
    command: ['sleep', '1000'],
    networks: ['none'],
    mounts: [{ type: 'tmpfs', target: '/mounted' }],
  });
  expect(await diff(container)).toEqual(['A /mounted']);
  const script = `
    mkdir -p /new/deep; echo x > /new/deep/file; touch /mounted/unseen
    rm -r /usr/bin/tail; chmod 700 /etc; ln -s a /link`;
  await container.exec(['sh', '-c', script]);
  const told = [
    'C /etc',
    'A /link',
    'A /mounted',
    'A /new',
    'A /new/deep',
    'A /new/deep/file',
    'C /usr',
    'C /usr/bin',
    'D /usr/bin/tail',
  ];
  expect(await diff(container)).toEqual(told);
  await container.stop({ graceMs: 0 });
  expect(await diff(container)).toEqual(told);
});

test('an export is the root file system without what is mounted', async () => {
  await using engine = await testEngine();
  await using container = await engine.containers.launch({
    image: await baseImage(engine),
    command: ['sleep', '1000'],
    networks: ['none'],
    mounts: [{ type: 'tmpfs', target: '/mounted' }],
  });
  await container.exec(['sh', '-c', 'echo there > /exported; touch /mounted/unseen; rm /usr/bin/tail']);
  for (const running of [true, false]) {
    if (!running) await container.stop({ graceMs: 0 });
    const found = new Map<string, string>();
    for await (const { header, body } of readTar(container.export())) {
      found.set(header.name, header.name === 'exported' ? (await buffer(body)).toString() : '');
    }
    expect(found.get('exported')).toBe('there\n');
    for (const name of ['mounted/', 'etc/hosts', 'proc/', 'usr/bin/sh']) expect([...found.keys()]).toContain(name);
    for (const name of ['mounted/unseen', 'usr/bin/tail', './']) expect([...found.keys()]).not.toContain(name);
    expect([...found.keys()].filter(name => name.startsWith('proc/') && name !== 'proc/')).toEqual([]);
  }
});

test('an export that is no longer read ends', async () => {
  await using engine = await testEngine();
  await using container = await engine.containers.create({ image: await baseImage(engine), networks: ['none'] });
  const stream = container.export();
  await once(stream, 'data');
  stream.destroy();
  await container.remove();
  await expect(engine.containers.list()).resolves.toEqual([]);
});
