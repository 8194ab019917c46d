import type { Invocation } from '../command.js';
import { print, withEngine } from '../session.js';
import { formatTable } from '../table.js';

/** As wide as Docker's. */
const LEAST_WIDTH = 20;

/** `top`. */
export async function top({
  globals,
  args: [ref = '', ...psOptions],
}: Invocation<Record<never, never>>): Promise<number> {
  return withEngine(globals, async ({ engine, signal }) => {
    const container = await engine.containers.get(ref, { signal });
    const { titles, processes } = await container.top({ signal, ...(psOptions.length === 0 ? {} : { psOptions }) });
    print(formatTable(titles, processes, LEAST_WIDTH));
    return 0;
  });
}
