import { InvalidStateError } from '../errors.js';
import type { Connection } from '../host/helper.js';
import type { Fact } from '../host/job.js';
import type { Containers } from './containers.js';
import { parseDetachKeys } from './detach-keys.js';
import type { Flow } from './flow.js';
import { readChunks } from './log-reader.js';
import type { AttachOptions } from './options.js';
import { toFlowingProcess, type Process } from './process.js';
import type { ContainerRecord } from './record.js';

/** For how long one who attaches may hold a container back, in milliseconds. */
const PATIENCE_MS = 30_000;

/** Connects to the first process of a running container. */
export async function attachTo(home: Containers, record: ContainerRecord, options: AttachOptions): Promise<Process> {
  const call = 'container.attach';
  const { logs = false, stdin = true, merged = false, detachKeys, patienceMs = PATIENCE_MS } = options;
  if (!Number.isFinite(patienceMs) || patienceMs <= 0)
    throw new TypeError(`${call}: patienceMs: expected a number of milliseconds above 0, got ${String(patienceMs)}`);
  if (detachKeys !== undefined) parseDetachKeys(detachKeys, call);
  const { started } = await home.live.require(record, call, 'attach');
  // Before anything is asked for: without a log there is nothing to begin with.
  const log = logs ? await home.log(record, call) : undefined;
  const monitored = await home.live.visit(record.id);
  if (monitored === undefined)
    throw new InvalidStateError({ call, kind: 'container', ref: record.name, state: 'exited', expected: ['running'] });
  const { process, flow } = toFlowingProcess(monitored, started.pid, {
    id: record.id,
    onDispose: 'detach',
    merged,
    detachKeys,
    readOnly: !stdin || !record.config.stdin,
  });
  const { connection } = monitored;
  if (log !== undefined) {
    whenAttached(connection, upTo => {
      // What comes from here on is not in the part of the log that is read now.
      flow.hold();
      const before = readChunks(async () => Promise.resolve(log), { call, upTo });
      replay(before, flow, merged).then(
        () => flow.release(),
        (error: unknown) => {
          flow.fail(error as Error);
          connection.destroy();
        },
      );
    });
  }
  connection.op('attach', Math.ceil(patienceMs), log === undefined ? 0 : 1);
  return process;
}

async function replay(before: ReturnType<typeof readChunks>, flow: Flow, merged: boolean): Promise<void> {
  for await (const { stream, bytes } of before)
    await flow.insert(stream === 'stderr' && !merged ? flow.stderr : flow.stdout, bytes);
}

/** Tells where in the log the monitor was when it began to send; at once, before what comes next is handed on. */
function whenAttached(connection: Connection, use: (upTo: { identity: string; offset: string }) => void): void {
  const hear = (fact: Fact): void => {
    if (fact.fact !== 'attached') return;
    connection.off('fact', hear);
    use({ identity: String(fact['identity']), offset: String(fact['offset']) });
  };
  connection.on('fact', hear);
}
