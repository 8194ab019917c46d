import { expect } from '@jest/globals';

import { testEngine } from '../support/engine.js';
import { baseImage } from '../support/host.js';
import { needs } from '../support/needs.js';

const { test } = needs('root');

test.each([
  ['overlay', 'gzip'],
  ['overlay', 'none'],
  ['plain', 'gzip'],
] as const)('a commit runs as its container did, with its files: %s, %s', async (snapshotter, compression) => {
  await using engine = await testEngine({ snapshotter });
  await using container = await engine.containers.launch({
    image: await baseImage(engine),
    command: ['sleep', '1000'],
    env: { A: '1' },
    networks: ['none'],
    mounts: [{ type: 'tmpfs', target: '/mounted' }],
  });
  await container.exec([
    'sh',
    '-c',
    'mkdir -p /new; echo kept > /new/file; rm /usr/bin/tail; echo x > /mounted/unseen',
  ]);
  const image = await container.commit({
    ref: 'committed:1',
    author: 'Ada',
    message: 'why',
    changes: ['ENV B=2', 'CMD ["sh", "-c", "cat /new/file; echo $A$B; ls /mounted /etc; ls /usr/bin/tail"]'],
    compression,
  });
  const { stdout, exitCode } = await engine.run(image, undefined, { networks: ['none'], reject: false });
  expect(stdout.split('\n').slice(0, 2)).toEqual(['kept', '12']);
  expect(stdout).not.toContain('unseen');
  expect(exitCode).not.toBe(0);
  expect(await image.history()).toMatchObject([
    { createdBy: 'sleep 1000', author: 'Ada', comment: 'why', emptyLayer: false, tags: ['committed:1'] },
    {},
  ]);
  expect((await container.inspect()).state).toBe('running');
});

test('the same files make the same layer, and no change none', async () => {
  await using engine = await testEngine();
  await using container = await engine.containers.create({ image: await baseImage(engine), networks: ['none'] });
  const createdAt = new Date(1_700_000_000_000);
  const untouched = await container.commit({ createdAt });
  expect(await untouched.history()).toMatchObject([{ emptyLayer: true }, {}]);
  await container.copyIn(Buffer.alloc(1024), '/');
  await container.fs.writeFile('/file', 'content');
  const [one, two] = [await container.commit({ createdAt }), await container.commit({ createdAt })];
  expect(one.digest).toBe(two.digest);
  expect(one.id).not.toBe(untouched.id);
});

test('a malformed name or change is refused before anything is made', async () => {
  await using engine = await testEngine();
  await using container = await engine.containers.create({ image: await baseImage(engine), networks: ['none'] });
  const before = (await engine.images.list()).length;
  await expect(container.commit({ ref: 'BAD NAME' })).rejects.toMatchObject({ code: 'CTR_PARSE' });
  await expect(container.commit({ changes: ['RUN x'] })).rejects.toMatchObject({ code: 'CTR_PARSE' });
  expect(await engine.images.list()).toHaveLength(before);
});

test('it is an event, and so is what a layer cannot hold', async () => {
  await using engine = await testEngine();
  await using container = await engine.containers.create({ image: await baseImage(engine), networks: ['none'] });
  const heard: unknown[] = [];
  engine.on('container:commit', ({ id, imageId, ref, message }) => heard.push([id, imageId, ref, message]));
  engine.on('warning', ({ message }) => heard.push(message));
  await container.fs.writeFile('/.wh.file', 'x');
  await container.fs.writeFile('/file', 'x');
  const image = await container.commit({ ref: 'docker.io/library/made', message: 'why' });
  expect(heard).toEqual([expect.stringContaining('1 file is not'), [container.id, image.id, 'made:latest', 'why']]);
  const { stdout } = await engine.run(image, ['sh', '-c', 'echo /.wh*; cat /file'], { networks: ['none'] });
  expect(stdout).toBe('/.wh*\nx');
});
