import { InvalidStateError } from '../errors.js';
import type { AbortOptions } from '../types.js';
import { abortable, sleep } from '../util/abort.js';
import type { Container } from './container.js';
import type { ExecOptions } from './options.js';
import { POLL_MS, describe, wordsOf, type Condition } from './ready-condition.js';
import { httpCondition, type HttpOptions } from './ready-http.js';
import { portCondition } from './ready-port.js';

/**
 * Of a line, so much is looked at. A pattern that backtracks takes more time the longer the text is, and what is in the
 * text is the container's to say.
 */
const MAX_LINE = 4_096;

/** Conditions for {@link Container.waitFor}. None of them needs anything in the image but {@link ready.exec}. */
export const ready = {
  /**
   * The log has had `times` lines that match, counted from the first byte: what was written before the call counts. Of a
   * line, the first 4,096 characters are looked at.
   */
  log(pattern: string | RegExp, times = 1): Condition {
    // Without the flags by which a pattern remembers where it was.
    const matcher = typeof pattern === 'string' ? pattern : new RegExp(pattern, pattern.flags.replace(/[gy]/g, ''));
    return describe(
      async (container, { signal }) => {
        let seen = 0;
        for await (const line of container.logs({ follow: true, signal })) {
          const text = line.text.slice(0, MAX_LINE);
          if (typeof matcher === 'string' ? text.includes(matcher) : matcher.test(text)) seen++;
          if (seen >= times) return;
        }
        throw failed(container, `ended after ${seen} of ${times} lines with ${String(pattern)} in its log`);
      },
      `${times === 1 ? 'a line' : `${times} lines`} with ${String(pattern)} in its log`,
      true,
    );
  },

  /** Something inside listens on the port, whether it is published or not. */
  port(port: number, protocol: 'tcp' | 'udp' = 'tcp'): Condition {
    return portCondition(port, protocol);
  },

  /** A request to the container's port is answered as it should be; with anything from 200 to 399 when nothing is said. */
  http(path: string, options: HttpOptions): Condition {
    return httpCondition(path, options);
  },

  /** Its health check has found it healthy. Fails as soon as that finds it unhealthy, with what the last check said. */
  healthy(): Condition {
    return describe(async (container, { signal }) => {
      for (;;) {
        const { health, healthLog } = await container.inspect({ signal });
        if (health === 'healthy') return;
        if (health === 'none' || health === 'unhealthy') throw notWell(container, health, healthLog.at(-1)?.output);
        await sleep(POLL_MS, signal);
      }
    }, 'a health check that finds it healthy');
  },

  /** The command exits with 0. */
  exec(command: readonly string[], options: Omit<ExecOptions, 'signal' | 'reject'> = {}): Condition {
    return describe(
      async (container, { signal }) => {
        while ((await container.exec(command, { ...options, signal, reject: false })).exitCode !== 0)
          await sleep(POLL_MS, signal);
      },
      `${JSON.stringify(command)} to exit with 0`,
    );
  },

  /** It has ended, with this exit code. Fails when it ends otherwise. */
  exit(exitCode = 0): Condition {
    return describe(
      async (container, { signal }) => {
        const status = await container.wait({ signal });
        if (status.exitCode !== exitCode)
          throw failed(
            container,
            `exited with ${status.exitCode ?? status.signal ?? 'nothing'}, and not with ${exitCode}`,
          );
      },
      `its end with ${exitCode}`,
      true,
    );
  },

  /** All of these. Fails with the first that fails. */
  all(...conditions: readonly Condition[]): Condition {
    return describe(
      async (container, { signal }) => {
        await among(signal, inner => Promise.all(conditions.map(async one => one(container, { signal: inner }))));
      },
      conditions.map(wordsOf).join(' and '),
      conditions.every(({ outlives }) => outlives === true),
    );
  },

  /** Any of these. Fails when all of them have failed, with the last of their failures. */
  any(...conditions: readonly Condition[]): Condition {
    return describe(
      async (container, { signal }) => {
        await among(signal, async inner => {
          let last: unknown;
          await Promise.any(
            conditions.map(async one =>
              one(container, { signal: inner }).catch((error: unknown) => {
                last = error;
                throw error;
              }),
            ),
          ).catch(() => {
            throw last;
          });
        });
      },
      conditions.map(wordsOf).join(' or '),
      conditions.some(({ outlives }) => outlives === true),
    );
  },

  /**
   * The condition, within so many milliseconds. What has not come by then is an {@link InvalidStateError} that says what
   * was waited for, with the last lines of the log; a `signal` that fires rejects with its own reason, as everywhere.
   */
  deadline(ms: number, condition: Condition): Condition {
    return describe(
      async (container, { signal }) => {
        const timeout = AbortSignal.timeout(ms);
        const either = AbortSignal.any([signal, timeout]);
        try {
          // Also for one that does not listen to its signal.
          await abortable(condition(container, { signal: either }), either);
        } catch (error) {
          signal.throwIfAborted();
          if (!timeout.aborted) throw error;
          throw failed(
            container,
            `not ready after ${ms} ms: still waiting for ${wordsOf(condition)}`,
            `Its last lines: ${await lastLines(container)}`,
          );
        }
      },
      wordsOf(condition),
      condition.outlives,
    );
  },

  /**
   * What can be told of any container: that its health check finds it healthy, if it has one, or else that something
   * listens on each of its TCP ports that are published.
   */
  usual(): Condition {
    const words = 'its health check, or listeners on its published ports';
    return describe(async (container, { signal }) => {
      const { health, ports } = await container.inspect({ signal });
      const tcp = new Set(ports.filter(({ protocol }) => protocol === 'tcp').map(port => port.container));
      const each = health === 'none' ? [...tcp].map(port => ready.port(port)) : [ready.healthy()];
      await ready.all(...each)(container, { signal });
    }, words);
  },
};

/** Whoever is still waiting when it is decided stops. */
async function among<T>(signal: AbortSignal, wait: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  try {
    return await wait(AbortSignal.any([signal, stop.signal]));
  } finally {
    stop.abort();
  }
}

/** What waiting comes to: all of the conditions, or the end of the container. */
export async function waitForAll(
  container: Container,
  conditions: readonly Condition[],
  { signal }: AbortOptions,
): Promise<void> {
  const stop = new AbortController();
  const inner = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  const pending = new Set(conditions);
  const each = conditions.map(async condition => {
    await condition(container, { signal: inner });
    pending.delete(condition);
  });
  const waiting = Promise.all(each);
  const exit = container.wait({ signal: inner }).then(async status => {
    // Those that know what an end means to them settle by themselves.
    await Promise.allSettled(each.filter((_, index) => conditions[index]?.outlives === true));
    if (pending.size === 0) return;
    throw failed(
      container,
      `exited with ${status.exitCode ?? status.signal ?? 'nothing'} before ${[...pending].map(wordsOf).join(' and ')}`,
      `Its last lines: ${await lastLines(container)}`,
    );
  });
  waiting.catch(() => {});
  exit.catch(() => {});
  try {
    await abortable(Promise.race([waiting, exit.then(() => waiting)]), signal);
  } catch (error) {
    // Whatever a condition makes of an abort, the caller gets their own reason.
    signal?.throwIfAborted();
    throw error;
  } finally {
    stop.abort();
  }
}

async function lastLines(container: Container): Promise<string> {
  const lines: string[] = [];
  try {
    for await (const { text } of container.logs({ tail: 10 })) lines.push(text);
  } catch {
    // No log was kept: the status has to do.
  }
  return JSON.stringify(lines.join('\n'));
}

function failed(container: Container, state: string, remedy?: string): InvalidStateError {
  return new InvalidStateError({
    call: 'container.waitFor',
    kind: 'container',
    ref: container.name,
    state,
    expected: ['running and ready'],
    ...(remedy === undefined ? {} : { remedy }),
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
