import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Readable, type Writable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';

import type { TarInput } from '../../lib/archive/writer.js';
import { elfClosure } from '../../lib/host/closure.js';
import { Cli, type Said } from '../cli/cli.js';
import { Docker } from '../support/docker.js';
import { testEngine, type TestEngine } from '../support/engine.js';
import { programPath } from '../support/needs.js';
import { pack } from '../support/tar.js';
import { dockerArchive } from './images.js';
import { probe } from './probe.js';

const PROGRAMS =
  'sh cat ls grep id env head tr tty dd mknod stat readlink sort sleep mount umount hostname chmod df mkdir rm';

/** The command lines of both, with the same words: `docker run …` and `tscontainer run …`. */
export class CommandLines implements AsyncDisposable {
  readonly #docker: Docker;
  readonly #engine: TestEngine;
  readonly #cli: Cli;
  readonly tag: string;

  private constructor(docker: Docker, engine: TestEngine, tag: string) {
    this.#docker = docker;
    this.#engine = engine;
    this.#cli = new Cli(engine.place);
    this.tag = tag;
  }

  /**
   * Loads one image into both: a shell, small programs of this machine, and the probe.
   *
   * @param more - Files that it has besides, and what it says of its containers.
   */
  static async of(
    name: string,
    more: { readonly files?: readonly TarInput[]; readonly config?: Readonly<Record<string, unknown>> } = {},
  ): Promise<CommandLines> {
    const tag = `tsc-test/${name}:1`;
    const docker = new Docker();
    const engine = await testEngine();
    const passwd = 'root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n';
    const group = 'root:x:0:\naudio:x:29:\nada:x:1000:\n';
    const layer = await pack(
      ...programs(),
      { name: 'usr/bin/probe', mode: 0o755, content: probe() },
      { name: 'etc/passwd', content: passwd },
      { name: 'etc/group', content: group },
      ...(more.files ?? []),
    );
    const archive = await dockerArchive([{ tag, layers: [layer], config: { Cmd: ['sh'], ...more.config } }]);
    try {
      await engine.images.load(Readable.from([archive]));
      await docker.load(archive);
      return new CommandLines(docker, engine, tag);
    } catch (error) {
      await engine[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** `run --rm FLAGS IMAGE COMMAND` by both. */
  async run(flags: readonly string[], command: readonly string[]): Promise<{ ours: Said; theirs: Said }> {
    const argv = ['run', '--rm', ...flags, this.tag, ...command];
    const [ours, theirs] = await Promise.all([this.#cli.run(...argv), askDocker(argv)]);
    return { ours, theirs };
  }

  /** Any command by both. */
  async say(...argv: readonly string[]): Promise<{ ours: Said; theirs: Said }> {
    const [ours, theirs] = await Promise.all([this.#cli.run(...argv), askDocker(argv)]);
    return { ours, theirs };
  }

  /** A command by each, which may have words of its own, with input and output as they are. */
  async speak(
    argvOf: (side: Side) => readonly string[],
    input: Uint8Array = Buffer.alloc(0),
  ): Promise<Record<Side, Spoken>> {
    const [ours, theirs] = await Promise.all([
      hear(this.#cli.start(...argvOf('ours')), input),
      hear(startDocker(argvOf('theirs')), input),
    ]);
    return { ours, theirs };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#docker.removeImage(this.tag);
    await this.#engine[Symbol.asyncDispose]();
  }
}

/** Whose command line. */
export type Side = 'ours' | 'theirs';

/** What a program that has ended said, as bytes. */
export interface Spoken {
  readonly exitCode: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

async function hear(child: ChildProcessByStdio<Writable, Readable, Readable>, input: Uint8Array): Promise<Spoken> {
  // It may end without having read all.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const [stdout, stderr, [exitCode]] = await Promise.all([
    buffer(child.stdout),
    text(child.stderr),
    once(child, 'exit') as Promise<[number | null]>,
  ]);
  return { exitCode, stdout, stderr };
}

function startDocker(argv: readonly string[]): ChildProcessByStdio<Writable, Readable, Readable> {
  return spawn(programPath('docker') ?? 'docker', argv, {
    env: { ...process.env, DOCKER_HOST: process.env['TSC_TEST_DOCKER_HOST'] },
    stdio: 'pipe',
  });
}

async function askDocker(argv: readonly string[]): Promise<Said> {
  const child = startDocker(argv);
  child.stdin.end();
  const [stdout, stderr, [exitCode]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit') as Promise<[number | null]>,
  ]);
  return { exitCode, stdout, stderr };
}

function programs(): TarInput[] {
  const paths = PROGRAMS.split(' ')
    .map(programPath)
    .filter(path => path !== undefined);
  const entries = elfClosure(paths).map((entry): TarInput => {
    const name = entry.path.slice(1);
    if (entry.type === 'symlink') return { name, type: 'symlink', link: entry.target, mode: 0o777 };
    return { name, mode: 0o755, content: readFileSync(entry.path) };
  });
  const names = new Set<string>();
  return [{ name: 'bin', type: 'symlink', link: 'usr/bin' } as const, ...entries].filter(
    ({ name }) => !names.has(name) && names.add(name),
  );
}
