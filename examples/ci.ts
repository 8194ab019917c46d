/**
 * A step of a CI pipeline: a project's tests, in a container that sees the project read-only, has no network, and may use
 * so much memory and so many processes and no more. Ends with the tests' own exit code.
 *
 * `node dist/examples/ci.js [DIRECTORY]`, as root. Without a directory it makes a small project with a test.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { Engine, ExitError } from 'tscontainer';

const directory = mkdtempSync(join(tmpdir(), 'tscontainer-ci-'));
const stop = new AbortController();
process.once('SIGINT', () => stop.abort());
try {
  const project = process.argv[2] === undefined ? sampleProject() : resolve(process.argv[2]);
  await using engine = await Engine.open({ root: join(directory, 'store'), runRoot: join(directory, 'run') });
  // With a registry in reach: 'node:22', and nothing to make.
  const image = await engine.images.fromHost({ binaries: [process.execPath] });
  const { stdout } = await engine.run(image, [process.execPath, '--test', '/src'], {
    mounts: [
      { type: 'bind', source: project, target: '/src', readOnly: true },
      { type: 'tmpfs', target: '/tmp' },
    ],
    cwd: '/src',
    readOnly: true,
    networks: ['none'],
    resources: { memoryBytes: 1024 ** 3, cpus: 2, maxProcesses: 500 },
    signal: AbortSignal.any([stop.signal, AbortSignal.timeout(600_000)]),
  });
  process.stdout.write(stdout);
} catch (error) {
  if (!(error instanceof ExitError)) throw error;
  process.stdout.write(error.stdout);
  process.stderr.write(error.oomKilled ? 'the tests used more memory than they may\n' : error.stderr);
  process.exitCode = error.exitCode ?? 1;
} finally {
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
}

function sampleProject(): string {
  const project = join(directory, 'project');
  mkdirSync(project);
  writeFileSync(
    join(project, 'sum.test.js'),
    `const { test } = require('node:test');
     const { equal, throws } = require('node:assert');
     const { writeFileSync } = require('node:fs');
     test('adds', () => equal(1 + 1, 2));
     test('cannot change its own source', () => throws(() => writeFileSync('/src/sum.test.js', ''), { code: 'EROFS' }));
    `,
  );
  return project;
}
