import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import type { Place } from '../support/engine.js';
import { programPath } from '../support/needs.js';

const main = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url));

/** What a program that has ended said. */
export interface Said {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/** Programs that are started here, on one store. */
export class Cli {
  readonly #env: NodeJS.ProcessEnv;

  constructor(place: Pick<Place, 'root' | 'runRoot'>) {
    this.#env = {
      ...process.env,
      TSCONTAINER_ROOT: place.root,
      TSCONTAINER_RUN_ROOT: place.runRoot,
      TSCONTAINER_DEBUG: '',
    };
  }

  start(...argv: readonly string[]): Child {
    return spawn(process.execPath, [main, ...argv], { env: this.#env, stdio: 'pipe' });
  }

  async run(...argv: readonly string[]): Promise<Said> {
    return this.feed('', ...argv);
  }

  async feed(input: string, ...argv: readonly string[]): Promise<Said> {
    const child = this.start(...argv);
    // It may end without having read anything.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    return ended(child);
  }

  /** Standard output of one that must succeed, without the newline at its end. */
  async get(...argv: readonly string[]): Promise<string> {
    const said = await this.run(...argv);
    if (said.exitCode !== 0) throw new Error(`${argv.join(' ')}: exited with ${said.exitCode}: ${said.stderr}`);
    return said.stdout.trimEnd();
  }

  /** With a terminal of the given size, by util-linux' script(1). What is typed is `input`. */
  async terminal(input: string, size: { rows: number; columns: number }, ...argv: readonly string[]): Promise<Said> {
    const child = this.terminalChild(size, ...argv);
    if (input !== '') {
      // Only what reads with every key passed on sees all of it: so what is typed waits for the first output.
      void once(child.stdout, 'readable').then(() => child.stdin.write(input));
    }
    return ended(child);
  }

  /** The same, to be talked to. */
  terminalChild(size: { rows: number; columns: number }, ...argv: readonly string[]): Child {
    const words = [process.execPath, main, ...argv].map(word => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
    const command = `stty rows ${size.rows} columns ${size.columns}; exec ${words}`;
    const child = spawn(programPath('script') ?? 'script', ['-qec', command, '/dev/null'], {
      env: { ...this.#env, SHELL: '/bin/sh' },
      stdio: 'pipe',
    });
    child.stdin.on('error', () => {});
    return child;
  }
}

/** Collects what a child says until it has ended. */
export async function ended(child: Child): Promise<Said> {
  const [stdout, stderr, [exitCode]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit') as Promise<[number | null]>,
  ]);
  return { exitCode, stdout, stderr };
}

/** Resolves when a child has written this. */
export async function said(child: Child, words: string): Promise<void> {
  let seen = '';
  for await (const chunk of child.stdout.iterator({ destroyOnReturn: false })) {
    seen += String(chunk);
    if (seen.includes(words)) return;
  }
  throw new Error(`it ended without having said ${JSON.stringify(words)}: ${JSON.stringify(seen)}`);
}
