/**
 * The shortest thing: a command in a container, run to its end. `node dist/examples/run.js [IMAGE COMMAND…]`, as root.
 *
 * Without an image it makes one of this machine's own shell, so it needs no network.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Engine, ExitError } from 'tscontainer';

const [ref, ...command] = process.argv.slice(2);
const directory = mkdtempSync(join(tmpdir(), 'tscontainer-run-'));
try {
  // With an image of a registry, the usual store; without one, a store that goes when we do.
  await using engine = await Engine.open(
    ref === undefined ? { root: join(directory, 'store'), runRoot: join(directory, 'run') } : {},
  );
  const image = ref ?? (await engine.images.fromHost({ binaries: ['sh'] }));
  const words =
    ref === undefined ? ['sh', '-c', 'echo "hello from pid $$"; read line; echo "you said: $line"'] : command;
  const result = await engine.run(image, words.length === 0 ? undefined : words, { input: 'good morning\n' });
  process.stdout.write(result.stdout);
  console.log(`ended with ${result.exitCode} after ${result.durationMs.toFixed(1)} ms`);
} catch (error) {
  if (!(error instanceof ExitError)) throw error;
  process.stderr.write(error.stderr);
  process.exitCode = error.exitCode ?? 1;
} finally {
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
}
