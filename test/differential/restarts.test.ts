import { expect } from '@jest/globals';

import { Docker } from '../support/docker.js';
import { testEngine } from '../support/engine.js';
import { baseImage } from '../support/host.js';
import { needs } from '../support/needs.js';
import { until } from '../support/until.js';
import { baseLayer, dockerArchive } from './images.js';

const { test } = needs('root', 'docker', 'cc');
const tag = 'tsc-test/restarts:1';
const command = ['sh', '-c', 'exit 7'];

/** How long the pauses are, test/container/restart.test.ts measures: 100, 200 and 400 ms. */
test('on-failure:3 is started exactly three times again in both', async () => {
  const docker = new Docker();
  await using engine = await testEngine();
  const image = await baseImage(engine);
  await using container = await engine.launch(image, { command, networks: ['none'], restart: { onFailure: 3 } });
  await until('our last end', async () => {
    const { state, restartCount } = await container.inspect();
    return state === 'exited' && restartCount === 3;
  });
  await docker.load(await dockerArchive([{ tag, layers: [await baseLayer()] }]));
  const id = await docker.create({
    Image: tag,
    Cmd: ['/bin/probe', 'exit', '7'],
    HostConfig: { NetworkMode: 'none', RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 3 } },
  });
  try {
    await docker.start(id);
    // As ours, it ends with the process, though that is started again.
    expect(await docker.wait(id)).toBe(7);
    let theirs = (await docker.inspect(id)) as unknown as {
      RestartCount: number;
      State: { Status: string; ExitCode: number };
    };
    await until('their last end', async () => {
      theirs = (await docker.inspect(id)) as unknown as typeof theirs;
      return theirs.State.Status === 'exited';
    });
    const ours = await container.inspect();
    expect({ status: ours.state, count: ours.restartCount, code: ours.exit?.exitCode }).toEqual({
      status: theirs.State.Status,
      count: theirs.RestartCount,
      code: theirs.State.ExitCode,
    });
  } finally {
    await docker.remove(id);
    await docker.removeImage(tag);
  }
});
