import { dirname, join } from 'node:path';

import type { CgroupPlan } from '../host/cgroups-plan.js';
import { probePlan } from '../runtime/plan.js';
import { signalNumber } from '../runtime/signals.js';
import type { Op } from '../runtime/spec.js';
import type { ContainerContext } from './context.js';
import { healthFile } from './health.js';
import { eventOf, type ContainerRecord, type SettledHealthcheck, type SettledRestart } from './record.js';
import { healthCommand } from './settle.js';
import { execProcess, namespacesOf } from './spec.js';

/** Docker's defaults, where 0 was given. */
const INTERVAL_MS = 30_000;
const TIMEOUT_MS = 30_000;
const START_INTERVAL_MS = 5_000;
const RETRIES = 3;

/**
 * What the monitor is told of the time when Node may be gone: when to start the container again, how to tell whether it
 * is well, where events are written, and what is to be done when it has ended.
 */
export function keepingOps(
  context: ContainerContext,
  record: ContainerRecord,
  {
    cgroups,
    directory,
    call,
  }: { readonly cgroups: CgroupPlan | undefined; readonly directory: string; readonly call: string },
): Op[] {
  const { restart, healthcheck, stopSignal, stopSignalGiven } = record.config;
  const ops: Op[] = [['journal', join(context.store.root, 'journal'), describe(record)]];
  if (restart !== undefined) ops.push(restartOp(restart));
  if (stopSignalGiven === true) ops.push(['stop-signal', signalNumber(stopSignal)]);
  const freezer = cgroups?.freeze;
  if (freezer !== undefined)
    ops.push(['cg-freezer', freezer.path, freezer.frozen, freezer.thawed, freezer.state, freezer.done]);
  if (healthcheck !== undefined) ops.push(healthOp(context, record, healthcheck, { cgroups, directory, call }));
  if (record.autoRemove === true && record.lifetime === 'detached' && context.sweeper !== undefined)
    ops.push(['at-end', ...context.sweeper]);
  return ops;
}

/** When it is started again; also for a monitor that runs already. */
export function restartOp(restart: SettledRestart | undefined): [name: string, policy: string, most: number] {
  return ['restart', restart?.name ?? 'no', restart?.maxRetries ?? 0];
}

/** The part of an event that says which container it is about, as JSON without its braces. */
export function describe(record: ContainerRecord): string {
  const { id, name, labels, image } = eventOf(record);
  return JSON.stringify({ id, name, labels, image }).slice(1, -1);
}

function healthOp(
  context: ContainerContext,
  record: ContainerRecord,
  check: SettledHealthcheck,
  {
    cgroups,
    directory,
    call,
  }: { readonly cgroups: CgroupPlan | undefined; readonly directory: string; readonly call: string },
): Op {
  const process = execProcess(context, record, healthCommand(check), { call, stdin: false });
  const freezer = cgroups?.freeze;
  return [
    'health',
    healthFile(directory),
    // In a group of its own, so that a check that hangs is killed with all that it has started.
    freezer === undefined ? '' : join(dirname(freezer.path), 'health'),
    Math.ceil(check.intervalMs || INTERVAL_MS),
    Math.ceil(check.timeoutMs || TIMEOUT_MS),
    Math.ceil(check.startPeriodMs),
    Math.ceil(check.startIntervalMs || START_INTERVAL_MS),
    check.retries || RETRIES,
    check.onFailure,
    signalNumber(record.config.stopSignal),
    Math.ceil(record.config.stopGraceMs),
    probePlan(namespacesOf(context, record), cgroups?.join ?? [], process).encodeBody(),
  ];
}
