import type { ExitStatus } from '../errors.js';
import type { Ended } from '../runtime/monitor.js';

/** How it ended, as users see it. One whose monitor was killed was killed with it. */
export function statusOf(ended: Ended | undefined): ExitStatus {
  if (ended === undefined) return { exitCode: undefined, signal: 'SIGKILL', oomKilled: false, durationMs: 0 };
  const { exitCode, signal, oomKilled, durationMs } = ended;
  return { exitCode, signal, oomKilled, durationMs };
}
