import { MonitoredProcess } from '../runtime/monitor.js';
import { execPlan, type ExecRecordSpec } from '../runtime/plan.js';
import type { ContainerContext } from './context.js';
import type { Live } from './live.js';
import type { FurtherProcessOptions } from './options.js';
import type { ContainerRecord } from './record.js';
import { cgroupsOf, execProcess, namespacesOf } from './spec.js';

/** Starts one more process in a running container. The conversation's promises tell how it goes. */
export async function startFurther(
  context: ContainerContext,
  live: Live,
  record: ContainerRecord,
  command: readonly string[],
  options: FurtherProcessOptions & { readonly call: string; readonly stdin: boolean },
  write?: () => ExecRecordSpec,
): Promise<MonitoredProcess> {
  if (command.length === 0) throw new TypeError(`${options.call}: command: expected at least one word, got none`);
  const { started } = await live.require(record, options.call);
  const process = execProcess(context, record, command, options);
  const target = {
    pid: started.pid,
    startTime: started.startTime,
    namespaces: namespacesOf(context, record),
    cgroupJoin: cgroupsOf(context, record, options.call)?.join ?? [],
  };
  return new MonitoredProcess(await context.helper.send(execPlan(target, process, write?.())));
}
