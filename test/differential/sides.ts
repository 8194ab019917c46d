import { Readable } from 'node:stream';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { test as jestTest } from '@jest/globals';

import { isEngineError, type ExitStatus } from '../../lib/errors.js';
import type { Container } from '../../lib/container/container.js';
import type { CreateContainerOptions } from '../../lib/container/options.js';
import type { Owned } from '../../lib/types.js';
import { signalNumber } from '../../lib/runtime/signals.js';
import { Docker, DockerError } from '../support/docker.js';
import { testEngine, type TestEngine } from '../support/engine.js';
import { needs, type Suite } from '../support/needs.js';
import { dockerArchive, type Recipe } from './images.js';

/** The first number of the version of Docker that is compared with: 20, 28. 0 where there is none. */
export const peerVersion = process.env['TSC_TEST_DOCKER_HOST'] ? await new Docker().majorVersion() : 0;

/**
 * For what Docker changed: `since(28)('…', …)` is left out where an older one is compared with. The reference is the
 * current one; older ones are a second opinion on what has stayed.
 */
export function since(major: number): Suite['test'] {
  const { test } = needs('root', 'docker', 'cc');
  return peerVersion >= major || peerVersion === 0 ? test : jestTest.skip;
}

/** What both are asked for, in one language. */
export interface Ask {
  readonly image?: string;
  readonly command?: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly user?: string;
  readonly cwd?: string;
  readonly tty?: boolean;
  readonly hostname?: string;
  /** Written to its standard input, which is then closed. Without: it has none. */
  readonly input?: string;
  /** @defaultValue `'none'`: the quickest */
  readonly network?: 'none' | 'host' | 'bridge';
  readonly readOnly?: boolean;
  readonly init?: boolean;
  readonly noNewPrivileges?: boolean;
  readonly capabilities?: { readonly add?: readonly string[]; readonly drop?: readonly string[] };
  readonly seccomp?: 'unconfined';
  readonly resources?: {
    readonly memoryBytes?: number;
    readonly memorySwapBytes?: number;
    readonly maxProcesses?: number;
    readonly cpus?: number;
    readonly cpuShares?: number;
    readonly cpusetCpus?: string;
  };
  readonly shmSizeBytes?: number;
  readonly sysctls?: Readonly<Record<string, string>>;
  readonly extraHosts?: Readonly<Record<string, string>>;
  readonly dns?: readonly string[];
  readonly stopSignal?: NodeJS.Signals;
  readonly tmpfs?: string;
  readonly bind?: { readonly source: string; readonly target: string; readonly readOnly?: boolean };
}

/** How it went, in one language. */
export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  /** As a shell says it: 128 and more for a signal. For a start that failed, as `docker run` exits. */
  readonly exitCode: number;
  readonly oomKilled: boolean;
  /** Why it did not start, for whoever looks into a failing test: no two say it alike. */
  readonly refused?: string;
}

/** What one engine does. */
export interface Side {
  /** To the end. */
  run(ask: Ask): Promise<Outcome>;
  /** The log file of a container that ran to the end, without the times. */
  log(ask: Ask): Promise<string>;
  /** Starts one, waits for "ready", does something to it, says how it ended. */
  ending(
    ask: Ask,
    what: { readonly stop?: number; readonly kill?: NodeJS.Signals },
  ): Promise<Omit<Outcome, 'stdout' | 'stderr'>>;
  /** Starts one, waits for "ready", runs a command in it. */
  exec(
    ask: Ask,
    command: readonly string[],
    options?: {
      readonly user?: string;
      readonly cwd?: string;
      readonly env?: Readonly<Record<string, string>>;
      readonly tty?: boolean;
    },
  ): Promise<Outcome>;
}

/** Both engines with the same images. */
export class Sides implements AsyncDisposable {
  readonly docker: Docker;
  readonly engine: TestEngine;
  readonly theirs: Side;
  readonly ours: Side;
  readonly #tags: readonly string[];

  private constructor(docker: Docker, engine: TestEngine, tags: readonly string[]) {
    this.docker = docker;
    this.engine = engine;
    this.#tags = tags;
    this.theirs = new DockerSide(docker, tags[0] ?? '');
    this.ours = new OurSide(engine, tags[0] ?? '');
  }

  /** Loads the same archive into both. The first image is what is run where none is named. */
  static async of(recipes: readonly Recipe[]): Promise<Sides> {
    const docker = new Docker();
    const archive = await dockerArchive(recipes);
    const engine = await testEngine();
    try {
      await engine.images.load(Readable.from([archive]));
      await docker.load(archive);
      return new Sides(
        docker,
        engine,
        recipes.map(({ tag }) => tag),
      );
    } catch (error) {
      await engine[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Asks both, one after the other: they share two processors. */
  async both<T>(ask: (side: Side) => Promise<T>): Promise<{ ours: T; theirs: T }> {
    const ours = await ask(this.ours);
    return { ours, theirs: await ask(this.theirs) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const tag of this.#tags) await this.docker.removeImage(tag);
    await this.engine[Symbol.asyncDispose]();
  }
}

class OurSide implements Side {
  readonly #engine: TestEngine;
  readonly #image: string;

  constructor(engine: TestEngine, image: string) {
    this.#engine = engine;
    this.#image = image;
  }

  async run(ask: Ask): Promise<Outcome> {
    try {
      const { image, ...options } = this.#options(ask);
      const result = await this.#engine.run(image, undefined, {
        ...options,
        reject: false,
        ...(ask.input === undefined ? {} : { input: ask.input }),
      });
      return { stdout: result.stdout, stderr: result.stderr, ...ending(result) };
    } catch (error) {
      return refusal(error);
    }
  }

  async log(ask: Ask): Promise<string> {
    await using container = await this.#engine.launch(...this.#launch(ask));
    await container.wait();
    const path = join(this.#engine.root, 'containers', container.id, `${container.id}-json.log`);
    return existsSync(path) ? withoutTimes(readFileSync(path)) : ''; // Made when there is something to write.
  }

  async ending(ask: Ask, what: { stop?: number; kill?: NodeJS.Signals }): Promise<Omit<Outcome, 'stdout' | 'stderr'>> {
    await using container = await this.#ready(ask);
    if (what.kill !== undefined) await container.kill(what.kill);
    if (what.stop !== undefined) return ending(await container.stop({ graceMs: what.stop * 1000 }));
    return ending(await container.wait());
  }

  async exec(ask: Ask, command: readonly string[], options: Parameters<Side['exec']>[2] = {}): Promise<Outcome> {
    await using container = await this.#ready(ask);
    try {
      const result = await container.exec(command, { ...options, reject: false });
      return { stdout: result.stdout, stderr: result.stderr, ...ending(result) };
    } catch (error) {
      return refusal(error);
    }
  }

  async #ready(ask: Ask): Promise<Owned<Container>> {
    const container = await this.#engine.launch(...this.#launch(ask));
    for await (const { text } of container.logs({ follow: true })) if (text.includes('ready')) break;
    return container;
  }

  #launch(ask: Ask): [string, Omit<CreateContainerOptions, 'image'>] {
    const { image, ...options } = this.#options(ask);
    return [image, options];
  }

  #options(ask: Ask): Omit<CreateContainerOptions, 'image'> & { readonly image: string } {
    const { image = this.#image, network = 'none', tmpfs, bind, ...same } = ask;
    const mounts = [
      ...(tmpfs === undefined ? [] : [{ type: 'tmpfs' as const, target: tmpfs }]),
      ...(bind === undefined ? [] : [{ type: 'bind' as const, ...bind }]),
    ];
    const options = { ...same, image, networks: [network], mounts };
    delete (options as { input?: string }).input; // Not of the container: `run` takes it apart.
    return options;
  }
}

class DockerSide implements Side {
  readonly #docker: Docker;
  readonly #image: string;

  constructor(docker: Docker, image: string) {
    this.#docker = docker;
    this.#image = image;
  }

  async run(ask: Ask): Promise<Outcome> {
    let id: string | undefined;
    try {
      const made = (id = await this.#create(ask));
      const tty = ask.tty ?? false;
      const output = await this.#docker.attach(made, ask.input, async () => this.#docker.start(made), { tty });
      await this.#docker.wait(made);
      const { State } = await this.#docker.inspect(made);
      return {
        stdout: output.stdout.toString('utf8'),
        stderr: output.stderr.toString('utf8'),
        exitCode: State.ExitCode,
        oomKilled: State.OOMKilled,
      };
    } catch (error) {
      return this.#refusal(error);
    } finally {
      if (id !== undefined) await this.#docker.remove(id);
    }
  }

  async log(ask: Ask): Promise<string> {
    return this.#with(ask, async id => {
      await this.#docker.start(id);
      await this.#docker.wait(id);
      return withoutTimes(readFileSync((await this.#docker.inspect(id)).LogPath));
    });
  }

  async ending(ask: Ask, what: { stop?: number; kill?: NodeJS.Signals }): Promise<Omit<Outcome, 'stdout' | 'stderr'>> {
    return this.#with(ask, async id => {
      await this.#ready(id);
      if (what.kill !== undefined) await this.#docker.kill(id, what.kill);
      if (what.stop !== undefined) await this.#docker.stop(id, what.stop);
      await this.#docker.wait(id);
      const { State } = await this.#docker.inspect(id);
      return { exitCode: State.ExitCode, oomKilled: State.OOMKilled };
    });
  }

  async exec(ask: Ask, command: readonly string[], options: Parameters<Side['exec']>[2] = {}): Promise<Outcome> {
    return this.#with(ask, async id => {
      await this.#ready(id);
      const { stdout, stderr, exitCode } = await this.#docker.exec(id, command, {
        ...(options.user === undefined ? {} : { User: options.user }),
        ...(options.cwd === undefined ? {} : { WorkingDir: options.cwd }),
        ...(options.env === undefined
          ? {}
          : { Env: Object.entries(options.env).map(([name, value]) => `${name}=${value}`) }),
        ...(options.tty === true ? { Tty: true } : {}),
      });
      return { stdout: stdout.toString('utf8'), stderr: stderr.toString('utf8'), exitCode, oomKilled: false };
    });
  }

  async #ready(id: string): Promise<void> {
    await this.#docker.start(id);
    await this.#docker.waitForLog(id, 'ready');
  }

  async #with<T>(ask: Ask, use: (id: string) => Promise<T>): Promise<T> {
    const id = await this.#create(ask);
    try {
      return await use(id);
    } finally {
      await this.#docker.remove(id);
    }
  }

  /** What `docker run` would exit with: its client tells by the engine's words. */
  #refusal(error: unknown): Outcome {
    if (!(error instanceof DockerError)) throw error;
    const exitCode = /executable file not found|no such file or directory/.test(error.said)
      ? 127
      : /permission denied|is a directory/.test(error.said)
        ? 126
        : 125;
    return { stdout: '', stderr: '', exitCode, oomKilled: false, refused: error.said };
  }

  async #create(ask: Ask): Promise<string> {
    const { resources = {}, capabilities = {}, bind } = ask;
    const { memoryBytes, memorySwapBytes, maxProcesses, cpus, cpuShares, cpusetCpus } = resources;
    const security = [
      ...(ask.seccomp === undefined ? [] : [`seccomp=${ask.seccomp}`]),
      ...(ask.noNewPrivileges === true ? ['no-new-privileges'] : []),
    ];
    return this.#docker.create({
      Image: ask.image ?? this.#image,
      ...given('Cmd', ask.command),
      // "" is how its client says that there is none; [] would keep the image's command.
      ...given('Entrypoint', ask.entrypoint?.length === 0 ? [''] : ask.entrypoint),
      ...given('User', ask.user),
      ...given('WorkingDir', ask.cwd),
      ...given('Hostname', ask.hostname),
      ...given('StopSignal', ask.stopSignal),
      Env: Object.entries(ask.env ?? {}).map(([name, value]) => `${name}=${value}`),
      Tty: ask.tty ?? false,
      OpenStdin: ask.input !== undefined,
      StdinOnce: ask.input !== undefined,
      AttachStdin: ask.input !== undefined,
      HostConfig: {
        NetworkMode: ask.network ?? 'none',
        ReadonlyRootfs: ask.readOnly ?? false,
        Init: ask.init ?? false,
        CapAdd: capabilities.add ?? [],
        CapDrop: capabilities.drop ?? [],
        SecurityOpt: security,
        // A client says it; an engine that gets 0 lets the kernel choose.
        ConsoleSize: [24, 80],
        ...given('Memory', memoryBytes),
        ...given('MemorySwap', memorySwapBytes),
        ...given('PidsLimit', maxProcesses),
        ...given('NanoCpus', cpus === undefined ? undefined : cpus * 1e9),
        ...given('CpuShares', cpuShares),
        ...given('CpusetCpus', cpusetCpus),
        ...given('ShmSize', ask.shmSizeBytes),
        ...given('Sysctls', ask.sysctls),
        ...given('Dns', ask.dns),
        ExtraHosts: Object.entries(ask.extraHosts ?? {}).map(([name, address]) => `${name}:${address}`),
        ...(ask.tmpfs === undefined ? {} : { Mounts: [{ Type: 'tmpfs', Target: ask.tmpfs }] }),
        ...(bind === undefined
          ? {}
          : { Binds: [`${bind.source}:${bind.target}${bind.readOnly === true ? ':ro' : ''}`] }),
      },
    });
  }
}

function given(name: string, value: unknown): Record<string, unknown> {
  return value === undefined ? {} : { [name]: value };
}

function ending(status: ExitStatus): Pick<Outcome, 'exitCode' | 'oomKilled'> {
  const { exitCode, signal, oomKilled } = status;
  return { exitCode: signal === undefined ? (exitCode ?? -1) : 128 + signalNumber(signal), oomKilled };
}

function refusal(error: unknown): Outcome {
  if (!isEngineError(error) && !(error instanceof TypeError)) throw error;
  const exitCode = 'exitCode' in error && typeof error.exitCode === 'number' ? error.exitCode : 125;
  return { stdout: '', stderr: '', exitCode, oomKilled: false, refused: error.message };
}

function withoutTimes(bytes: Buffer): string {
  return bytes.toString('utf8').replace(/"time":"[^"]*"/g, '"time":""');
}

/** Sections of the probe's view by name. */
export function sections(text: string): Record<string, string> {
  return Object.fromEntries(
    text
      .split(/^=== /m)
      .slice(1)
      .map(section => [section.slice(0, section.indexOf('\n')), section.slice(section.indexOf('\n') + 1)]),
  );
}
