import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { readMountInfo } from '../../lib/host/mountinfo.js';

/** A directory of the host's that attacks are aimed at, with one file in it. */
export class Victim implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'tsc-victim-'));
  readonly file = join(this.directory, 'secret');
  readonly text = `host-${Math.random()}\n`;
  readonly #mounts = readMountInfo().length;

  constructor() {
    writeFileSync(this.file, this.text);
  }

  /** A directory next to it, for what an attack brings along. */
  bring(name: string): string {
    const path = join(this.directory, name);
    mkdirSync(path);
    return path;
  }

  /** Whether nothing was written, nothing added and nothing mounted. */
  intact(...brought: readonly string[]): boolean {
    return (
      readFileSync(this.file, 'utf8') === this.text &&
      readdirSync(this.directory).sort().join() === ['secret', ...brought].sort().join() &&
      !readMountInfo().some(({ target }) => target.startsWith(this.directory)) &&
      readMountInfo().length === this.#mounts
    );
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }
}

/** What became of a run that may be refused: what it wrote, or why it did not start. */
export async function outcome(run: Promise<{ stdout: string; stderr: string }>): Promise<string> {
  try {
    const { stdout, stderr } = await run;
    return `${stdout}${stderr}`;
  } catch (error) {
    return `refused: ${(error as { code?: string }).code ?? ''} ${(error as Error).message}`;
  }
}
