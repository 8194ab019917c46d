import { afterAll, beforeAll, expect } from '@jest/globals';

import { needs } from '../support/needs.js';
import { pack } from '../support/tar.js';
import { sections } from './ask.js';
import { baseLayer } from './images.js';
import { Sides } from './sides.js';

const { describe, test } = needs('root', 'docker', 'cc');

describe('docs/differences.md is right in that', () => {
  let sides: Sides;

  beforeAll(async () => {
    const layer = await pack(
      { name: 'bin/without-interpreter', mode: 0o755, content: 'exit 3\n' },
      { name: 'bin/missing-interpreter', mode: 0o755, content: '#!/not/there\n' },
      { name: 'bin/empty', mode: 0o755 },
      { name: 'links/file', mode: 0o600, uid: 1, mtime: 1_000_000_000n },
      { name: 'links/other', type: 'link', link: 'links/file', mode: 0o644, uid: 2, mtime: 2_000_000_000n },
    );
    sides = await Sides.of([{ tag: 'tsc-test/differences:1', layers: [await baseLayer(), layer] }]);
  });
  afterAll(async () => sides[Symbol.asyncDispose]());

  test('a user without a number becomes root in Docker, and nobody here', async () => {
    const { ours, theirs } = await sides.both(side =>
      side.run({ user: 'broken', command: ['/bin/probe', 'identity'] }),
    );
    expect(theirs).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^0:5 /) });
    expect(ours).toMatchObject({ exitCode: 125, refused: expect.stringContaining('broken') });
  });

  for (const [name, code] of Object.entries({ 'without-interpreter': 126, empty: 126, 'missing-interpreter': 127 })) {
    test(`what is executable but no program starts in Docker, and not here: ${name}`, async () => {
      const { ours, theirs } = await sides.both(side => side.run({ command: [`/bin/${name}`] }));
      expect(theirs.refused).toBeUndefined();
      expect([1, 255]).toContain(theirs.exitCode);
      expect(ours).toMatchObject({ exitCode: code, refused: expect.stringContaining(name) });
    });
  }

  test('the entry of a hard link changes the file in Docker, and not here', async () => {
    const { ours, theirs } = await sides.both(side => side.run({ command: ['/bin/probe', 'tree', '/links/file'] }));
    expect(theirs.stdout).toMatch(/^\/links\/file - 0644 2:0 mtime=2\.0+ /);
    expect(ours.stdout).toMatch(/^\/links\/file - 0600 1:0 mtime=1\.0+ /);
  });

  test('a first process ends with its parent here, and not in Docker', async () => {
    const { ours, theirs } = await sides.both(side => side.run({ command: ['/bin/probe', 'view'] }));
    expect(sections(theirs.stdout)['process']).toMatch(/^death-signal 0 /m);
    expect(sections(ours.stdout)['process']).toMatch(/^death-signal 9 /m);
  });
});
