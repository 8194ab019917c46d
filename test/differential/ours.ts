import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Container } from '../../lib/container/container.js';
import type { CreateContainerOptions } from '../../lib/container/options.js';
import { isEngineError, type ExitStatus } from '../../lib/errors.js';
import { signalNumber } from '../../lib/runtime/signals.js';
import type { Owned } from '../../lib/types.js';
import type { TestEngine } from '../support/engine.js';
import { withoutTimes, type Ask, type Outcome, type Side } from './ask.js';

/** This engine, asked as Docker is. */
export class OurSide implements Side {
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

function ending(status: ExitStatus): Pick<Outcome, 'exitCode' | 'oomKilled'> {
  const { exitCode, signal, oomKilled } = status;
  return { exitCode: signal === undefined ? (exitCode ?? -1) : 128 + signalNumber(signal), oomKilled };
}

function refusal(error: unknown): Outcome {
  if (!isEngineError(error) && !(error instanceof TypeError)) throw error;
  const exitCode = 'exitCode' in error && typeof error.exitCode === 'number' ? error.exitCode : 125;
  return { stdout: '', stderr: '', exitCode, oomKilled: false, refused: error.message };
}
