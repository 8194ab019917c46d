import { Readable } from 'node:stream';

import { expect } from '@jest/globals';

import { testEngine } from '../support/engine.js';
import { baseImage } from '../support/host.js';
import { needs } from '../support/needs.js';

const { test } = needs('root');

test.each(['running', 'created'] as const)(
  'files of one that is %s are read, written, listed, made and removed',
  async state => {
    await using engine = await testEngine();
    await using container = await engine.containers.create({
      image: await baseImage(engine),
      command: ['sleep', '1000'],
      networks: ['none'],
    });
    if (state === 'running') await container.start();
    const { fs } = container;
    await fs.mkdir('/a/b/c', { recursive: true });
    await fs.mkdir('/a/b/c', { recursive: true });
    await fs.writeFile('/a/file', 'one\n', { mode: 0o600, owner: { uid: 12, gid: 13 } });
    await fs.writeFile('/a/file', Readable.from([Buffer.from('two\n')]), { how: 'append' });
    expect(await fs.readFile('/a/file', { encoding: 'utf8' })).toBe('one\ntwo\n');
    expect(await fs.readFile('a/file')).toEqual(Buffer.from('one\ntwo\n'));
    expect(await fs.stat('/a/file')).toMatchObject({ type: 'file', mode: 0o600, uid: 12, gid: 13, size: 8, links: 1 });
    expect(await fs.readdir('/a')).toEqual([
      { name: 'b', type: 'directory' },
      { name: 'file', type: 'file' },
    ]);
    await fs.rm('/a/b', { recursive: true });
    await fs.rm('/a/b', { force: true });
    expect(await fs.readdir('/a')).toEqual([{ name: 'file', type: 'file' }]);
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251));
    await fs.writeFile('/a/bytes', bytes);
    expect((await fs.readFile('/a/bytes')).equals(bytes)).toBe(true);
  },
);

test('what the kernel refuses has its number and path', async () => {
  await using engine = await testEngine();
  await using container = await engine.containers.create({ image: await baseImage(engine), networks: ['none'] });
  const { fs } = container;
  await fs.mkdir('/d/e', { recursive: true });
  const refused = (errno: string, path: string): object => ({ code: 'CTR_SYSCALL', errno, path });
  await expect(fs.readFile('/nope')).rejects.toMatchObject(refused('ENOENT', '/nope'));
  await expect(fs.readFile('/d')).rejects.toMatchObject(refused('EISDIR', '/d'));
  await expect(fs.writeFile('/d', 'x')).rejects.toMatchObject(refused('EISDIR', '/d'));
  await expect(fs.writeFile('/no/where', 'x')).rejects.toMatchObject(refused('ENOENT', '/no/where'));
  await expect(fs.mkdir('/d')).rejects.toMatchObject(refused('EEXIST', '/d'));
  await expect(fs.mkdir('/d/f/g')).rejects.toMatchObject(refused('ENOENT', '/d/f/g'));
  await expect(fs.rm('/d')).rejects.toMatchObject(refused('EISDIR', '/d'));
  await expect(fs.rm('/nope')).rejects.toMatchObject(refused('ENOENT', '/nope'));
  await expect(fs.rm('/')).rejects.toMatchObject(refused('EINVAL', '/'));
  await expect(fs.readdir('/nope')).rejects.toMatchObject(refused('ENOENT', '/nope'));
  await fs.writeFile('/once', 'x', { how: 'create' });
  await expect(fs.writeFile('/once', 'x', { how: 'create' })).rejects.toMatchObject(refused('EEXIST', '/once'));
  await expect(fs.readFile('/once', { maxBytes: 0 })).rejects.toMatchObject({ code: 'CTR_LIMIT' });
  await expect(fs.readFile('/a\0b')).rejects.toThrow(TypeError);
});
