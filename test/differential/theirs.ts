import { readFileSync } from 'node:fs';

import { DockerError, type Docker } from '../support/docker.js';
import { withoutTimes, type Ask, type Outcome, type Side } from './ask.js';

/** Docker, asked by its API as its client does. */
export class DockerSide implements Side {
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
