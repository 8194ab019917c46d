import { spawnSync } from 'node:child_process';
import { isatty } from 'node:tty';

import { parseDetachKeys } from '../container/detach-keys.js';
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
 * Keys to leave by, as they were asked for: `ctrl-p,ctrl-q`, `a,b`.
 *
 * @throws {@link UsageError}
 */
export function detachKeysOf(text = ''): string {
  const keys = text === '' ? DEFAULT_DETACH_KEYS : text;
  try {
    parseDetachKeys(keys, 'detach-keys');
    return keys;
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(`Invalid escape keys (${text}) provided`, 1);
    throw error;
  }
}
