import { spawnSync } from 'node:child_process';
import { Transform } from 'node:stream';
import { isatty } from 'node:tty';

import type { TerminalSize } from '../container/options.js';
import { UsageError } from './usage-error.js';

/** Ctrl-P Ctrl-Q, as Docker. */
const DEFAULT_DETACH_KEYS = 'ctrl-p,ctrl-q';

/** @throws {@link UsageError} when keys are to be passed on to a terminal inside, and there is none here. */
export function requireTerminal(): void {
  if (!isatty(0)) throw new UsageError('the input device is not a TTY', 1);
}

/** Has every key passed on as it is pressed. Returns what undoes that. */
export function rawMode(): () => void {
  if (!process.stdin.isTTY) return () => {};
  process.stdin.setRawMode(true);
  // Node has every line feed still become a carriage return as well. The terminal inside does so already, and programs
  // that draw on the screen count on a bare line feed. Without stty(1) they look a little wrong, and all else works.
  spawnSync('stty', ['-opost'], { stdio: [0, 'ignore', 'ignore'] });
  return () => void process.stdin.setRawMode(false);
}

/** The size of the terminal that output goes to, if it is one. */
export function currentSize(): TerminalSize | undefined {
  const { columns, rows } = process.stdout;
  return process.stdout.isTTY && columns > 0 && rows > 0 ? { columns, rows } : undefined;
}

/**
 * Reads a sequence of keys: `ctrl-p,ctrl-q`, `a,b`.
 *
 * @throws {@link UsageError}
 */
export function parseDetachKeys(text = DEFAULT_DETACH_KEYS): Buffer {
  return Buffer.from(text.split(',').map(key => keyCode(key, text)));
}

function keyCode(key: string, text: string): number {
  if (key.length === 1) return key.charCodeAt(0);
  const [, control] = /^ctrl-([a-z@[\\\]^_])$/i.exec(key) ?? [];
  if (control === undefined) throw new UsageError(`invalid detach keys (${text}): Unknown character: '${key}'`, 1);
  return control.toUpperCase().charCodeAt(0) - 64;
}

/** Passes keys on, but for the sequence that means to leave; keys that only might be its beginning wait for the next. */
export class DetachKeys extends Transform {
  readonly #keys: Buffer;
  readonly #onDetach: () => void;
  #matched = 0;

  constructor(keys: Buffer, onDetach: () => void) {
    super();
    this.#keys = keys;
    this.#onDetach = onDetach;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    for (const byte of chunk) {
      if (byte === this.#keys[this.#matched]) {
        if (++this.#matched < this.#keys.length) continue;
        this.#onDetach();
        break;
      }
      const held = this.#keys.subarray(0, this.#matched);
      this.#matched = 0;
      if (held.length > 0) this.push(Buffer.from(held));
      if (byte === this.#keys[0] && this.#keys.length > 1) this.#matched = 1;
      else this.push(Buffer.of(byte));
    }
    done();
  }
}
