import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { Store, type StoreOptions } from '../../lib/store/store.js';

/** A directory that is gone with all that is in it when the block is left. */
export class Place implements AsyncDisposable {
  readonly path = mkdtempSync(join(tmpdir(), 'store-'));
  readonly warnings: string[] = [];
  readonly #stores: Store[] = [];
  readonly #children: Child[] = [];

  at(...names: string[]): string {
    return join(this.path, ...names);
  }

  /** Opens the store in here. It is closed with the place. */
  async open(options: StoreOptions = {}): Promise<Store> {
    const store = await Store.open({
      root: this.at('root'),
      runRoot: this.at('run'),
      onWarning: message => this.warnings.push(message),
      ...options,
    });
    this.#stores.push(store);
    return store;
  }

  /** Starts one of the programs in `children/`, which gets this place's root as its first argument. */
  start(program: string, ...args: string[]): Child {
    const child = new Child(program, [this.at('root'), ...args]);
    this.#children.push(child);
    return child;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) await child.kill();
    for (const store of this.#stores) await store.close();
    rmSync(this.path, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** A process of our own that says a line at a time what it has done. */
export class Child {
  readonly process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #ended: Promise<unknown>;

  constructor(program: string, args: readonly string[]) {
    const path = fileURLToPath(new URL(`./children/${program}.js`, import.meta.url));
    this.process = spawn(process.execPath, [path, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#ended = once(this.process, 'close');
    if (this.process.stdout === null) throw new TypeError('no stdout');
    this.#lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  /** Its next line, `undefined` when it has ended. */
  async line(): Promise<string | undefined> {
    const { value, done } = await this.#lines.next();
    return done === true ? undefined : value;
  }

  /** Resolves with the exit code when it has ended by itself. */
  async end(): Promise<number | null> {
    await this.#ended;
    return this.process.exitCode;
  }

  /** SIGKILL, and waits until nothing is left of it. */
  async kill(): Promise<void> {
    this.process.kill('SIGKILL');
    await this.#ended;
  }
}
