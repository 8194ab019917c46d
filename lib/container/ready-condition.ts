import type { AbortOptions } from '../types.js';
import type { Container } from './container.js';

/** Something to wait for: a plain function, so anyone can write one. */
export interface Condition {
  (container: Container, options: Required<AbortOptions>): Promise<void>;
  /** What it waits for, for whoever waited in vain: `a listener on 80/tcp`. */
  readonly description?: string;
  /**
   * It settles by itself soon after the container has ended, so the end alone is no reason to give up: its last words may
   * be what is waited for. @defaultValue `false`
   */
  readonly outlives?: boolean;
}

/** Between two looks at something that sends no notice, in milliseconds. */
export const POLL_MS = 20;

/** Gives a function its words. */
export function describe(
  wait: (container: Container, options: Required<AbortOptions>) => Promise<void>,
  description: string,
  outlives = false,
): Condition {
  return Object.assign(wait, { description, outlives });
}

/** What a condition waits for, as far as it says. */
export function wordsOf(condition: Condition): string {
  return condition.description ?? (condition.name === '' ? 'a condition of one’s own' : condition.name);
}
