import { setTimeout as delay } from 'node:timers/promises';

import { InvalidStateError } from '../errors.js';
import type { AbortOptions } from '../types.js';
import type { Container } from './container.js';

/** Between two looks at something that sends no notice, in milliseconds. */
const POLL_MS = 20;

/** Something to wait for: a plain function, so anyone can write one. */
export type Condition = (container: Container, options: Required<AbortOptions>) => Promise<void>;

/** Conditions for {@link Container.waitFor}. */
export const ready = {
  /** The log has had `times` lines that match, counted from the first byte. */
  log(pattern: string | RegExp, times = 1): Condition {
    return async (container, { signal }) => {
      let seen = 0;
      for await (const { text } of container.logs({ follow: true, signal })) {
        if (typeof pattern === 'string' ? text.includes(pattern) : pattern.test(text)) seen++;
        if (seen >= times) return;
      }
      throw ended(container, `log ${String(pattern)}`);
    };
  },

  /** Something inside listens on the TCP port, whether it is published or not. Needs nothing in the image. */
  port(port: number): Condition {
    return async (container, { signal }) => {
      while (!(await container.listens(port))) await delay(POLL_MS, undefined, { signal });
    };
  },

  /** A GET on the container's port answers with `status`, or with anything below 400 when none is named. */
  http(path: string, options: { readonly port: number; readonly status?: number }): Condition {
    return async (container, { signal }) => {
      for (;;) {
        if (await answers(container, path, options, signal)) return;
        await delay(POLL_MS, undefined, { signal });
      }
    };
  },

  /** Its health check has found it healthy. Fails as soon as that finds it unhealthy, with what the last check said. */
  healthy(): Condition {
    return async (container, { signal }) => {
      for (;;) {
        const { health, healthLog } = await container.inspect({ signal });
        if (health === 'healthy') return;
        if (health === 'none' || health === 'unhealthy') throw notWell(container, health, healthLog.at(-1)?.output);
        await delay(POLL_MS, undefined, { signal });
      }
    };
  },

  /** The command exits with 0. */
  exec(command: readonly string[]): Condition {
    return async (container, { signal }) => {
      while ((await container.exec(command, { signal, reject: false })).exitCode !== 0)
        await delay(POLL_MS, undefined, { signal });
    };
  },
};

async function answers(
  container: Container,
  path: string,
  { port, status }: { readonly port: number; readonly status?: number },
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const response = await container.fetch(path, { port, signal });
    await response.body?.cancel();
    return status === undefined ? response.status < 400 : response.status === status;
  } catch {
    signal.throwIfAborted();
    return false; // Not listening yet, or not speaking HTTP yet: that is what is waited for.
  }
}

function ended(container: Container, what: string): InvalidStateError {
  return new InvalidStateError({
    call: 'container.waitFor',
    kind: 'container',
    ref: container.name,
    state: `exited before ${what}`,
    expected: ['running'],
  });
}

function notWell(container: Container, health: string, output = ''): InvalidStateError {
  return new InvalidStateError({
    call: 'container.waitFor',
    kind: 'container',
    ref: container.name,
    state: health === 'none' ? 'without a health check' : health,
    expected: ['healthy'],
    ...(health === 'none'
      ? { remedy: 'Create it with healthcheck' }
      : { remedy: `The last check said: ${JSON.stringify(output)}` }),
  });
}
