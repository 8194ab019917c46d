import { expect } from '@jest/globals';

import { testEngine } from '../support/engine.js';
import { baseImage } from '../support/host.js';
import { needs } from '../support/needs.js';

const { test } = needs('root');

// The end of the input and the end of the process pass each other on the way: a connection that broke under the former
// used to take with it what had been said of the latter, some seven times in a hundred.
test('a process that ends while its input is being closed is heard to the end', async () => {
  await using engine = await testEngine();
  const image = await baseImage(engine);
  await using container = await engine.launch(image, { command: ['sleep', '1000'], networks: ['none'] });
  for (let round = 0; round < 100; round++) {
    const { stdout, exitCode } = await container.exec(['sh', '-c', 'read line; echo "you said: $line"; exit 3'], {
      input: 'good morning\n',
      reject: false,
    });
    expect({ round, stdout, exitCode }).toEqual({ round, stdout: 'you said: good morning\n', exitCode: 3 });
  }
});
