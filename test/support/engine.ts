import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { Engine, type EngineOptions } from '../../lib/engine.js';
import { findLeaks, openDescriptors, type Leak } from './leaks.js';

/** The kernel takes a moment to tear down namespaces, and with them devices. */
const PATIENCE_MS = 3_000;
const POLL_MS = 10;

/**
 * A store of its own on this machine. Disposing closes the engines that were opened in it, and fails when anything of them
 * is left: mounts, processes, cgroups, network devices, nftables tables, sockets, descriptors, unfinished files.
 */
export class Place implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'tsc-'));
  readonly root = join(this.directory, 'store');
  /** Short: the path of a Unix socket has at most 108 bytes. */
  readonly runRoot = join(this.directory, 'run');
  readonly #descriptors = openDescriptors();
  readonly #engines: Engine[] = [];

  /** Opens an engine here; several may be open at once. */
  async open(options: Omit<EngineOptions, 'root' | 'runRoot'> = {}): Promise<Engine> {
    const engine = await Engine.open({ ...options, root: this.root, runRoot: this.runRoot });
    this.#engines.push(engine);
    return engine;
  }

  /** What is left, now. */
  leaks(): Leak[] {
    const { directory, root, runRoot } = this;
    return findLeaks({ directory, root, runRoot, descriptors: this.#descriptors });
  }

  /** Resolves when nothing is left, and fails saying what is when that takes too long. */
  async expectNothingLeft(patienceMs = PATIENCE_MS): Promise<void> {
    const deadline = performance.now() + patienceMs;
    let left = this.leaks();
    while (left.length > 0 && performance.now() < deadline) {
      await delay(POLL_MS);
      left = this.leaks();
    }
    if (left.length === 0) return;
    for (const each of left) clear(each);
    throw new Error(`left behind:\n${left.map(({ what }) => `  ${what}`).join('\n')}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      for (const engine of this.#engines) await engine.close();
      await this.expectNothingLeft();
    } finally {
      rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 });
    }
  }
}

/** An engine on a store of its own. Disposing it closes it, and fails when it has left anything. */
export type TestEngine = Engine & { readonly place: Place };

/** `await using engine = await testEngine()`, or in `beforeAll`, with `engine[Symbol.asyncDispose]()` in `afterAll`. */
export async function testEngine(options: Omit<EngineOptions, 'root' | 'runRoot'> = {}): Promise<TestEngine> {
  const place = new Place();
  try {
    const engine = await place.open(options);
    // Its own way of disposing never fails; a test's must.
    return Object.assign(engine, { place, [Symbol.asyncDispose]: () => place[Symbol.asyncDispose]() });
  } catch (error) {
    await place[Symbol.asyncDispose]();
    throw error;
  }
}

function clear(leak: Leak): void {
  try {
    leak.clear();
  } catch {
    // It went by itself meanwhile, or went with another; it has been reported in any case.
  }
}
