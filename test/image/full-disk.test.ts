import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { expect } from '@jest/globals';

import { needs } from '../support/needs.js';
import { dockerFiles, tar } from './fixtures.js';

const { test } = needs('root', 'unshare', 'mount');
const program = fileURLToPath(new URL('./children/full.js', import.meta.url));

interface Outcome {
  readonly said: string;
  readonly count: number;
  readonly problems: readonly object[];
}

/** In a mount namespace of its own, so that the small disk is nobody else's. */
function loadOn(kilobytes: number, directory: string): Outcome {
  const script = 'mount -t tmpfs -o size="$1"k tmpfs "$2" && exec "$3" "$4" "$2/store" "$5" "$6"';
  const run = [process.execPath, program, join(directory, 'run'), join(directory, 'in.tar')];
  const words = ['-m', 'sh', '-c', script, 'sh', String(kilobytes), join(directory, 'disk'), ...run];
  return JSON.parse(execFileSync('unshare', words, { encoding: 'utf8' })) as Outcome;
}

test('a disk that fills up at any stage is told, and the store stays whole', () => {
  const directory = mkdtempSync(join(tmpdir(), 'full-'));
  try {
    mkdirSync(join(directory, 'disk'));
    const layers = [600, 500].map((size, i) =>
      tar([{ name: `f${i}`, content: randomBytes(size * 1024).toString('hex') }]),
    );
    writeFileSync(join(directory, 'in.tar'), tar(dockerFiles([{ layers, tags: ['full:1'] }])));
    // 2.2 MiB of layers: too little for the first blob, for both, for what is unpacked of them, and at last enough.
    for (const kilobytes of [900, 1800, 2600, 3900]) {
      const { said, count, problems } = loadOn(kilobytes, directory);
      expect([kilobytes, said, count, problems]).toEqual([kilobytes, 'CTR_SYSCALL ENOSPC', 0, []]);
    }
    expect(loadOn(16_000, directory)).toMatchObject({ said: 'loaded', count: 1, problems: [] });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}, 60_000);
