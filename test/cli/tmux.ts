import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { join } from 'node:path';

const PATIENCE_MS = 20_000;
const LOOK_MS = 25;

/** A real terminal with a shell in it, of a tmux server of its own. */
export class Terminal implements AsyncDisposable {
  readonly #socket: string;

  /** @param env - Of the shell. */
  constructor(directory: string, env: Readonly<Record<string, string>>) {
    this.#socket = join(directory, `tmux-${randomBytes(3).toString('hex')}`);
    const set = Object.entries(env).flatMap(([name, value]) => ['-e', `${name}=${value}`]);
    this.#tmux('-f', '/dev/null', 'new-session', '-d', '-x', '100', '-y', '30', ...set, 'env PS1=prompt: sh');
  }

  /** Types text, or keys by tmux' names: `Enter`, `C-c`. */
  type(...keys: readonly string[]): void {
    this.#tmux('send-keys', ...keys);
  }

  resize(columns: number, rows: number): void {
    this.#tmux('resize-window', '-x', String(columns), '-y', String(rows));
  }

  screen(): string {
    return this.#tmux('capture-pane', '-p', '-S', '-200').trimEnd();
  }

  /** Resolves when the screen shows it, and fails with what it shows instead. */
  async shows(pattern: RegExp): Promise<string> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const screen = this.screen();
      if (pattern.test(screen)) return screen;
      if (performance.now() > deadline) throw new Error(`expected ${String(pattern)} on the screen, got:\n${screen}`);
      await delay(LOOK_MS);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#tmux('kill-server');
    await Promise.resolve();
  }

  #tmux(...words: readonly string[]): string {
    return execFileSync('tmux', ['-S', this.#socket, ...words], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }
}
