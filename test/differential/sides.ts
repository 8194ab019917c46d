import { Readable } from 'node:stream';

import { test as jestTest } from '@jest/globals';

import { Docker } from '../support/docker.js';
import { testEngine, type TestEngine } from '../support/engine.js';
import { needs, type Suite } from '../support/needs.js';
import type { Side } from './ask.js';
import { dockerArchive, type Recipe } from './images.js';
import { OurSide } from './ours.js';
import { DockerSide } from './theirs.js';

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
